"""The tasks of a step share one mount namespace, or each has its own: never another's root."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from spank_plugin.build import HERE as SHIM

SOURCES = ("share.c", "descriptors.c", "syscalls.c", "caps.c")


class Task(NamedTuple):
    did: str
    end: str
    namespace: str
    root: str


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    output = tmp_path_factory.mktemp("share") / "share_tasks"
    sources = [Path(__file__).parent / "share_tasks.c", *(SHIM / name for name in SOURCES)]
    flags = ["-D_GNU_SOURCE", "-std=gnu11", "-Wall", "-Wextra", f"-I{SHIM}"]
    subprocess.run(["cc", *flags, "-o", output, *sources], check=True)
    return output


@pytest.fixture
def share(program):
    def run(*orders: str) -> dict[int, Task]:
        output = subprocess.run(
            [program, *orders], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        lines = [line.split() for line in output.splitlines()]
        return {int(index): Task(*words) for index, *words in lines}

    return run


def test_the_first_makes_it_for_all(share):
    first, *others = share("make", "make", "make", "make").values()
    assert first[:2] == ("made", "joined")
    assert [other[:2] for other in others] == [("entered", "joined")] * 3
    assert {other.namespace for other in others} == {first.namespace}
    assert {other.root for other in others} == {first.root}


def test_a_step_of_one_task(share):
    (only,) = share("make").values()
    assert only[:2] == ("made", "joined")


def test_who_is_killed_leaves_it_to_the_next(share):
    tasks = share("kill", "make", "make")
    assert sorted(tasks) == [1, 2]
    assert tasks[1][:2] == ("made", "joined")
    assert tasks[2] == ("entered", "joined", tasks[1].namespace, tasks[1].root)


@pytest.mark.parametrize("first", ["fail", "own", "stop"])
def test_each_makes_its_own(share, first):
    """What the first could not make, or made for itself; or it keeps the others waiting."""
    tasks = share(first, "make", "make", "fail")
    others = [tasks[index] for index in (1, 2, 3)]
    assert [task.did for task in others] == ["made"] * 3
    assert [task.end for task in others] == ["joined", "joined", "failed"]
    assert others[0].namespace != others[1].namespace
    assert (0 in tasks) == (first != "stop")


def test_who_sees_another_node_makes_its_own(share):
    """As when another plugin has given each task a namespace."""
    tasks = share("make", "apart", "make")
    assert [tasks[index].did for index in range(3)] == ["made", "made", "entered"]
    assert tasks[0].namespace == tasks[2].namespace != tasks[1].namespace


def test_a_root_that_another_mount_covers_is_nobodys(share):
    """setns(2) gives the mount on top, the first task has what lies below."""
    first, *others = share("cover", "make", "make").values()
    assert first[:2] == ("made", "joined")
    assert [other[:2] for other in others] == [("entered", "failed")] * 2
