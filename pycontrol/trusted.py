"""Reads files that decide what root does: configuration and our own state.

A file is opened once; the open descriptor is checked and then read, so nobody
can change it in between.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from pycontrol import reads
from pycontrol.errors import NodeError

LARGEST = 1 << 20  # bytes; no trusted file comes near it
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def problem_with(status: os.stat_result, largest: int | None = LARGEST) -> str | None:
    """Why a file with this status cannot be trusted; None when it can."""
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_uid != 0:
        return f"it belongs to uid {status.st_uid}, not to root: chown root it"
    if status.st_mode & _OTHERS_WRITE:
        return "others than root may write to it: chmod go-w it"
    if not status.st_mode & stat.S_IRUSR:
        return "its mode lets nobody read it: chmod u+r it"
    if largest is not None and status.st_size > largest:
        return f"it is larger than {largest} bytes"
    return None


def open_folder(path: Path, sticky: bool = False) -> str | None:
    """Why others can put another file in this one's place; None when they cannot.

    sticky: such directories will do.  They protect what is root's, but not a
    name that is not there.
    """
    for folder in path.resolve().parents:
        status = folder.stat()
        writable = status.st_mode & _OTHERS_WRITE and not (sticky and status.st_mode & stat.S_ISVTX)
        if status.st_uid != 0 or writable:
            return f"others than root may write to {folder}: chown root and chmod go-w it"
    return None


def read_policy(path: Path) -> str:
    """As `read`, of a file that nobody else can have put in its place."""

    def problem_of(descriptor: int) -> str | None:
        reads.policy_files[str(path)] = reads.identity(os.fstat(descriptor))
        return open_folder(Path(f"/proc/self/fd/{descriptor}"), sticky=True)

    return read(path, problem_of)


def read(path: Path, problem_of: Callable[[int], str | None] = lambda descriptor: None) -> str:
    """The text of a file that only root can have written.

    Raises FileNotFoundError when there is none, NodeError when it cannot be
    trusted or is no text.  `problem_of` is asked about the open file, too.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        problem = problem_with(os.fstat(descriptor)) or problem_of(descriptor)
        if problem:
            raise NodeError(f"{path}: {problem}")
        data = file.read(LARGEST)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NodeError(f"{path}: it is not UTF-8 text: {error}: correct it") from error
