"""A `socker run` that OpenMPI's mpirun has started as one of its ranks.

    mpirun -np N socker run IMAGE COMMAND

On each node mpirun (or its orted) starts the ranks, and a PMIx server that knows
them by their variables.  COMMAND becomes a step of one task on the very node of
this rank; with the rank's variables it is the rank.  Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pycontrol.errors import UserError
from pycontrol.mpi import RANK_OF_MPIRUN

# Of the srun that started orted: they would steer ours.
_STEERS = re.compile(r"SLURM_(NTASKS|NPROCS|NNODES|DISTRIBUTION|CPU_BIND|MEM_BIND|KILL_BAD_EXIT)")


def is_rank(environ: Mapping[str, str]) -> bool:
    return RANK_OF_MPIRUN in environ


def refuse_mpichs(environ: Mapping[str, str]) -> None:
    """MPICH's mpiexec gives each rank an open descriptor, which no step can get."""
    if "MPI_LOCALNRANKS" in environ and "PMI_FD" in environ:
        raise UserError(
            "run: MPICH's mpiexec has started it: its ranks cannot be steps: let srun start them: "
            "srun --mpi=pmi2 -n N --container-image=IMAGE COMMAND"
        )


def check(environ: Mapping[str, str], tasks: int | None, said: Iterable[str]) -> None:
    """Nothing that one rank of mpirun cannot be."""
    if not environ.get("SLURM_JOB_ID"):
        raise UserError(
            "run: mpirun has started it, but not in an allocation: ranks would be jobs of their "
            "own: put mpirun into a batch script or into salloc"
        )
    if tasks not in (None, 1) or said:
        what = "-n" if tasks not in (None, 1) else sorted(said)[0]
        raise UserError(
            f"run: {what}: each rank of mpirun is one task on its node: say how many ranks with "
            "mpirun -np, and where with mpirun's options"
        )


def options(environ: Mapping[str, str], host: str, cpus: Iterable[int]) -> list[str]:
    """Of an srun for this rank: here, with its variables, on the CPUs that mpirun chose."""
    node = environ.get("SLURMD_NODENAME") or host.partition(".")[0]
    mask = sum(1 << cpu for cpu in cpus)
    return [
        "--ntasks=1",
        "--nodes=1",
        f"--nodelist={node}",
        "--overlap",
        "--mem=0",
        "--mpi=none",
        "--export=ALL",
        f"--cpu-bind=mask_cpu:{mask:#x}",
    ]


def without_orteds(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not _STEERS.match(name)}
