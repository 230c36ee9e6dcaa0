"""The shim's parsers under AddressSanitizer and UBSan: mutations of what they are usually given.

The same ones each time; `make fuzz` lets libFuzzer look for others.
"""

import subprocess

import pytest

from tests.fuzz import builds, seeds

# So that each takes about as long.
RUNS = {
    "recorded": 20_000,
    "plan": 25_000,
    "options": 25_000,
    "prolog": 60_000,
    "mountinfo": 60_000,
}


@pytest.mark.parametrize("target", builds.TARGETS)
def test_no_input_breaks_it(target, tmp_path):
    program = builds.target(target, tmp_path)
    files = seeds.write(target, tmp_path)
    done = subprocess.run(
        [program, str(RUNS[target]), *files],
        cwd=tmp_path,
        env={"UBSAN_OPTIONS": "print_stacktrace=1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    crash = tmp_path / "crash-input"
    found = crash.read_bytes() if crash.exists() else b""
    assert done.returncode == 0, f"{done.stderr}\ninput: {found!r}"
    assert f"{len(files)} seeds and {RUNS[target]} mutations" in done.stdout


def test_the_driver_finds_a_fault(tmp_path, monkeypatch):
    """One byte too far, and a promise that is not kept: else the green above says nothing."""
    for body, words in (
        ("return size > 3 && data[size] == 7;", "heap-buffer-overflow"),
        ("REQUIRE(size < 3 || data[0] != 'F'); return 0;", "not kept: size < 3"),
        ("return size > 2 && malloc(size) == NULL;", "LeakSanitizer"),
    ):
        source = tmp_path / "fuzz_wrong.c"
        source.write_text(
            f'#include "fuzz.h"\nint LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)\n'
            f"{{ (void)data; {body} }}\n"
        )
        monkeypatch.setitem(builds.TARGETS, "wrong", ())
        program = builds.target("wrong", tmp_path, source)
        seed = tmp_path / "seed"
        seed.write_bytes(b"FAULT")
        done = subprocess.run([program, "10", seed], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode and words in done.stderr
