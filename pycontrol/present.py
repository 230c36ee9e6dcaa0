"""What is on a node: its images and its containers, for `socker images` and `ps` (tables.py).

Root sees what the engine says; users what the hooks have written down for them
(shown.py).
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path

from pycontrol.origin import digest_of
from pycontrol.plaindata import dataclass

STATE = Path("/run/socker")
LARGEST = 1 << 20  # bytes of a file to be read
# The engine's labels (engine.py), which users' commands have no need of.
JOB, NODE, USER = "socker.job", "socker.node", "socker.user"
IMAGE, DIGEST = "socker.image", "socker.digest"

Steps = Mapping[int, set[str]]  # the running steps of each job, as squeue names them


@dataclass(frozen=True)
class PresentImage:
    """An image of this node."""

    image: str  # NAME:TAG, or `-`
    digest: str  # of the registry, or `-`
    image_id: str
    size: int  # bytes
    created: int | None = None  # seconds, epoch; where the engine was asked
    used: int | None = None  # the same, by the user who asks; else


@dataclass(frozen=True)
class PresentContainer:
    """A container of a job; steps: the running ones in it, None if not known."""

    job: int
    steps: tuple[str, ...] | None
    image: str
    node: str
    user: str
    since: int  # seconds, epoch
    digest: str = ""  # of the registry that the image came from


# --- root's view ------------------------------------------------------------------


def images_of(listed: Iterable[dict]) -> list[PresentImage]:
    """One entry for each name of each image."""
    found = []
    for entry in listed:
        digests = [d for d in entry["RepoDigests"] or () if d != "<none>@<none>"]
        for name in [n for n in entry["RepoTags"] or () if n != "<none>:<none>"] or ["-"]:
            digest = digest_of(name, digests)
            if name == "-" and digests:
                digest = digests[0].partition("@")[2]
            size, created = int(entry["Size"]), int(entry["Created"])
            found.append(PresentImage(name, digest or "-", entry["Id"], size, created))
    return sorted(found, key=lambda image: (image.image == "-", image.image))


def containers_of(
    listed: Iterable[dict], running: Steps | None, state: Path = STATE
) -> list[PresentContainer]:
    """Those that socker made, oldest job first."""
    found = []
    for entry in listed:
        labels = entry["Labels"]
        job, node = int(labels[JOB]), labels.get(NODE, "-")
        key = _key_of(entry["Id"], state / node / str(job))
        found.append(
            PresentContainer(
                job=job,
                steps=_steps_in(state / node / str(job), key, running, job),
                image=labels.get(IMAGE, "-"),
                node=node,
                user=user_name(labels.get(USER, "-")),
                since=int(entry["Created"]),
                digest=labels.get(DIGEST, ""),
            )
        )
    return sorted(found, key=lambda c: (c.job, c.node, c.image))


def _key_of(container: str, job: Path) -> str:
    """What its files are called, by the record that names it; "" without one."""
    for path in job.glob("*.json"):
        record = _read(path)
        if isinstance(record, dict) and record.get("container") == container:
            return path.stem
    return ""


def user_name(uid: str) -> str:
    """The account's name, or the number itself."""
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except (KeyError, ValueError):
        return uid


# --- a user's view ----------------------------------------------------------------


def own_images(uid: int, state: Path = STATE) -> list[PresentImage]:
    """What the user has run here, and what of the site's list is here."""
    found: dict[str, PresentImage] = {}
    for name in ("listed", str(uid)):
        for entry in _read(state / "images" / f"{name}.shown") or ():
            found[entry["image"]] = PresentImage(**entry)
    return [found[name] for name in sorted(found)]


def own_containers(running: Steps, uid: int, state: Path = STATE) -> list[PresentContainer]:
    """The containers on this node of the user's running jobs."""
    found = []
    for job in sorted(running):
        for node in sorted(_folders(state)):
            folder = node / str(job)  # the node's can be passed through, not listed
            for entry in _read(folder / "shown") or ():
                found.append(
                    PresentContainer(
                        job=job,
                        steps=_steps_in(folder, entry["key"], running, job),
                        image=entry["image"],
                        node=node.name,
                        user=user_name(str(uid)),
                        since=entry["since"],
                        digest=entry.get("digest", ""),
                    )
                )
    return found


def _folders(state: Path) -> list[Path]:
    try:
        return [path for path in state.iterdir() if path.is_dir()]
    except OSError:
        return []


def _read(path: Path):
    """The JSON that a hook has written; None where there is none for the caller."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read(LARGEST))
    except (OSError, ValueError):
        return None


# --- steps ------------------------------------------------------------------------


def _steps_in(job: Path, key: str, running: Steps | None, number: int) -> tuple[str, ...] | None:
    """Those that joined a container and run still, in the order in which they came."""
    if running is None:
        return None
    try:
        with open(job / f"{key}.steps") as file:
            came = dict.fromkeys(_tail(file.fileno()).split())
    except OSError:
        return ()
    return tuple(step for step in came if step in running.get(number, ()))


def _tail(descriptor: int) -> str:
    """The end of a file that may be long: what runs still has not begun long ago."""
    start = max(0, os.fstat(descriptor).st_size - LARGEST)
    return os.pread(descriptor, LARGEST, start).decode()


def job_numbers(squeue: str) -> dict[str, int]:
    """The number behind each job's name, of `squeue -o "%i %A"`: 12_3 is job 15, say."""
    pairs = (line.split() for line in squeue.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def running_steps(squeue: str, numbers: Mapping[str, int]) -> dict[int, set[str]]:
    """Of each job, by `squeue -s -o %i`."""
    found: dict[int, set[str]] = {number: set() for number in numbers.values()}
    for name in squeue.split():
        job, _, step = name.rpartition(".")
        if job in numbers:
            found[numbers[job]].add(step)
    return found
