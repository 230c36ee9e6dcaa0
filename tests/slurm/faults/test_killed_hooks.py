"""slurmstepd and the hook's own process are killed while a container is made.

The step fails, its command never runs on the bare node, and the job goes on.
"""

import os
import signal

from conftest import BUSYBOX, containers, without_progress

from cgroup import place
from faults.door import ANSWERED, ASKED, CREATE, SENT, START, UNSENT

MOMENTS = (
    (ASKED, UNSENT),  # before the engine knows of anything
    (CREATE, SENT),
    (CREATE, ANSWERED),  # what the engine said is lost
    (START, SENT),
    (START, ANSWERED),  # it runs, and is in no group of the job's
)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def grandparent(pid: int) -> int:
    """slurmstepd: the hook's child of it has a worker (spank_plugin/child.c)."""
    return place.parent_of(place.parent_of(pid))


def test_the_hook_is_killed(alice, door):
    """Again and again in one job that lives on: its last step has a container."""
    job = alice.start("salloc", "-Q", "-n1", "sh", stdin=-1, stdout=-1, stderr=-1)
    step = f"srun -Q --docker={BUSYBOX} echo"
    for request, moment in MOMENTS:
        door.strike_at(request, moment, kill)
        job.stdin.write(f"{step} ran; echo status $?\n")
        job.stdin.flush()
        assert job.stdout.readline() == "status 1\n", (request, moment)
        assert door.struck.is_set(), (request, moment)
    output, errors = job.communicate(f"{step} last\n", timeout=60)
    assert output == "last\n"
    words = "socker: internal error: the set-up of the container ended without a word"
    assert errors.count(words) == len(MOMENTS)


def test_slurmstepd_is_killed(alice, door, wait_for):
    """It takes its hook along; the job is gone with scancel."""
    steps = []
    for request, moment in MOMENTS:
        door.strike_at(request, moment, lambda pid: kill(grandparent(pid)))
        command = ["salloc", "-Q", "-n1", "srun", "-Q", f"--docker={BUSYBOX}", "echo", "ran"]
        steps.append(alice.start(*command, stdout=-1, stderr=-1))
        wait_for(door.struck.is_set)
        alice.run("scancel", "--user=alice")
    for step in steps:
        assert "ran" not in step.communicate(timeout=60)[0]
    wait_for(lambda: not containers())


def test_the_hook_of_an_early_start_is_killed(alice, door, wait_for):
    """The job's first step makes the container by itself."""
    for request, moment in MOMENTS:
        door.strike_at(request, moment, kill)
        words = ["salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "sh"]
        job = alice.start(*words, stdin=-1, stdout=-1, stderr=-1)
        wait_for(door.struck.is_set)
        output, errors = job.communicate("srun -Q echo ran\n", timeout=60)
        assert (output, without_progress(errors)) == ("ran\n", "")


def test_the_extern_steps_slurmstepd_is_killed_during_an_early_start(alice, door, wait_for):
    """Its hook goes with it; the job is gone with scancel."""
    jobs = []
    for request, moment in MOMENTS:
        door.strike_at(request, moment, lambda pid: kill(grandparent(pid)))
        command = ["salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "sleep", "60"]
        jobs.append(alice.start(*command, stdout=-1, stderr=-1))
        wait_for(door.struck.is_set)
        alice.run("scancel", "--user=alice")
    for job in jobs:
        job.communicate(timeout=60)
    wait_for(lambda: not containers())
