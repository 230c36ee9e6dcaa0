"""Every test here breaks something, and ends with the same check.

No container, process, cgroup, mount, file or lock of a job is left, the nodes
are idle, and the next job with a container works on the node of the fault: n1,
which Slurm takes first.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from conftest import BUSYBOX, PATIENCE, SOCKER, STATE, leftovers, read

from faults.door import URL, Door
from faults.engine import URL as ENGINE_URL
from faults.engine import Engine

WITHIN = 20 * PATIENCE  # seconds: KillWait, an epilog that waits for a request, a busy machine
SETTINGS = f'engine = "{URL}"\nengine_timeout = 5\n'


@pytest.fixture(scope="package")
def engine() -> Iterator[Engine]:
    """The engine that is broken; the node's own runs on beside it."""
    if cluster.has_systemd():
        pytest.skip("systemd starts anew what is killed here, and dockerd shares its containerd")
    made = Engine()
    os.environ["DOCKER_HOST"] = ENGINE_URL  # docker's command shows what this one has
    try:
        made.start()
        yield made
    finally:
        del os.environ["DOCKER_HOST"]
        made.remove()


@pytest.fixture(autouse=True)
def door(engine, settings) -> Iterator[Door]:
    """The way of the node's hooks to that engine."""
    engine.start()
    settings.write_text(SETTINGS)
    made = Door()
    yield made
    made.close()


def wait_until_idle() -> None:
    """Until all epilogs are through; a node that is not idle for long is another check's."""
    end = time.monotonic() + WITHIN
    while set(read("sinfo", "-hNo", "%T").split()) != {"idle"} and time.monotonic() < end:
        time.sleep(0.1)


def gc() -> None:
    """What the admin's timer does, once all epilogs are through: it takes what they could not."""
    wait_until_idle()
    done = subprocess.run([SOCKER, "gc"], capture_output=True, text=True, timeout=60)
    print(done.stdout, done.stderr)
    assert done.returncode == 0


def held_locks() -> list[str]:
    return [f"lock {path}" for path in read("lslocks", "-n", "-o", "PATH").split()
            if path.startswith(f"{STATE}/")]  # fmt: skip


def left(engine: Engine) -> list[str]:
    """More than what conftest.leftovers() looks for: faults leave more."""
    found = leftovers() + held_locks()
    found += [f"shim {pid}" for pid in engine.shims()]
    found += [f"slurmstepd {pid}" for pid in read("pgrep", "-f", "^([^ ]*/)?slurmstepd").split()]
    return found


@pytest.fixture(autouse=True)
def as_before(engine, door, settings, alice) -> Iterator[None]:
    """The check at the end of every fault."""
    yield
    engine.start()
    settings.write_text(SETTINGS)
    end = time.monotonic() + WITHIN
    while (found := left(engine)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not found
    assert alice.srun("-w", "n1", f"--docker={BUSYBOX}", "echo", "works").lines == ["works"]
    wait_until_idle()  # its epilog goes through the door, too


class GoingStep:
    """A step whose task goes on until it is told to end, and then says so."""

    def __init__(self, user, *options: str):
        self._user = user
        self._go = user.home / "go"
        self._go.unlink(missing_ok=True)
        script = (
            "echo $SLURM_JOB_ID; while [ ! -e go ]; do sleep 0.1; done;"
            "test -s /etc/group && ls / >/dev/null && echo survived"
        )
        command = ["srun", "-Q", f"--docker={BUSYBOX}", *options, "sh", "-c", script]
        self.process = user.start(*command, stdout=-1, stderr=subprocess.STDOUT)
        self.job = self.process.stdout.readline().strip()
        assert self.job.isdigit(), self.job + self.process.stdout.read()

    def beside(self, *command: str):
        """Another step of the same job."""
        words = [f"--jobid={self.job}", "--overlap", "-n1", "-N1", "--mem=0", *command]
        return self._user.srun(*words)

    def cancel(self) -> None:
        self._user.run("scancel", self.job)
        self.process.communicate(timeout=60)

    def finish(self) -> str:
        """Its last words; "survived" when nothing has happened to it."""
        self._go.touch()
        return self.process.communicate(timeout=60)[0].strip()


@pytest.fixture
def going(alice) -> Iterator:
    """going(*options of srun): a step that goes on."""
    made: list[GoingStep] = []

    def start(*options: str) -> GoingStep:
        made.append(GoingStep(alice, *options))
        return made[-1]

    yield start
    for step in made:
        with contextlib.suppress(subprocess.TimeoutExpired):
            step.cancel()
    Path(alice.home / "go").unlink(missing_ok=True)
