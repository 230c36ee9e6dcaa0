"""Where a job's container belongs: the groups of the job's extern step.

Used by the step's hook, as root, which Slurm started inside the job's groups.
"""

from __future__ import annotations

import time
from pathlib import Path

from cgroup import place, remove
from cgroup.place import Anchor
from pycontrol.errors import JobEnded, NodeError

EXTERN_WAIT = 10  # seconds for the extern step, which starts beside the first step


def find() -> Anchor:
    """Slurm's own process of the job's extern step."""
    end = time.monotonic() + EXTERN_WAIT
    while True:
        anchor = place.find_extern()
        if anchor:
            return anchor
        if time.monotonic() > end:
            raise NodeError(
                "the job has no extern step on this node to keep its container in: the "
                "admin must set PrologFlags=Contain and ProctrackType=proctrack/cgroup"
            )
        time.sleep(0.05)


def find_task() -> Anchor:
    """A task of this step, in whose groups Slurm kills everything when the step ends."""
    end = time.monotonic() + EXTERN_WAIT
    while not (anchor := place.find_task()):
        if time.monotonic() > end:
            raise NodeError(
                "no task of the step is in a cgroup of Slurm's: the admin must set "
                "ProctrackType=proctrack/cgroup"
            )
        time.sleep(0.02)
    return anchor


def job_groups(anchor: Anchor) -> list[Path]:
    """The job's own cgroups, as directories."""
    try:
        return [remove.job_directory(group) for group in place.slurm_groups(anchor.pid)]
    except (OSError, LookupError) as error:
        raise JobEnded("the job ended while its container was being set up") from error
