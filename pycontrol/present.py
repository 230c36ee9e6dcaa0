"""What is on a node: its images and its containers, for `socker images` and `ps`.

Root sees what the engine says.  Users do not reach the engine, and records
under /run/socker are root's: of those they see, by name, only which of their
running jobs asked for a container here.
"""

from __future__ import annotations

import pwd
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pycontrol.errors import NodeError

STATE = Path("/run/socker")
SLURM_TIMEOUT = 30  # seconds for squeue
# The engine's labels (engine.py), which must not be imported without need: with it the SDK.
JOB, NODE, USER, IMAGE = "socker.job", "socker.node", "socker.user", "socker.image"


@dataclass(frozen=True)
class PresentImage:
    """An image of this node."""

    image: str  # NAME:TAG, or `-`
    digest: str  # of the registry, or `-`
    image_id: str
    size: int  # bytes
    created: int  # seconds, epoch


@dataclass(frozen=True)
class PresentContainer:
    """A container of a job; steps: the job's running ones, on all its nodes, None if not known."""

    job: int
    steps: int | None
    image: str
    node: str
    user: str
    since: int  # seconds, epoch


def images_of(listed: Iterable[dict]) -> list[PresentImage]:
    """One entry for each name of each image."""
    found = []
    for entry in listed:
        digests = {d.partition("@")[0]: d.partition("@")[2] for d in entry["RepoDigests"] or ()}
        for name in [n for n in entry["RepoTags"] or () if n != "<none>:<none>"] or ["-"]:
            repository = name.rpartition(":")[0]
            digest = digests.get(repository, "-" if name != "-" else _only(digests))
            found.append(
                PresentImage(name, digest, entry["Id"], int(entry["Size"]), int(entry["Created"]))
            )
    return sorted(found, key=lambda image: (image.image == "-", image.image))


def _only(digests: dict[str, str]) -> str:
    return next((d for d in digests.values() if d != "<none>"), "-")


def containers_of(listed: Iterable[dict], steps: dict[int, int]) -> list[PresentContainer]:
    """Those that socker made, oldest job first."""
    found = []
    for entry in listed:
        labels = entry["Labels"]
        job = int(labels[JOB])
        found.append(
            PresentContainer(
                job=job,
                steps=steps.get(job),
                image=labels.get(IMAGE, "-"),
                node=labels.get(NODE, "-"),
                user=user_name(labels.get(USER, "-")),
                since=int(entry["Created"]),
            )
        )
    return sorted(found, key=lambda c: (c.job, c.node, c.image))


def user_name(uid: str) -> str:
    """The account's name, or the number itself."""
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except (KeyError, ValueError):
        return uid


def job_numbers(squeue: str) -> dict[str, int]:
    """The number behind each job's name, of `squeue -o "%i %A"`: 12_3 is job 15, say."""
    pairs = (line.split() for line in squeue.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def count_steps(squeue: str, numbers: dict[str, int]) -> dict[int, int]:
    """Running steps of each job, of `squeue -s -o %i`; no user's command is in an extern step."""
    found = dict.fromkeys(numbers.values(), 0)
    for name in squeue.split():
        job, _, step = name.rpartition(".")
        if step != "extern" and job in numbers:
            found[numbers[job]] += 1
    return found


def own_containers(steps: dict[int, int], uid: int, state: Path = STATE) -> list[PresentContainer]:
    """What a user can know: which jobs with these steps asked for a container on this node."""
    nodes = sorted(path for path in _folders(state) if path.name not in ("pulls", "files"))
    found = []
    for job in sorted(steps):
        for node in nodes:
            try:  # the directory above can be passed through, not listed
                since = int((node / str(job) / "groups").lstat().st_mtime)
            except OSError:
                continue
            found.append(
                PresentContainer(job, steps[job], "-", node.name, user_name(str(uid)), since)
            )
    return found


def _folders(state: Path) -> list[Path]:
    try:
        return [path for path in state.iterdir() if path.is_dir()]
    except OSError:
        return []


def squeue(*options: str) -> str:
    """What squeue prints without its head line; NodeError when it cannot."""
    try:
        done = subprocess.run(
            ["squeue", "--noheader", *options],
            capture_output=True, text=True, timeout=SLURM_TIMEOUT,
        )  # fmt: skip
    except FileNotFoundError:
        raise NodeError("squeue: not in PATH: is this a host of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise NodeError("squeue: no answer from Slurm in time: try again") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise NodeError(f"squeue: Slurm does not answer ({said}): try again, or tell the admin")
    return done.stdout


# --- shown ------------------------------------------------------------------------


def size_text(size: int) -> str:
    """Bytes as `docker images` shows them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"


def age_text(since: float, now: float | None = None) -> str:
    """The largest whole unit."""
    seconds = max(0, int((time.time() if now is None else now) - since))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as what is in them."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def image_table(found: Iterable[PresentImage], now: float | None = None) -> str:
    rows = [
        (i.image, i.digest[:19], i.image_id[7:19], size_text(i.size), age_text(i.created, now))
        for i in found
    ]
    return table(("IMAGE", "DIGEST", "ID", "SIZE", "AGE"), rows)


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def container_table(found: Iterable[PresentContainer], now: float | None = None) -> str:
    rows = [
        (str(c.job), _number(c.steps), c.image, c.node, c.user, age_text(c.since, now))
        for c in found
    ]
    return table(("JOB", "STEPS", "IMAGE", "NODE", "USER", "AGE"), rows)


def as_json(found: Iterable[PresentImage] | Iterable[PresentContainer]) -> list[dict]:
    return [asdict(entry) for entry in found]
