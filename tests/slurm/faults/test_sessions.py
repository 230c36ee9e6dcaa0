"""Tasks that try to outlive their step, and the moments at which a job can end."""

import random
import time

import pytest
from conftest import BUSYBOX, read

CANCELS = 20
LONGEST_START = 1.2  # seconds

# Its parent gone, a session of its own, deaf to what a polite end sends.
STAYS = """rm -f up
(setsid sh -c "trap '' TERM HUP INT; touch up; sleep 4242; true" &)
until [ -e up ]; do sleep 0.1; done
echo ended
"""


def stayed() -> list[str]:
    return read("pgrep", "-f", "^sleep 4242").split()


@pytest.mark.parametrize("options", [[], ["--container-unshare=pid"], ["--container-writable"]])
def test_a_daemon_of_the_users_ends_with_its_step(alice, wait_for, options):
    """In a job that lives on."""
    script = alice.home / "stays.sh"
    script.write_text(STAYS)
    words = ["srun", "-Q", f"--docker={BUSYBOX}", *options, "sh", str(script)]
    job = alice.start("salloc", "-Q", "-n1", "sh", stdin=-1, stdout=-1, stderr=-1)
    job.stdin.write(f"{' '.join(words)}; echo so\n")
    job.stdin.flush()
    assert [job.stdout.readline(), job.stdout.readline()] == ["ended\n", "so\n"]
    assert (alice.home / "up").exists()
    wait_for(lambda: not stayed(), 2)
    job.communicate("exit\n", timeout=60)


def test_a_task_that_ignores_every_signal(alice, wait_for):
    script = "trap '' TERM HUP INT; echo ready; while :; do sleep 4242; done"
    job = alice.start("srun", "-Q", f"--docker={BUSYBOX}", "sh", "-c", script, stdout=-1, stderr=-1)
    assert job.stdout.readline() == "ready\n"
    alice.run("scancel", "--user=alice")
    job.communicate(timeout=60)
    wait_for(lambda: not stayed(), 10)


def test_cancelled_at_random_moments(alice):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    jobs = []
    for _ in range(CANCELS):
        command = ["srun", "-Q", f"--docker={BUSYBOX}", "sh", "-c", "echo ran; sleep 60"]
        jobs.append(alice.start(*command, stdout=-1, stderr=-1))
        time.sleep(moments.uniform(0, LONGEST_START))
        alice.run("scancel", "--user=alice")
    for job in jobs:
        job.terminate()  # an srun that had no job yet when it was cancelled
        job.communicate(timeout=60)
    alice.run("scancel", "--user=alice")  # runuser kills an srun that takes two seconds to end
