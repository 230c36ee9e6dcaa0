"""Which images leave a node: the ones that socker brought and nobody has used for longest.

Runs as root, in `socker images prune`.  `plan` decides and is a pure function;
Pruner looks and removes.  An image that is in use stays, and so does one that
somebody else has brought or named, unless the admin asks for all.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from pycontrol import imageuse, limits, locks, shown, state
from pycontrol.engine import Engine
from pycontrol.errors import EngineError, NodeError, NotHere
from pycontrol.image import split_reference
from pycontrol.origin import origin_of
from pycontrol.plaindata import dataclass, replace
from pycontrol.state import JobState
from pycontrol.tables import age_text, size_text

STAYS, GOES, REMOVED, FAILED = "stays", "goes", "removed", "failed"
YOUNG = 600  # seconds since its last use: a job may have brought it for its next step
LOCK_WAIT = 10  # seconds for another prune


@dataclass(frozen=True)
class Cached:
    """An image of this node.

    names   tags and digests, as the engine has them
    ours    those by which socker brought it
    own     bytes that no other image shares
    used    last (seconds, epoch); None if that is not known
    in_use  by whom, in words
    """

    image_id: str
    names: tuple[str, ...]
    ours: tuple[str, ...]
    brought: bool
    size: int
    own: int
    used: float | None
    in_use: str = ""


@dataclass(frozen=True)
class Wish:
    """What the admin wants; None: no such limit.  everything: also what socker did not bring."""

    seconds: int | None
    size: int | None
    everything: bool = False


@dataclass(frozen=True)
class Decision:
    image: Cached
    what: str  # STAYS, GOES; afterwards REMOVED or FAILED
    why: str


def plan(images: Iterable[Cached], total: int, wish: Wish, now: float) -> list[Decision]:
    """What becomes of each, the one not used for longest first.

    total: bytes of all.  What images share is freed with the last of them, so
    each counts only what is its own.
    """
    decisions = []
    for image in sorted(images, key=lambda i: i.used or 0):
        why = _keeps(image, wish, now)
        if why:
            decisions.append(Decision(image, STAYS, why))
            continue
        assert image.used is not None  # else it stays
        age = age_text(image.used, now)
        if wish.seconds is not None and now - image.used > wish.seconds:
            decision = Decision(image, GOES, f"not used for {age}")
        elif wish.size is not None and total > wish.size:
            much = f"all images take {size_text(total)}, {size_text(wish.size)} are allowed"
            decision = Decision(image, GOES, f"{much}; not used for {age}")
        else:
            decision = Decision(image, STAYS, f"used {age} ago")
        total -= image.own if decision.what == GOES else 0
        decisions.append(decision)
    return decisions


def _keeps(image: Cached, wish: Wish, now: float) -> str:
    """Why it stays, whatever the limits are."""
    others = [name for name in image.names if name not in image.ours]
    if image.in_use:
        return image.in_use
    if not wish.everything and not image.brought:
        return "socker did not bring it"
    if not wish.everything and others:
        return f"socker did not bring it as {others[0]}"
    if image.used is None:
        return "when it was used is not known"
    if now - image.used < YOUNG:
        return f"used {age_text(image.used, now)} ago"
    return ""


def cached(entry: dict, used: float | None, brought_as: Iterable[str], in_use: str) -> Cached:
    """Of an entry of the engine's disk usage."""
    tags = [name for name in entry.get("RepoTags") or () if name != "<none>:<none>"]
    digests = [name for name in entry.get("RepoDigests") or () if name != "<none>@<none>"]
    known = {origin_of(name) for name in brought_as if split_reference(name)}
    places = {origin.name for origin in known}
    size, shared = int(entry["Size"]), max(0, int(entry.get("SharedSize") or 0))
    return Cached(
        image_id=entry["Id"],
        names=(*tags, *digests),
        # The engine adds the digest to a tag that is pulled.
        ours=(
            *(name for name in tags if split_reference(name) and origin_of(name) in known),
            *(name for name in digests if split_reference(name) and origin_of(name).name in places),
        ),
        brought=bool(known),
        size=size,
        own=size - shared,
        used=used,
        in_use=in_use,
    )


@dataclass(frozen=True)
class Pruner:
    engine: Engine
    root: Path
    wish: Wish

    def survey(self) -> list[Decision]:
        """What would become of each image.  Changes nothing."""
        images, total = self._look()
        return plan(images, total, self.wish, time.time())

    def prune(self) -> list[Decision]:
        """One image after the other; what is free is measured anew after each."""
        with locks.locked(self.root / "prune.lock", lambda: None, LOCK_WAIT):
            images, total = self._look()
            done: list[Decision] = []
            while True:
                decisions = plan(images, total, self.wish, time.time())
                chosen = next((d for d in decisions if d.what == GOES), None)
                if not chosen:
                    return [*done, *decisions]
                done.append(self._carry_out(chosen))
                images.remove(chosen.image)
                if self.wish.size is not None:
                    total = limits.taken(self.engine.disk_usage())

    def _look(self) -> tuple[list[Cached], int]:
        usage = self.engine.disk_usage()
        users = self._users()
        found = []
        for entry in usage.get("Images") or ():
            image_id = entry["Id"]
            names = imageuse.names(image_id)
            used = imageuse.last(image_id)
            if used is None and self.wish.everything:
                used = self._tagged(image_id)
            found.append(cached(entry, used, names, users.get(image_id, "")))
        return found, limits.taken(usage)

    def _users(self) -> dict[str, str]:
        """Of each image that is in use, by whom."""
        found = {}
        for node in self.root.glob("*"):
            for job in state.jobs(self.root, node.name):
                with contextlib.suppress(OSError, NodeError):  # its container shows it all the same
                    ids = JobState(self.root, node.name, job).image_ids()
                    found |= dict.fromkeys(ids, f"job {job} uses it")
        for entry in self.engine.containers([]):
            found[entry["ImageID"]] = f"container {entry['Id'][:12]} uses it"
        return found

    def _tagged(self, image_id: str) -> float | None:
        """When the engine gave it a name last; for one that was never used by socker."""
        try:
            return seconds_of(self.engine.tagged(image_id))
        except NotHere:
            return None

    def _carry_out(self, decision: Decision) -> Decision:
        image = decision.image
        names = image.names if self.wish.everything else image.ours
        try:
            for name in names or (image.image_id,):
                with contextlib.suppress(NotHere):  # it went with another name
                    self.engine.remove_image(name)
        except EngineError as error:
            return replace(decision, what=FAILED, why=f"{decision.why}; {error}")
        imageuse.forget(image.image_id)
        shown.forget(self.root, image.image_id)
        return replace(decision, what=REMOVED)


def seconds_of(time_text: str) -> float | None:
    """Of RFC 3339, as Go writes it; None of its zero."""
    try:
        found = datetime.fromisoformat(time_text[:19] + "+00:00").timestamp()
    except ValueError:
        return None
    return found if found > 0 else None


def rows(decisions: Iterable[Decision], now: float) -> Iterator[tuple[str, ...]]:
    for decision in decisions:
        image = decision.image
        name = image.names[0] if image.names else "-"
        used = age_text(image.used, now)
        yield (decision.what, name, image.image_id[7:19], size_text(image.size), used, decision.why)
