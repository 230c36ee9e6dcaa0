"""The first process of a recorded container: whether it is still that process.

Runs as root in the hooks.  A number alone may be another process's by now.
"""

from __future__ import annotations

import os
import time

from cgroup import place
from pycontrol.errors import NodeError
from pycontrol.state import Record

LEASH_WAIT = 2  # seconds; 1 ms is usual


def is_alive(record: Record) -> bool:
    """Whether the recorded process still runs, and is that process."""
    return place.start_time(record.pid) == record.start_time


def check_alive(record: Record) -> None:
    if not is_alive(record):
        raise NodeError("the job's container has ended: start the step again")


def leash(record: Record) -> tuple[int, int]:
    """Its child that ends with it (spank_plugin/pause.c): pid and start time.

    It has one a moment after its start.  Raises NodeError when there is none.
    """
    end = time.monotonic() + LEASH_WAIT
    while is_alive(record) and time.monotonic() < end:
        for pid in place.children_of(record.pid):
            if (started := place.start_time(pid)) and is_alive(record):
                return pid, started
        time.sleep(0.001)
    raise NodeError("the job's container has ended: start the step again")


def open_namespace(record: Record) -> int:
    """A descriptor of the container's mount namespace; the caller closes it.

    Believed only if the process is still the recorded one after the opening.
    """
    try:
        descriptor = os.open(f"/proc/{record.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NodeError(f"the job's container has ended: {error}") from error
    try:
        check_alive(record)
    except NodeError:
        os.close(descriptor)
        raise
    return descriptor
