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

from cgroup import files, place, stepd
from cgroup.paths import STEP, is_jobs

TRIES = 50
PAUSE = 0.05  # seconds between tries: killed processes take a moment to leave
END_WAIT = 5  # seconds for a slurmstepd: it may still be ending when Slurm runs the epilog


def job_directory(group: Path) -> Path:
    """The job's group, from that of a step or one below it.

    The outermost step counts: below it users may have made groups of any name.
    Raises LookupError for a group of no step.
    """
    for folder in (*reversed(group.parents), group):
        if folder.name.startswith(STEP):
            return folder.parent
    raise LookupError(f"{group} is in no step")


def is_removable(group: Path) -> bool:
    """Whether this can be a job's group: in a cgroup mount, and deep in Slurm's tree."""
    for mount in place.hierarchies().values():
        if group.is_relative_to(mount):
            return is_jobs(f"/{group.relative_to(mount)}")
    return False


def remove(group: Path) -> bool:
    """Kill what is left in a group and below, and remove both; true when gone.

    A group in which a slurmstepd goes on living is in use by Slurm: it is left
    alone, and so is anything that is no group of a job.
    """
    if group.exists() and not is_removable(group):
        return False
    end = time.monotonic() + END_WAIT
    tries = 0
    while tries < TRIES:
        pids = files.pids_below(group)
        if any(map(stepd.is_slurmstepd, pids)):
            if time.monotonic() > end:
                return False
        else:
            tries += 1
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
