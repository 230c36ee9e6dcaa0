"""Which jobs Slurm runs on this node, by its slurmstepds.

A slurmstepd names its step in its title, "slurmstepd: [12.0]", and lives as long
as it; that of the extern step as long as the job.  Used by `socker gc` and the
epilog, as root.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from cgroup import files, place

# "[12.batch]", "[12.0+1 stepmgr]"; without a job's number it is a SLUID.
_TITLE = re.compile(r"slurmstepd: \[(?:(\d+)\b)?")


def is_slurmstepd(pid: int) -> bool:
    """Debian calls the program slurmstepd-wlm; a user's namesake is not root's."""
    program = place.executable(pid) or ""
    return Path(program).name.startswith("slurmstepd") and place.is_roots(pid)


def job_of(title: str) -> int | None:
    """The job that a step's title names by its number; LookupError where it is no step's."""
    match = _TITLE.match(title)
    if not match:  # `slurmstepd infinity`, and the like
        raise LookupError(title)
    return int(match[1]) if match[1] else None


def running() -> dict[int | None, int]:
    """A slurmstepd's pid by the job it works for; None: of those that tell no number."""
    found: dict[int | None, int] = {}
    for pid in _pids():
        if is_slurmstepd(pid):
            with contextlib.suppress(OSError, LookupError):  # it has ended meanwhile; no step's
                found[job_of(files.read_proc(pid, "cmdline"))] = pid
    return found


def _pids() -> list[int]:
    with os.scandir(files.PROC) as entries:
        return [int(entry.name) for entry in entries if entry.name.isdecimal()]
