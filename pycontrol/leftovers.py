"""What jobs have, or have left, on a node: found by what bears our mark, and nothing else.

Runs as root, in `socker gc`; looks and changes nothing.  Which of it goes, gc.py
decides.  What has no job's number where one must be has `job` None and stays.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pycontrol.plaindata import dataclass

# The engine's labels (engine.py), which is not imported without need.
from pycontrol.present import JOB, NODE

CONTAINER, STATE, ROOT, NOTE = "container", "state", "writable root", "note"
MOUNT, DRAFT, LOCK = "mount", "draft", "lock"
OLD = 600  # seconds: a draft is a matter of milliseconds, a lock is taken at once
_NATIVE = re.compile(r"(?P<node>.+)\.(?P<job>\d+)")
_DRAFT = re.compile(r"\.new-\w+|.+\.\d+\.new")  # state.JobState.make(), state.write()


@dataclass(frozen=True)
class Thing:
    """One thing of ours.  job: whose it is; None of the node's own, or not readable."""

    kind: str
    name: str  # a path, or a container's id
    node: str
    job: int | None
    doubt: str = ""  # why it stays, whoever's it is


def containers(listed: Iterable[dict]) -> Iterator[Thing]:
    """Of the engine's list of those with our label."""
    for entry in listed:
        labels = entry["Labels"]
        job, node = labels.get(JOB, ""), labels.get(NODE, "")
        if job.isdecimal() and node:
            yield Thing(CONTAINER, entry["Id"], node, int(job))
        else:
            doubt = "its labels name no job and node: it is not of our making"
            yield Thing(CONTAINER, entry["Id"], node or "-", None, doubt)


def files(root: Path, writable: Path) -> Iterator[Thing]:
    """Of /run/socker, and of the writable roots."""
    yield from _jobs(STATE, root)
    yield from _jobs(ROOT, writable)
    for path in (*_entries(root / "native"), *_entries(root / "early")):
        if match := _NATIVE.fullmatch(path.name):
            yield Thing(NOTE, str(path), match["node"], int(match["job"]))
    yield from _drafts(root)
    yield from _locks(root / "files")


def _jobs(kind: str, base: Path) -> Iterator[Thing]:
    """BASE/NODE/JOB; `base` must be root's: what is in it will be removed."""
    for node in _entries(base):
        for job in _entries(node):
            if job.name.isdecimal() and not job.is_symlink() and job.is_dir():
                doubt = _others_may_write(base, node)
                yield Thing(kind, str(job), node.name, int(job.name), doubt)


def _others_may_write(*folders: Path) -> str:
    """Somebody else might have put things there, also links to elsewhere."""
    for folder in folders:
        status = folder.stat()
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"others than root may write to {folder}: chown root and chmod go-w it"
    return ""


def _drafts(root: Path) -> Iterator[Thing]:
    """What a killed hook had not finished; those in a job's state go with it."""
    for folder in _entries(root):
        for path in _entries(folder):
            if _DRAFT.fullmatch(path.name):
                yield Thing(DRAFT, str(path), "-", None, _young(path))


def _locks(folder: Path) -> Iterator[Thing]:
    """Of imports: users make files without end.  Those of pulls are 256 at most."""
    for path in _entries(folder):
        if path.suffix == ".lock":
            doubt = _young(path) or ("a process holds it" if _is_held(path) else "")
            yield Thing(LOCK, str(path), "-", None, doubt)


def _is_held(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _young(path: Path) -> str:
    age = time.time() - path.lstat().st_mtime
    return "" if age > OLD else f"it is {max(0, age):.0f} s old"


def mounts(mountinfo: str, bases: Iterable[Path]) -> Iterator[Thing]:
    """Below BASE/NODE/JOB.  Nothing of ours mounts there in the node's own namespace."""
    for line in reversed(mountinfo.rstrip("\n").split("\n")):  # the innermost comes last
        point = Path(line.split(" ", 5)[4].replace("\\040", " "))
        for base in bases:
            if point.is_relative_to(base):
                parts = point.relative_to(base).parts
                if len(parts) >= 2 and parts[1].isdecimal():
                    yield Thing(MOUNT, str(point), parts[0], int(parts[1]))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
