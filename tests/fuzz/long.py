"""`make fuzz`: libFuzzer and Hypothesis for FUZZ_SECONDS (default 600), with new inputs each time.

What libFuzzer finds worth keeping stays in build/fuzz and is where the next run
begins; the input of a fault is build/fuzz/TARGET/crash-...
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fuzz import builds, seeds  # noqa: E402

WORK = ROOT / "build" / "fuzz"
LONGEST_INPUT = 16384  # above the longest line that mounts.c reads
# Of the unit tier: properties of the parsers and of the rules.
PROPERTIES = [
    "tests/fuzz", "tests/unit/test_request.py", "tests/unit/test_imagename.py",
    "tests/unit/test_judge.py",
]  # fmt: skip


def provide_clang() -> None:
    """Not among the tests' packages: it is large."""
    if shutil.which("clang"):
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run([*install, "clang"], check=True)
    version = subprocess.check_output(["clang", "-dumpversion"], text=True).partition(".")[0]
    subprocess.run([*install, f"libclang-rt-{version}-dev"], check=True)


def run_target(name: str, seconds: int) -> bool:
    folder = WORK / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds.write(name, corpus)
    program = builds.libfuzzer_target(name, folder)
    print(f"==> {name}: libFuzzer, {seconds} s", flush=True)
    command = [
        program, f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", "-timeout=20",
        "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0", corpus,
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder).returncode == 0


def run_properties(seconds: int) -> bool:
    """Again and again with other numbers; a run that began is not broken off."""
    end = time.monotonic() + seconds
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *PROPERTIES]
    while time.monotonic() < end:
        print(f"==> properties: {int(end - time.monotonic())} s left", flush=True)
        if subprocess.run(command, cwd=ROOT).returncode:
            return False
    return True


def main() -> int:
    seconds = int(os.environ.setdefault("FUZZ_SECONDS", "600"))
    provide_clang()
    share = max(1, seconds // 2 // len(builds.TARGETS))
    fine = [run_target(name, share) for name in builds.TARGETS]
    return 0 if run_properties(seconds // 2) and all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
