"""Locks of root's hooks: files below /run/socker, held by flock(2)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pycontrol.errors import JobEnded, NodeError

SOON, POLL = 0.002, 0.05  # seconds between two tries: at least, and at most


@contextlib.contextmanager
def locked(
    path: Path, waiting: Callable[[], None], seconds: float, in_job: bool = False
) -> Iterator[int]:
    """Hold a lock that ends with its holder, however that ends.

    `waiting` is called at each try that finds it held; it may raise.  Yields
    the lock file's descriptor.  Raises NodeError after `seconds`.  in_job: JobEnded
    where the folder is gone, with the job.
    """
    if not in_job:
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    began = time.monotonic()
    while True:
        descriptor = _open_lock(path, in_job)
        try:
            while not _try_lock(descriptor):
                waiting()
                if (waited := time.monotonic() - began) > seconds:
                    raise NodeError(f"{path}: the lock was not free in {seconds:.0f} s: try again")
                time.sleep(min(max(SOON, waited / 20), POLL))
            if os.fstat(descriptor).st_nlink:  # else its last holder has removed it
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _open_lock(path: Path, in_job: bool) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        if in_job:
            raise JobEnded("the job has ended") from None
        raise


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
