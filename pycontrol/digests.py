"""One digest for a job: what its image's tag stands for when it is asked for first.

Runs in srun, sbatch and salloc, as the user (submit.py).  The digest goes along
with the options of the step, so all its nodes run the same; of a job's own image
it is in the job's environment (spank_plugin/digest.c).  What an srun inside a job
asks for by itself is remembered for that job's later ones:

    ~/.cache/socker/JOB.KEY     the digest, or nothing: each node shall ask by itself

JOB is a random word that sbatch and salloc put into their job's environment, with
the job's number: those begin anew when a cluster does.  With its array's number a
digest counts for all tasks of that; that there was none counts for one job only.
All of this is the user's own word, and worth no more: the node asks the registry
whether this user may read that digest (confirm.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pycontrol.errors import SockerError
from pycontrol.image import Reference, is_digest
from pycontrol.origin import origin_of

PATIENCE = 5  # seconds that a submission may wait for registry, helper and all
JOB = "SLURM_SOCKER_JOB"
KEPT = 60 * 24 * 3600  # seconds since its last use


def is_open(reference: Reference) -> bool:
    """Whether its name leaves open which content it has."""
    return reference.source == "registry" and "@" not in reference.text


def remembered(reference: Reference, env: Mapping[str, str]) -> str | None:
    """What an earlier step of this job or array got; None when there was none."""
    known = None
    for memory in _memories(reference, env):
        known = _read(memory)
        if known:
            return known
    return known


def resolve(reference: Reference, env: Mapping[str, str]) -> str:
    """The digest of a tag; "" where it is not known here."""
    found = _ask(reference, env)
    memories = _memories(reference, env)
    if found is None or not memories:
        return found or ""
    return _remember(memories[0 if found else -1], found)


def _ask(reference: Reference, env: Mapping[str, str]) -> str | None:
    """The same; None when the registry refuses: the node has its words for the user."""
    from pycontrol import credentials, patience, registry, registryhttp, route

    origin = origin_of(reference.text)
    late = f"registry {origin.registry}: no answer within {PATIENCE} s"
    try:
        with patience.within(PATIENCE, late, registryhttp.Unreachable):
            found = credentials.look_up(origin.registry, os.path.expanduser("~"), env)
            way = route.of_environment(env)
            http = registryhttp.Http(origin.registry, origin.repository, found, way, "pull")
            return registry.names(http, origin, origin.tag)
    except registryhttp.Unreachable as error:
        print(
            f"socker: image {reference.text}: which digest its tag stands for cannot be asked "
            f"here ({error}): each node asks by itself",
            file=sys.stderr,
        )
        return ""
    except SockerError:
        return None


# --- what a job's later steps shall know ------------------------------------------


def _memories(reference: Reference, env: Mapping[str, str]) -> list[Path]:
    """Where it is kept: by the array and by the job, whichever there are."""
    word, job, array = (env.get(n, "") for n in (JOB, "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID"))
    if not re.fullmatch(r"[0-9a-f]{32}", word) or not job.isdecimal():
        return []
    import hashlib  # with it OpenSSL

    key = hashlib.sha256(reference.text.encode()).hexdigest()[:24]
    folder = Path(env.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "socker"
    numbers = [array, job] if array.isdecimal() else [job]
    return [folder / f"{word}-{number}.{key}" for number in numbers]


def _read(path: Path) -> str | None:
    """The digest; "" where there is none; None without a file."""
    try:
        known = path.read_text()
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # an array may last longer than what nobody uses
    return known if is_digest(known) else ""


def _remember(path: Path, digest: str) -> str:
    """The first that was found, if two ask at once, on this node or on others."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(path.parent)
        draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        draft.write_text(digest)
        try:
            os.link(draft, path)
        except FileExistsError:
            return _read(path) or digest
        finally:
            draft.unlink()
    except OSError:  # no home here, or a full one: this step has its digest all the same
        pass
    return digest


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - KEPT:
                path.unlink()
