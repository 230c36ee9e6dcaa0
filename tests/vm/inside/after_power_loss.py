"""The node after a power loss in the middle of jobs: clean, and at work again.

No fixture of tests/slurm is in effect: they would clean what is to be found.
"""

import subprocess
import time
from pathlib import Path

import pytest
from conftest import BUSYBOX, LOGS, SOCKER, User, leftovers, read

ROOTS = "writable root"
LIMIT = 900  # seconds: the machine below may be busy with other tests
HAS_GC = not subprocess.run([SOCKER, "gc", "--help"], capture_output=True).returncode


def left_after(seconds: float, but: str = "nothing") -> list[str]:
    end = time.monotonic() + seconds
    while True:
        left = [thing for thing in leftovers() if not thing.startswith(but)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(1)


def cluster() -> str:
    """What Slurm knows, for a test that fails."""
    logs = [f"--- {path}\n{read('tail', '-n', '60', str(path))}" for path in LOGS.glob("*.log")]
    return "\n".join([read("squeue", "-l"), read("sinfo", "-lN"), *logs])


def hurry() -> None:
    """Have Slurm miss the jobs now, and start again now what it has requeued.

    It misses jobs when a node registers, 20 s after its own start at the soonest, and
    lets those requeued wait for two minutes.  A slurmd that restarts loses the job that
    it is starting: it restarts only while Slurm takes the jobs of before for running.
    """
    if "0" in read("squeue", "-h", "-t", "R", "-O", "RestartCnt").split():
        subprocess.run(["systemctl", "restart", "slurmd"], check=True, timeout=LIMIT)
    for job in read("squeue", "-h", "-t", "PD", "-o", "%i").split():
        read("scontrol", "update", f"JobId={job}", "StartTime=now")


def test_the_jobs_are_over_or_have_run_again():
    """Slurm's own part: one was not to be requeued, the other was."""
    end = time.monotonic() + LIMIT
    while read("squeue", "-h").strip():
        assert time.monotonic() < end, cluster()
        hurry()
        time.sleep(10)
    lost, again = ((Path("/home/alice") / f"runs-{name}").read_text() for name in ("lost", "again"))
    assert lost == "run 0\n"
    first, *more = again.splitlines()
    assert first == "run 0", again
    assert more, cluster()


def test_docker_and_slurm_leave_nothing_but_roots():
    left = left_after(LIMIT / 3, but=ROOTS)
    assert not left, cluster()
    assert not [path for path in Path("/sys/fs/cgroup").rglob("step_*")]


@pytest.mark.skipif(not HAS_GC, reason="this socker has no gc")
def test_gc_takes_the_rest():
    done = subprocess.run([SOCKER, "gc"], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert not left_after(60), cluster()


def test_the_next_job_works():
    assert User("alice").srun(f"--docker={BUSYBOX}", "echo", "works").lines == ["works"]
