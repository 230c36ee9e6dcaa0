"""Variables by which PyTorch's ranks find each other: as torchrun sets them.

For images that set PYTORCH_VERSION; a convention of the field (enroot has it,
too).  Pure functions; docs/user/mpi.md has the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pycontrol import reads
from pycontrol.bridge import StepFacts
from pycontrol.environment import NO_DEFAULTS, Defaults
from pycontrol.mpi import RANK_OF_MPIRUN

MARK = "PYTORCH_VERSION="
FIRST_SPECIAL_STEP = 0xFFFFFFF0  # slurm.h: the batch script and the like are above
FIRST_PORT, PORTS = 61000, 4536  # where no system takes its ephemeral ports from


def defaults(image_env: Iterable[str], facts: StepFacts) -> Defaults:
    """None for other images, for scripts, and for ranks that mpirun counts."""
    if not any(entry.startswith(MARK) for entry in image_env):
        return NO_DEFAULTS
    reads.tasks_matter = True
    tasks = facts.env.get("SLURM_STEP_NUM_TASKS", "")
    special = facts.step_id >= FIRST_SPECIAL_STEP
    if special or RANK_OF_MPIRUN in facts.env or not tasks.isdecimal():
        return NO_DEFAULTS
    values = {
        "MASTER_ADDR": first_host(facts.env.get("SLURM_STEP_NODELIST", "")),
        "MASTER_PORT": str(FIRST_PORT + facts.job_id % PORTS),
        "WORLD_SIZE": tasks,
        "LOCAL_WORLD_SIZE": str(facts.local_tasks),
    }
    if facts.env.get("SLURM_STEP_NUM_NODES") != tasks:
        values["OMP_NUM_THREADS"] = "1"
    return Defaults(values, {"RANK": "SLURM_PROCID", "LOCAL_RANK": "SLURM_LOCALID"})


def first_host(hostlist: str) -> str:
    """Of Slurm's n[01-04,7],m2: n01."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", hostlist)
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first[0] if first else "")
