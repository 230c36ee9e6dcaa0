"""Removes the groups of a job that Slurm could not remove itself.

When a slurmstepd is killed, Slurm forgets its step's groups and whatever runs
in them.  Used by the job's epilog, as root, after all steps have ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from pathlib import Path

from cgroup import files, place
from cgroup.paths import EXTERN_STEP

TRIES = 50
PAUSE = 0.05  # seconds between tries: killed processes take a moment to leave


def job_directory(group: Path) -> Path:
    """The job's group, from the group of its extern step or one below it."""
    while group.name != EXTERN_STEP and group != group.parent:
        group = group.parent
    return group.parent


def _slurmstepd_lives(pids: list[int]) -> bool:
    programs = (place.executable(pid) for pid in pids)
    return any(program and Path(program).name == "slurmstepd" for program in programs)


def remove(group: Path) -> bool:
    """Kill what is left in a group and below, and remove both; true when gone.

    A group in which a slurmstepd lives is in use by Slurm: it is left alone.
    """
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
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
    return not group.exists()
