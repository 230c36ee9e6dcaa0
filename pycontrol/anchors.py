"""Where a container belongs: the groups of the job's extern step, or of the step.

Used by the step's hook, as root, which Slurm started inside the job's groups.
"""

from __future__ import annotations

import time
from pathlib import Path

from cgroup import place, remove
from cgroup.place import Anchor
from pycontrol.bridge import StepFacts
from pycontrol.errors import JobEnded, NodeError

EXTERN_WAIT = 3  # seconds for the extern step, which starts beside the first step
TASK_WAIT = 10  # seconds for the step's first task, which is forked beside this hook
POLL = 0.02


def find(facts: StepFacts) -> Anchor:
    """Slurm's own process of the job's extern step; else a task of this step.

    Where the extern step adopts processes, that is its slurmstepd: it holds no other.
    Without PrologFlags=Contain there is no extern step, and a signal to the whole
    job ends it (Slurm 22.05): a container then lives as long as the step.
    """
    end = time.monotonic() + EXTERN_WAIT
    while not (anchor := place.find_extern(slurmstepd=bool(facts.adopt))):
        if time.monotonic() > end:
            return find_task()
        time.sleep(POLL)
    return anchor


def find_task() -> Anchor:
    """A task of this step, in whose groups Slurm kills everything when the step ends."""
    end = time.monotonic() + TASK_WAIT
    while not (anchor := place.find_task()):
        if time.monotonic() > end:
            raise NodeError(
                "no process of the job is in a cgroup of Slurm's: the admin must set "
                "ProctrackType=proctrack/cgroup, and PrologFlags=Contain"
            )
        time.sleep(POLL)
    return anchor


def job_groups(anchor: Anchor) -> list[Path]:
    """The job's own cgroups, as directories."""
    try:
        return [remove.job_directory(group) for group in place.slurm_groups(anchor.pid)]
    except (OSError, LookupError) as error:
        raise JobEnded("the job ended while its container was being set up") from error
