"""The node's disks are full: the engine's, and that of /run."""

import contextlib
import subprocess
import time

import images
import pytest
from conftest import BUSYBOX, STATE

from faults.engine import DATA

FULL = "no space left on device"


@pytest.fixture
def full_disk():
    """Not a byte is left for the engine."""
    fill = DATA / "fill"
    with contextlib.suppress(OSError), open(fill, "wb", buffering=0) as file:
        while file.write(bytes(1 << 20)):
            pass
    yield
    fill.unlink()


@pytest.fixture
def new_image(make_image):
    image = make_image("new", lambda root: (root / "more").write_bytes(bytes(2_000_000)))
    images.remove_from_engine(image)
    return image


def test_the_engines_disk_is_full(alice, new_image, request):
    assert alice.srun(f"--docker={BUSYBOX}", "true").status == 0
    request.getfixturevalue("full_disk")
    for image in (new_image, BUSYBOX):
        result = alice.srun(f"--docker={image}", "echo", "ran")
        assert (result.status, result.stdout) == (1, "")
        assert FULL in result.stderr
        assert "internal error" not in result.stderr
    assert alice.srun("echo", "native").lines == ["native"]


@pytest.fixture
def small_run():
    """small_run(options): another, smaller file system in the place of /run/socker."""

    def unmount() -> None:
        end = time.monotonic() + 10  # the end of a step or job may be at work there
        while STATE.is_mount():
            if subprocess.run(["umount", STATE]).returncode and time.monotonic() > end:
                raise TimeoutError(f"{STATE} is in use")
            time.sleep(0.02)

    def mount(options: str) -> None:
        unmount()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"mode=711,{options}", "t", STATE], check=True
        )

    yield mount
    unmount()


@pytest.mark.parametrize("what", ["nr_inodes", "nr_blocks"])
def test_run_is_full(alice, small_run, what):
    """At each file, or page, that a step's start needs; then it works."""
    job = alice.start("salloc", "-Q", "-n1", "sh", stdin=-1, stdout=-1, stderr=subprocess.STDOUT)
    told: list[str] = []
    while "ran\n" not in told:
        small_run(f"{what}={len(told) + 1}")
        job.stdin.write(f"srun -Q --docker={BUSYBOX} echo ran; echo end\n")
        job.stdin.flush()
        told.append("".join(iter(job.stdout.readline, "end\n")))
        assert len(told) < 40, told[-1]
    job.communicate("exit\n", timeout=60)
    print(f"{len(told)} steps")
    failed = [text for text in told if not text.startswith("ran\n")]
    assert len(failed) > 1
    for text in told[:-1]:  # the last ones ran, and only their end could not be noted
        assert FULL in text.lower()
        assert "internal error" not in text
