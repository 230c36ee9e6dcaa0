"""What users may see of a node: their jobs' containers, and the images that they have run.

Written by the hooks as root, read by `socker ps` and `socker images` as the user.
Users reach neither the engine nor root's records, and names of images are kept
from other users: they can tell what somebody works on.

    /run/socker/NODE/JOB/shown       the job's containers; its owner's to read
    /run/socker/NODE/JOB/KEY.steps   the steps that joined one, a line each
    /run/socker/images/UID.shown     the images that a user has run; the user's to read
    /run/socker/images/UID.json      the same, root's: what a user can change is not believed
    /run/socker/images/listed.shown  those of the site's list that the node has; everybody's

Nothing here decides anything, so no failure of it fails a step.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pycontrol import locks, state, trusted
from pycontrol.bridge import StepFacts
from pycontrol.errors import NodeError
from pycontrol.filename import file_name
from pycontrol.image import Image
from pycontrol.policy import ContainerSpec
from pycontrol.state import JobState, Record

FOLDER, LISTED, CONTAINERS = "images", "listed", "shown"
MOST_IMAGES = 50  # of one user on a node; the one not used for longest goes
LOCK_WAIT = 5  # seconds
HARMLESS = (OSError, NodeError, ValueError, LookupError, TypeError)
# slurm.h: SLURM_BATCH_SCRIPT, SLURM_INTERACTIVE_STEP; as squeue names them.
EXTERN = 0xFFFFFFFC  # SLURM_EXTERN_CONT: of hooks.job_start
_STEP_NAMES = {0xFFFFFFFB: "batch", 0xFFFFFFFA: "interactive"}


def steps_file(facts: StepFacts, spec: ContainerSpec) -> Path:
    job = JobState(facts.state_root, facts.node, facts.job_id)
    return job.folder / f"{file_name(spec.key)}.steps"


def joined(spec: ContainerSpec, facts: StepFacts, record: Record, made: bool) -> None:
    """A step has the container; `made`: no other had it before."""
    job = JobState(facts.state_root, facts.node, facts.job_id)
    with contextlib.suppress(*HARMLESS):
        if facts.step_id != EXTERN:
            with open(steps_file(facts, spec), "a") as file:
                file.write(f"{_STEP_NAMES.get(facts.step_id, facts.step_id)}\n")
        if made:
            used(facts.state_root, facts.uid, record.made_of, record.image)
    if made:
        containers(job, facts.uid)


def containers(job: JobState, uid: int) -> None:
    """The job's containers as its owner sees them, made from root's records."""
    with contextlib.suppress(*HARMLESS):
        found = [
            {
                "key": key,
                "image": record["made_of"],
                "digest": record["digest"],
                "since": since,
            }
            for key, record, since in records(job.folder)
        ]
        state.write(job.folder / CONTAINERS, json.dumps(found), mode=0o400, owner=uid)


def records(job: Path) -> Iterator[tuple[str, dict, int]]:
    """Root's records of a job's containers, each with its key and when it was made."""
    for path in sorted(job.glob("*.json")):
        yield path.stem, json.loads(trusted.read(path)), int(path.stat().st_mtime)


def used(root: Path, uid: int, name: str, image: Image) -> None:
    """The user has run this image on this node."""
    from pycontrol.origin import digest_of  # not for steps that only join

    entry = {
        "image": name,
        "digest": digest_of(name, image.digests) or "-",
        "image_id": image.image_id,
        "size": image.size,
        "used": int(time.time()),
    }
    path = root / FOLDER / f"{uid}.json"
    with locks.locked(path.with_suffix(".lock"), lambda: None, LOCK_WAIT):
        kept = [other for other in _read(path) if other["image"] != name]
        _write(path, uid, [entry, *kept][:MOST_IMAGES])


def _read(path: Path) -> list[dict]:
    """Nothing where there is nothing to be read."""
    try:
        return json.loads(trusted.read(path))
    except (OSError, ValueError):
        return []


def forget(root: Path, image_id: str) -> None:
    """The node does not have the image any more."""
    with contextlib.suppress(*HARMLESS):
        for path in (root / FOLDER).glob("*.json"):
            with locks.locked(path.with_suffix(".lock"), lambda: None, LOCK_WAIT):
                _write(path, int(path.stem), _without(image_id, path))
        if (path := _listed(root)).exists():
            listed(root, _without(image_id, path))


def _without(image_id: str, path: Path) -> list[dict]:
    return [entry for entry in _read(path) if entry["image_id"] != image_id]


def _write(path: Path, uid: int, entries: list[dict]) -> None:
    text = json.dumps(entries)
    state.write(path, text, mode=0o600)
    state.write(path.with_suffix(".shown"), text, mode=0o400, owner=uid)


def _listed(root: Path) -> Path:
    return root / FOLDER / f"{LISTED}.shown"


def listed(root: Path, found: Iterable[dict]) -> None:
    """Those images of the site's list that the node has."""
    path = _listed(root)
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    state.write(path, json.dumps(list(found)), mode=0o644)
