"""slurmd and the epilog are killed; jobs are suspended, requeued and run out of memory."""

import os
import signal
import time

import cluster
import pytest
from conftest import BUSYBOX, STATE, containers, read

from cgroup import place
from faults.conftest import SETTINGS, gc
from faults.door import LIST, SENT, START, UNSENT


@pytest.fixture
def slurmd(monkeypatch):
    """The daemon of n1; it runs again afterwards, with an environment that is not of the tests."""
    monkeypatch.delenv("DOCKER_HOST")
    daemon = cluster.slurmd("n1")
    yield daemon
    daemon.start()


def kill_daemon(daemon) -> None:
    """And see it gone: its socket answers for a moment longer."""
    for pid in daemon.pids():
        os.kill(pid, signal.SIGKILL)
    while daemon.pids():
        time.sleep(0.01)


def test_slurmd_is_killed_under_a_step(going, slurmd):
    """Killed, then restarted as by an admin: the task runs on, and others can come."""
    step = going()
    kill_daemon(slurmd)
    slurmd.start()
    assert step.beside(f"--docker={BUSYBOX}", "echo", "one").lines == ["one"]
    slurmd.stop()
    slurmd.start()
    assert step.finish() == "survived"


def test_slurmd_is_killed_while_a_container_starts(going, door, slurmd, settings):
    """By a step's hook: an early start can come before slurmd has heard of the step."""
    settings.write_text(f"{SETTINGS}early_start = false\n")
    door.strike_at(START, SENT, lambda pid: kill_daemon(slurmd))
    step = going()
    assert door.struck.is_set()
    slurmd.start()
    assert step.finish() == "survived"


@pytest.fixture
def young_settings(settings):
    """So that epilogs are Python's (decision 0021): C's asks the engine for less."""
    os.utime(settings, (time.time() + 600,) * 2)


@pytest.mark.usefixtures("young_settings")
def test_the_epilogs_hook_is_killed(going, door, wait_for):
    """The node stays as it is; what is left is gc's."""
    step = going()
    door.strike_at(LIST, UNSENT, lambda pid: os.kill(pid, signal.SIGKILL))
    assert step.finish() == "survived"
    wait_for(lambda: door.struck.is_set() and "idle" in read("sinfo", "-hNn", "n1", "-o", "%T"))
    assert (STATE / "n1" / step.job).exists()
    gc()


@pytest.mark.usefixtures("young_settings")
def test_the_epilog_itself_is_killed(going, door, wait_for):
    """Slurm drains a node for that, whoever killed its process; nothing else is lost."""
    step = going()

    def strike(pid: int) -> None:  # the hook's worker, behind the child that waits for it
        os.kill(place.parent_of(place.parent_of(pid)), signal.SIGKILL)

    door.strike_at(LIST, UNSENT, strike)
    assert step.finish() == "survived"
    wait_for(lambda: "drain" in read("sinfo", "-hNn", "n1", "-o", "%T"))
    wait_for(lambda: not containers())
    read("scontrol", "update", "nodename=n1", "state=resume")
    gc()


def test_suspended_and_resumed(going, wait_for):
    step = going()
    before = containers()
    for _ in range(2):
        read("scontrol", "suspend", step.job)
        assert read("squeue", "-hj", step.job, "-o", "%T").strip() == "SUSPENDED"
        read("scontrol", "resume", step.job)
    assert step.beside(f"--docker={BUSYBOX}", "echo", "one").lines == ["one"]
    assert containers() == before
    assert step.finish() == "survived"


def test_cancelled_while_suspended(going):
    step = going()
    read("scontrol", "suspend", step.job)
    step.cancel()


def test_requeued(alice, wait_for):
    """The second run of a job has a container of its own."""
    (alice.home / "runs").unlink(missing_ok=True)
    script = alice.home / "again.sh"
    script.write_text(
        f"#!/bin/sh\nsrun -Q --docker={BUSYBOX} sh -c "
        "'echo run >>runs; [ $(wc -l <runs) = 2 ] || sleep 60'\n"
    )
    runs = alice.home / "runs"
    job = alice.run("sbatch", "--parsable", "--requeue", "--output=/dev/null", str(script)).lines[0]
    wait_for(runs.exists)
    (before,) = containers()
    alice.run("scontrol", "requeue", job)
    wait_for(lambda: read("squeue", "-hj", job, "-o", "%T").strip() == "PENDING")
    wait_for(lambda: not containers())
    read("scontrol", "update", f"jobid={job}", "StartTime=now")
    wait_for(lambda: runs.read_text().split() == ["run"] * 2, 60)
    state = "squeue", "-h", "-t", "all", "-j", job, "-o", "%T"
    wait_for(lambda: read(*state).strip() == "COMPLETED")
    assert before not in containers()
