"""The cluster itself: `make cluster` brings it back from whatever happened."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import cluster
import pytest
from conftest import BUSYBOX

pytestmark = pytest.mark.skipif(
    cluster.has_systemd(), reason="systemd itself restarts Docker and munge"
)


def up() -> str:
    program = Path(cluster.__file__)
    done = subprocess.run(
        [sys.executable, program, "up"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def forget_jobs_of_the_past(alice):
    """A killed slurmctld has forgotten that a job just ended, and takes it for running."""
    yield
    alice.run("scancel", "--user=alice")


def works(user) -> bool:
    result = user.srun("-N2", f"--docker={BUSYBOX}", "echo", "works")
    return result.lines == ["works", "works"]


def test_twice(alice):
    before = {d.name: d.pids() for d in (cluster.dockerd(), *cluster.slurm_daemons())}
    printed = up()
    assert printed.count("==>") == 6
    assert {d.name: d.pids() for d in (cluster.dockerd(), *cluster.slurm_daemons())} == before
    assert works(alice)


def test_killed_daemons(alice):
    for daemon in (cluster.munged(), cluster.registry(), *cluster.slurm_daemons()):
        for pid in daemon.pids():
            os.kill(pid, signal.SIGKILL)
    up()
    assert works(alice)


def test_daemons_that_hang(alice):
    for daemon in (cluster.slurmd("n2"), cluster.munged()):
        for pid in daemon.pids():
            os.kill(pid, signal.SIGSTOP)
    up()
    assert works(alice)


def test_killed_docker_with_a_stale_pid_file(alice):
    for pid in cluster.dockerd().pids():
        os.kill(pid, signal.SIGKILL)
    # As after a reboot: the number belongs to another process now.
    Path("/var/run/docker.pid").write_text(str(os.getpid()))
    up()
    assert works(alice)


def test_down_and_up(alice):
    program = Path(cluster.__file__)
    for _ in range(2):
        subprocess.run([sys.executable, program, "down"], check=True, timeout=120)
    assert not any(d.pids() for d in (cluster.dockerd(), *cluster.slurm_daemons()))
    up()
    assert works(alice)
