"""Removes the groups of a job that Slurm could not remove itself.

When a slurmstepd is killed, Slurm forgets its step's groups and whatever runs
in them.  Used by the job's epilog, as root, after all steps have ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from cgroup import files, place
from cgroup.paths import EXTERN_STEP, is_slurms

TRIES = 50
PAUSE = 0.05  # seconds between tries: killed processes take a moment to leave


def job_directory(group: Path) -> Path:
    """The job's group, from the group of its extern step or one below it.

    Raises LookupError for a group of no extern step.
    """
    for folder in (group, *group.parents):
        if folder.name == EXTERN_STEP:
            return folder.parent
    raise LookupError(f"{group} is in no extern step")


def is_removable(group: Path) -> bool:
    """Whether this can be a job's group: well below a cgroup mount, in Slurm's tree."""
    for mount in place.hierarchies().values():
        if group.is_relative_to(mount):
            inside = group.relative_to(mount)
            return len(inside.parts) >= 2 and is_slurms(f"/{inside}")
    return False


def _slurmstepd_lives(pids: list[int]) -> bool:
    """One that was replaced on disk shows as deleted; a user's namesake is not root's."""
    for pid in pids:
        program = (place.executable(pid) or "").removesuffix(" (deleted)")
        if Path(program).name == "slurmstepd" and place.is_roots(pid):
            return True
    return False


def remove(group: Path) -> bool:
    """Kill what is left in a group and below, and remove both; true when gone.

    A group in which a slurmstepd lives is in use by Slurm: it is left alone, and
    so is anything that is no group of a job.
    """
    if group.exists() and not is_removable(group):
        return False
    for _ in range(TRIES):
        pids = files.pids_below(group)
        if _slurmstepd_lives(pids):
            return False
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if _remove_empty(group):
            return True
        time.sleep(PAUSE)
    return False


def _remove_empty(group: Path) -> bool:
    """Children first; false when one is still busy."""
    for folder in reversed(files.tree(group)):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:  # a process has not left yet, or a path is too long
            return False
    return not group.exists()
