"""A recorded plan is replayed only if it holds in every part (spank_plugin/recorded.c).

The scripted hook says NEEDED-PYTHON and fails where it is called at all.
"""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from pycontrol import bridge
from tests.recorded import entry, identity

IMAGE = "container-image=busybox"
NEEDED = "NEEDED-PYTHON"
START = '{"time": "\1", "step": \2, "seconds": \3}'
END = '{"time": "\1", "step": \2, "seconds": \3, "status": \4}'
HOOK = f"send F{NEEDED}\nexit 1"


def started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


class Plans:
    """Plans for the stub's step, which a first run has described."""

    def __init__(self, stub, folder: Path):
        self.stub = stub
        self.job = stub.state / "n7/42"
        (self.job / "steps").mkdir(parents=True, exist_ok=True)
        self.log = folder / "audit.jsonl"
        self.settings = folder / "settings"
        self.settings.write_text("x = 1\n")
        stub.run("remote", IMAGE, script="keep\nexit 1")
        [self.path] = self.job.glob("plan-*")
        self.asked = self.path.read_bytes()

    def entries(self) -> list[bytes]:
        soon = int((time.clock_gettime(time.CLOCK_BOOTTIME) + 30) * 1000)
        me = os.getpid()
        return [
            entry("B", str(bridge.ABI)),
            entry("Q", self.asked),
            entry("T", str(soon)),
            entry("E", "COLOUR=red"),
            entry("U", "SHAPE"),
            entry("F", f"{identity(self.settings)}\0{self.settings}"),
            entry("F", "none\0/nowhere/at/all"),
            entry("P", f"{me} {started(me)}"),
            entry("J", str(self.job / "key.steps")),
            entry("L", f"{self.log}\0{START}\0{END}"),
            entry("N", "Nmnt"),
            entry("R", "W/tmp"),
        ]

    def write(self, *entries: bytes) -> None:
        self.path.write_bytes(b"".join(entries) + entry("K", str(len(entries))))
        self.path.chmod(0o600)

    def run(self, *options: str, **more) -> str:
        more = {"env": {"COLOUR": "red"}, "script": HOOK, **more}
        return self.stub.run("remote", IMAGE, *options, **more)

    def replayed(self, *options: str, **more) -> bool:
        (self.job / "steps/42").unlink(missing_ok=True)
        output = self.run(*options, **more)
        assert ("task status 0" in output) != (NEEDED in output), output
        assert ("RAN-ON-THE-NODE" in output) == (NEEDED not in output)
        return NEEDED not in output


@pytest.fixture
def plans(stub, tmp_path):
    yield Plans(stub, tmp_path)
    for path in stub.state.rglob("*"):
        if path.is_file() or path.is_symlink():
            path.unlink()


@pytest.fixture
def whole(plans):
    plans.write(*plans.entries())
    assert plans.replayed()
    return plans


def test_the_task_gets_the_plan_and_the_start_is_noted(plans):
    plans.write(*plans.entries())
    output = plans.run()
    assert "setenv PWD=/tmp" in output and "task status 0" in output
    line = plans.log.read_text()
    assert line.startswith('{"time": "20') and 'Z", "step": 42, "seconds": 0.0' in line
    assert (plans.job / "steps/42").read_text() == END.replace("\2", "42")
    assert (plans.job / "key.steps").read_text() == "42\n"


def test_every_task_gets_it(whole):
    (whole.job / "steps/42").unlink()
    assert whole.run(tasks=4).count("task status 0") == 4


def test_the_number_of_tasks_where_it_matters(plans):
    first, *rest = plans.entries()
    plans.write(first, entry("I", "2"), *rest)
    assert not plans.replayed()
    assert plans.run(tasks=2).count("task status 0") == 2


class Early:
    """The job's early start, as a step sees it: a lock, and what it leaves."""

    def __init__(self, plans: Plans):
        self.plan = plans.path
        self.data = self.plan.read_bytes()
        self.path = plans.stub.state / "early/n7.42"
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.begin()

    def begin(self) -> None:
        self.plan.unlink(missing_ok=True)
        self.lock = self.path.open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def leave(self, seconds: float) -> None:
        """Its plan, after that time."""

        def write() -> None:
            draft = self.plan.with_name("draft")
            draft.write_bytes(self.data)
            draft.chmod(0o600)
            draft.rename(self.plan)

        threading.Timer(seconds, write).start()


@pytest.fixture
def early(whole):
    found = Early(whole)
    yield found
    found.lock.close()


TRIES = 5  # a machine that is busy elsewhere may be late in some of them


def test_a_step_waits_a_little_for_the_early_starts_plan(whole, early):
    for _ in range(TRIES):
        early.leave(0.05)
        if whole.replayed():
            return
        time.sleep(0.1)
        early.begin()
    pytest.fail("no step has waited")


def test_but_not_for_long(whole, early):
    early.leave(3)
    assert not whole.replayed()
    time.sleep(3)


@pytest.mark.parametrize("end", ["it ends", "it says that none will come", "it never began"])
def test_nor_where_none_comes(whole, early, end):
    for _ in range(TRIES):
        if end == "it ends":
            early.lock.close()
        elif end == "it never began":
            early.path.unlink()
        else:
            threading.Timer(0.05, early.path.unlink).start()
        early.leave(0.22)
        waited = whole.replayed()
        time.sleep(0.25)
        if not waited:
            return
        early.lock.close()
        early.begin()
    pytest.fail("each step has waited")


def test_variables(whole):
    assert whole.replayed(env={"COLOUR": "red", "OTHER": "x"})
    assert not whole.replayed(env={"COLOUR": "blue"})
    assert not whole.replayed(env={})
    assert not whole.replayed(env={"COLOUR": "red", "SHAPE": ""})


def test_another_question(whole):
    assert not whole.replayed("container-mounts=/etc:/in")
    assert not whole.replayed(args=["pause=/elsewhere"])


def test_files(whole):
    before = identity(whole.settings)
    os.utime(whole.settings)
    assert identity(whole.settings) != before
    assert not whole.replayed()


def test_a_file_that_has_come(plans):
    new = plans.settings.with_name("new")
    plans.write(entry("F", f"none\0{new}"), *plans.entries())
    assert not plans.replayed(), "an entry before the first"
    plans.write(*plans.entries()[:6], entry("F", f"none\0{new}"), *plans.entries()[6:])
    assert plans.replayed()
    new.touch()
    assert not plans.replayed()


def test_the_container_is_not_that_process(plans):
    for process in (f"{os.getpid()} 1", "0 1", "x", f"{2**22 + 1} 5"):
        kept = [e for e in plans.entries() if e[:1] != b"P"]
        plans.write(*kept[:7], entry("P", process), *kept[7:])
        assert not plans.replayed(), process


def test_age_and_release(plans):
    for kind, value in (("T", "1"), ("T", "x"), ("B", "3"), ("B", "")):
        plans.write(*(entry(kind, value) if e[:1] == kind.encode() else e for e in plans.entries()))
        assert not plans.replayed(), (kind, value)


@pytest.mark.parametrize("kind", "BQTFPJLNR")
def test_a_part_is_missing(plans, kind):
    plans.write(*(e for e in plans.entries() if e[:1] != kind.encode()))
    assert not plans.replayed()


@pytest.mark.parametrize("size", [0, 1, 5, 6, 40, -1, -2, -7, -8, -30])
def test_cut_off(whole, size):
    whole.path.write_bytes(whole.path.read_bytes()[:size])
    assert not whole.replayed()


def test_not_understood(whole):
    data = whole.path.read_bytes()
    for more in (entry("?", "x"), b"\xff" + entry("?")[1:]):
        whole.path.write_bytes(more + data)
        assert not whole.replayed()
    whole.path.write_bytes(data + entry("R", "W/"))
    assert not whole.replayed(), "something behind the end"
    whole.path.write_bytes(data[:-3] + b"9" + data[-2:])
    assert not whole.replayed(), "a wrong number at the end"
    whole.path.write_bytes(b"R\xff\xff\xff\xff" + data)
    assert not whole.replayed(), "a size beyond the end"


def test_not_roots_alone(whole):
    whole.path.chmod(0o640)
    assert not whole.replayed()
    whole.path.chmod(0o600)
    os.chown(whole.path, 1000, 0)
    assert not whole.replayed()
    os.chown(whole.path, 0, 0)
    assert whole.replayed()
    moved = whole.path.rename(whole.path.with_name("moved"))
    whole.path.symlink_to(moved)
    assert not whole.replayed()


def test_a_start_that_cannot_be_noted(whole):
    (whole.job / "steps/42").touch()
    assert NEEDED in whole.run(), "that step has started already"
    whole.log.unlink()
    whole.log.mkdir()
    assert not whole.replayed()
