"""What ranks of MPI need of the node, and of each other.

Ranks find each other through PMI.  Slurm's mpi/pmi2 is an open descriptor and
PMI_ variables, and passes into a container by itself.  PMIx is a server on each
node, in slurmstepd (mpi/pmix) or in OpenMPI's mpirun, with directories that the
ranks open: these must be there inside under the names that they have outside.

Runs as root in the step's hook, but mounts nothing: the names, some of which are
the user's, are resolved by the tasks, as the user.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from pycontrol import mounts, trusted
from pycontrol.bridge import StepFacts
from pycontrol.errors import NodeError
from pycontrol.mounts import Mount

SERVER = "PMIX_SERVER_TMPDIR"
RANK_OF_MPIRUN = "OMPI_COMM_WORLD_RANK"
# What would make each task a program of its own: (Slurm's MPI, what the command's file
# has, what to tell).  Which of them holds, the task itself sees (spank_plugin/hint.c).
_NONE = (
    "the command uses MPI, but Slurm gives its tasks nothing to find each other by: each would be "
    "rank 0 of 1: add --mpi=pmix for OpenMPI, --mpi=pmi2 for MPICH"
)
_PMIX = (  # that library's name is Debian's, whose MPICH has no PMIx
    "the command uses Debian's MPICH, which does not know PMIx: each of its tasks would be rank 0 "
    "of 1: use --mpi=pmi2 in place of --mpi=pmix"
)
HINTS = (
    *(("none", n, _NONE) for n in ("libmpi.so.", "libmpich.so.", "import mpi4py", "from mpi4py")),
    ("pmix", "libmpich.so.", _PMIX),
)
_STEP = re.compile(r"pmix\.([0-9]+\.[0-9]+)")
_BASE = re.compile(r"^\s*PMIxCliTmpDirBase\s*=\s*(/\S*)", re.IGNORECASE | re.MULTILINE)


def directories(facts: StepFacts) -> Iterator[str]:
    """Those of the step's PMIx server on this node, named as Slurm names them.

    (Slurm, src/plugins/mpi/pmix/pmixp_info.c.)  The ranks' own may be missing.
    """
    if not facts.pmix_server:
        if facts.env.get(SERVER):
            yield mounts.absolute(facts.env[SERVER], SERVER)
        return
    server = mounts.absolute(facts.pmix_server, SERVER)
    yield server
    step = _STEP.fullmatch(posixpath.basename(server))
    base = facts.env.get("SLURM_PMIX_TMPDIR") or _of_mpi_conf() or _of_slurm_conf(facts)
    if step and base:
        yield mounts.absolute(f"{base}/spmix_appdir_{facts.uid}_{step[1]}", "SLURM_PMIX_TMPDIR")


def shown(facts: StepFacts) -> tuple[Mount, ...]:
    """The same as mounts; those that the job's environment names are the user's choice."""
    own = mounts.absolute(facts.pmix_server, SERVER) if facts.pmix_server else None
    users = not own or bool(facts.env.get("SLURM_PMIX_TMPDIR"))
    return tuple(
        Mount(path, path, optional=True, checked=True)
        if users and path != own
        else Mount(_without_links(path), path, optional=True, no_links=True)
        for path in directories(facts)
        if path != "/"
    )


def _without_links(path: str) -> str:
    """The site's part of it.  The last is in a directory like /tmp, where it may be a user's."""
    folder, name = posixpath.split(path)
    return posixpath.join(os.path.realpath(folder), name)


def _of_mpi_conf() -> str | None:
    """slurmd names slurm.conf to its children; mpi.conf is beside it."""
    path = Path(os.environ.get("SLURM_CONF", "/etc/slurm/slurm.conf")).with_name("mpi.conf")
    with contextlib.suppress(OSError, NodeError):
        found = _BASE.search(trusted.read(path))
        return found[1] if found else None
    return None


def _of_slurm_conf(facts: StepFacts) -> str:
    host = socket.gethostname().partition(".")[0]
    return facts.tmp_fs.replace("%h", host).replace("%n", facts.node)
