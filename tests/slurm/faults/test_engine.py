"""The engine is killed, restarted and stopped: dockerd, containerd, the shims.

Tasks run on (G3), native jobs see nothing of it (G4), steps that ask for a new
container fail with a clear message and the node stays as it is (G2).
"""

import os
import shutil
import signal
import time

import images
import pytest
from conftest import BUSYBOX, STATE, containers, read

from faults.conftest import SETTINGS, gc
from faults.door import ANSWERED, CREATE, LOOK, PULL, SENT, START, UNSENT

KINDS = {
    "shared": (False, ()),
    "writable": (False, ("--container-writable",)),
    "shared, live-restore": (True, ()),
}
GONE = "cannot be reached on this node"


@pytest.fixture
def live_restore(engine):
    """live_restore(bool): the engine started anew with that setting."""

    def set_to(wanted: bool) -> None:
        engine.configure(live_restore=wanted)
        engine.restart()

    yield set_to
    engine.configure()


def keeps_removable_ones() -> bool:
    """Docker before 25 has live-restore, but not for containers that it removes by itself."""
    version = read("docker", "version", "-f", "{{.Server.Version}}")
    return int(version.partition(".")[0]) >= 25


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_survive_its_end(alice, engine, going, live_restore, kind):
    live, options = KINDS[kind]
    if live:
        live_restore(True)
    step = going(*options)
    before = containers()
    engine.kill()
    assert alice.srun("echo", "native").lines == ["native"]
    failed = alice.srun(f"--docker={BUSYBOX}", "echo", "ran")
    assert (failed.status, failed.stdout) == (1, "")
    assert GONE in failed.stderr
    if not options:  # the job's container is there: a step that joins it needs no engine
        assert step.beside(f"--docker={BUSYBOX}", "echo", "joined").lines == ["joined"]
    engine.start()
    assert step.beside(f"--docker={BUSYBOX}", "echo", "one").lines == ["one"]
    engine.restart()
    assert step.beside(f"--docker={BUSYBOX}", "echo", "two").lines == ["two"]
    # Else the engine removes them when it starts, and steps make new ones.
    assert (containers() == before) == (live and keeps_removable_ones())
    assert step.finish() == "survived"


def test_killed_while_it_works(alice, door, engine):
    """The job ends while no engine is there to be asked: gc takes what its epilog had to leave."""
    for request in (CREATE, LOOK, START):
        for moment in (SENT, ANSWERED):
            shutil.rmtree(STATE / "sound", ignore_errors=True)  # else nobody looks
            door.strike_at(request, moment, lambda pid: engine.kill())
            failed = alice.srun(f"--docker={BUSYBOX}", "echo", "ran")
            assert door.struck.is_set(), (request, moment)
            assert (failed.status, failed.stdout) == (1, ""), (request, moment)
            assert GONE in failed.stderr
            engine.start()
    gc()


def test_killed_while_it_pulls(alice, door, engine, make_image):
    image = make_image("pulled", lambda root: (root / "noise").write_bytes(os.urandom(200_000)))
    images.remove_from_engine(image)
    door.strike_at(PULL, ANSWERED, lambda pid: engine.kill())
    failed = alice.srun(f"--docker={image}", "echo", "ran")
    assert door.struck.is_set()
    assert (failed.status, failed.stdout) == (1, "")
    assert GONE in failed.stderr
    engine.start()
    assert alice.srun(f"--docker={image}", "echo", "ran").lines == ["ran"]


def test_stopped_before_a_step(alice, engine, settings, wait_for):
    """It costs a bounded time, and the engine that goes on makes nothing of it."""
    settings.write_text(SETTINGS.replace("engine_timeout = 5", "engine_timeout = 2"))
    engine.send(signal.SIGSTOP)
    started = time.monotonic()
    failed = alice.srun(f"--docker={BUSYBOX}", "echo", "ran")
    assert time.monotonic() - started < 10
    assert (failed.status, failed.stdout) == (1, "")
    assert "no answer in time: try again, and tell the admin if it stays so" in failed.stderr
    assert alice.srun("-w", "n1", "echo", "native").lines == ["native"]


def test_stopped_while_it_creates(alice, door, engine, going):
    """What it was asked for before it stopped, it may do when it goes on."""
    step = going()
    door.strike_at(CREATE, SENT, lambda pid: engine.send(signal.SIGSTOP))
    failed = step.beside(f"--docker={BUSYBOX}", "--container-writable", "echo", "ran")
    assert (failed.status, failed.stdout) == (1, "")
    assert "no answer in time" in failed.stderr
    engine.send(signal.SIGCONT)
    assert step.beside(f"--docker={BUSYBOX}", "echo", "one").lines == ["one"]
    assert step.finish() == "survived"


def test_containerd_is_killed(engine, going, wait_for):
    """dockerd starts it anew; steps that come before that fail."""
    step = going()
    for pid in engine.containerds():
        os.kill(pid, signal.SIGKILL)
    anew = ["--container-writable", f"--docker={BUSYBOX}", "echo", "works"]
    wait_for(lambda: step.beside(*anew).lines == ["works"], 40)
    assert step.finish() == "survived"


def test_a_shim_is_killed(engine, going, wait_for):
    """Its container is gone for the engine; the tasks in it are not."""
    step = going()
    (before,) = containers()
    for pid in engine.shims():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not containers())
    assert step.beside(f"--docker={BUSYBOX}", "echo", "one").lines == ["one"]
    assert containers() != [before]
    assert step.finish() == "survived"


def test_an_image_that_is_pruned_before_its_container_is_made(alice, door, make_image, settings):
    """It is brought again by the same hook."""
    settings.write_text(f"{SETTINGS}early_start = false\n")  # the step would mend that
    image = make_image("pruned-now")
    door.strike_at(CREATE, UNSENT, lambda pid: images.remove_from_engine(image))
    assert alice.srun(f"--docker={image}", "echo", "ran").lines == ["ran"]
    assert door.struck.is_set()
    assert images.in_engine(image)
