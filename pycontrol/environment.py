"""The environment inside: one pure function, documented in docs/user/options.md.

what                                            who wins
1. SLURM_*, PMI*, and what Slurm sets for GPUs  the job, always
2. HOME, USER, LOGNAME, SHELL                   the user's account
3. any variable that the image sets             the image
4. PATH and others that name the node's files   the image, else unset
5. everything else                              the job
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# What an engine gives a container whose image sets no PATH (moby, oci/defaults).
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Slurm's own, of which an image must not lie to the tasks.
JOB_PREFIXES = ("SLURM_", "SLURMD_", "PMI", "SPANK_", "_SLURM_")
JOB_VARIABLES = frozenset(
    {"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
)

# They name files of the node, which are not there, or are others, inside.
NODE_VARIABLES = (
    "PATH",
    "BASH_ENV",
    "CPATH",
    "INFOPATH",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LIBRARY_PATH",
    "LOCPATH",
    "MANPATH",
    "PERL5LIB",
    "PKG_CONFIG_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "TERMINFO",
)


@dataclass(frozen=True)
class Changes:
    """What to do to the job's environment: `set` these, `remove` those."""

    set: dict[str, str]
    remove: tuple[str, ...]


def _is_jobs(name: str) -> bool:
    return name.startswith(JOB_PREFIXES) or name in JOB_VARIABLES


def _parsed(entries: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE entries of an image; one without a name is dropped."""
    pairs = (entry.partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name and "\0" not in value}


def merge(job: Mapping[str, str], image: Iterable[str], account: Mapping[str, str]) -> Changes:
    """The changes that turn the job's environment into the container's.

    job      the job's environment
    image    the image's ENV, as "NAME=VALUE"
    account  HOME, USER and friends of the user
    """
    wanted = {"PATH": DEFAULT_PATH}
    wanted |= {name: value for name, value in _parsed(image).items() if not _is_jobs(name)}
    wanted |= account
    return Changes(
        set={name: value for name, value in wanted.items() if job.get(name) != value},
        remove=tuple(name for name in NODE_VARIABLES if name in job and name not in wanted),
    )
