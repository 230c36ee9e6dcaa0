"""The environment inside: one pure function, documented in docs/user/options.md.

higher lines win                                 come from
1. SLURM_*, PMI*, and what Slurm sets for GPUs   the job, always
   SOCKER_IMAGE_DIGEST                           the image that runs
2. --container-env NAME=VALUE                    the command line
3. --container-env-file                          the file
4. --container-env NAME                          the job
5. HOME, USER, LOGNAME                           the user's account
6. any variable that the image sets              the image
7. PATH and others that name the node's files    nobody: removed (PATH: a default)
8. everything else                               the job
9. PyTorch's ranks, for images that are of it    the step (pytorch.py)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pycontrol.errors import UserError
from pycontrol.plaindata import dataclass, field

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPTION = "--container-env"

# What an engine gives a container whose image sets no PATH (moby, oci/defaults).
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Slurm's own, of which an image must not lie to the tasks.
JOB_PREFIXES = ("SLURM_", "SLURMD_", "PMI", "OMPI_COMM_WORLD_", "SPANK_", "_SLURM_")
JOB_VARIABLES = frozenset(
    {"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
)

DIGEST = "SOCKER_IMAGE_DIGEST"  # of the image that the step runs (plan.py)

# They name files of the node, which are not there, or are others, inside.
NODE_VARIABLES = (
    "PATH",
    "BASH_ENV",
    "CPATH",
    "INFOPATH",
    "I_MPI_PMI_LIBRARY",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LIBRARY_PATH",
    "LOCPATH",
    "MANPATH",
    "OPAL_PREFIX",
    "PERL5LIB",
    "PKG_CONFIG_PATH",
    "PMIX_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "TERMINFO",
)


@dataclass(frozen=True)
class Wishes:
    """What the user says of variables: the job's to keep, and ones to set."""

    keep: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()


NO_WISHES = Wishes()


@dataclass(frozen=True)
class Defaults:
    """Where nobody else sets them: values, and names of a task's own variables."""

    set: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)


NO_DEFAULTS = Defaults()


@dataclass(frozen=True)
class Changes:
    """What to do to the job's environment: `set`, `remove`, and `copies` of others."""

    set: dict[str, str]
    remove: tuple[str, ...]
    copies: dict[str, str] = field(default_factory=dict)


def _is_jobs(name: str) -> bool:
    return name.startswith(JOB_PREFIXES) or name in JOB_VARIABLES or name == DIGEST


def _parsed(entries: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE entries of an image; one without a name is dropped."""
    pairs = (entry.partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name and "\0" not in name + value}


def _checked_name(name: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{where}: `{name}` is no variable's name: write NAME or NAME=VALUE, with letters, "
            "digits and _"
        )
    return name


def _checked_pair(entry: str, where: str) -> tuple[str, str]:
    name, _, value = entry.partition("=")
    if _is_jobs(_checked_name(name, where)):
        whose = "socker's" if name == DIGEST else "Slurm's"
        raise UserError(f"{where}: {name} is {whose} own and cannot be set: leave it out")
    return name, value


def parse_option(text: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """NAME[=VALUE],...: (the names to keep, the pairs to set).

    A value ends at the next comma; one that holds a comma belongs into a file.
    """
    entries = text.split(",")
    keep = tuple(_checked_name(entry, OPTION) for entry in entries if "=" not in entry)
    return keep, tuple(_checked_pair(entry, OPTION) for entry in entries if "=" in entry)


def parse_file(text: str, path: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The same of a file as `docker run --env-file` reads it: one a line, # comments."""
    keep: list[str] = []
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.removesuffix("\r").lstrip()
        if not entry or entry.startswith("#"):
            continue
        where = f"--container-env-file: {path}, line {number}"
        if "\0" in entry:
            raise UserError(f"{where}: it is no text")
        if "=" in entry:
            pairs.append(_checked_pair(entry, where))
        else:
            keep.append(_checked_name(entry.rstrip(), where))
    return tuple(keep), tuple(pairs)


def merge(
    job: Mapping[str, str],
    image: Iterable[str],
    account: Mapping[str, str],
    wishes: Wishes = NO_WISHES,
    last_in_path: str = "",
    defaults: Defaults = NO_DEFAULTS,
) -> Changes:
    """The changes that turn the job's environment into the container's.

    They are the same for most jobs: only what has to be looked up there is (reads.py).

    job      the job's environment
    image    the image's ENV, as "NAME=VALUE"
    account  HOME, USER and friends of the user
    wishes   of --container-env and --container-env-file, later ones winning
    last_in_path  a directory at PATH's end
    defaults where neither of these says anything
    """
    wanted = {"PATH": DEFAULT_PATH}
    wanted |= {name: value for name, value in _parsed(image).items() if not _is_jobs(name)}
    wanted |= account
    kept = (name for name in wishes.keep if not _is_jobs(name))
    wanted |= {name: job[name] for name in kept if name in job}
    wanted |= dict(wishes.set)
    if last_in_path and last_in_path not in wanted["PATH"].split(":"):
        wanted["PATH"] = ":".join(filter(None, (wanted["PATH"], last_in_path)))

    def is_known(name: str) -> bool:
        return name in wanted or name in job

    copies = {name: other for name, other in defaults.copies.items() if not is_known(name)}
    wanted |= {name: value for name, value in defaults.set.items() if not is_known(name)}
    remove = tuple(name for name in NODE_VARIABLES if name not in wanted)
    return Changes(set=wanted, remove=remove, copies=copies)
