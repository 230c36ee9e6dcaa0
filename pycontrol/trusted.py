"""Reads files that decide what root does: configuration and our own state.

A file is opened once; the open descriptor is checked and then read, so nobody
can change it in between.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pycontrol.errors import NodeError

LARGEST = 1 << 20  # bytes; no trusted file comes near it


def problem_with(status: os.stat_result, largest: int | None = LARGEST) -> str | None:
    """Why a file with this status cannot be trusted; None when it can."""
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_uid != 0:
        return f"it belongs to uid {status.st_uid}, not to root: chown root it"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others than root may write to it: chmod go-w it"
    if largest is not None and status.st_size > largest:
        return f"it is larger than {largest} bytes"
    return None


def read(path: Path) -> str:
    """The text of a file that only root can have written.

    Raises FileNotFoundError when there is none, NodeError when it cannot be
    trusted or is no text.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        problem = problem_with(os.fstat(descriptor))
        if problem:
            raise NodeError(f"{path}: {problem}")
        data = file.read(LARGEST)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NodeError(f"{path}: it is not UTF-8 text: {error}: correct it") from error
