"""Pulls an image, once per node however many steps ask for it.

The first step takes the image's lock and pulls; the others wait, and find the
image.  When the pull failed those of the same user get its error: a wrong name
is asked for once.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pycontrol import imageuse, limits, locks, retry, state
from pycontrol.bridge import Channel
from pycontrol.config import Config
from pycontrol.credentials import Credentials
from pycontrol.engine import Engine
from pycontrol.errors import EngineError, PolicyError, UserError
from pycontrol.image import Image, Reference
from pycontrol.patience import Teller, within
from pycontrol.plaindata import dataclass, field

LONGEST_ANSWER = 4096  # bytes kept for those who wait


@dataclass
class Progress:
    """What the engine's events add up to, in bytes and layers."""

    total: dict[str, int] = field(default_factory=dict)  # 0: not known yet
    come: dict[str, int] = field(default_factory=dict)
    unpacked: dict[str, int] = field(default_factory=dict)
    here: set[str] = field(default_factory=set)  # layers of which all has come
    done: set[str] = field(default_factory=set)

    def add(self, event: dict) -> None:
        """Take one event of the engine's pull stream."""
        layer, status = event.get("id"), event.get("status", "")
        detail = event.get("progressDetail") or {}
        if not layer or status.startswith("Pulling from"):
            return
        total = self.total[layer] = max(self.total.get(layer, 0), detail.get("total", 0))
        if status == "Downloading":
            self.come[layer] = detail.get("current", 0)
        elif status in _HERE:
            self.here.add(layer)
            self.come[layer] = total
        if status == "Extracting":
            self.unpacked[layer] = detail.get("current", 0)
        elif status in _DONE:
            self.done.add(layer)
            self.unpacked[layer] = total

    @property
    def size(self) -> int:
        """Bytes that come: compressed, so less than there will be."""
        return sum(self.total.values())

    def amount(self) -> tuple[str, int, int]:
        """What goes on, and its bytes: layers are unpacked while others still come."""
        if not self.total:
            return "asking the registry for", 0, 0
        pulling = len(self.here) < len(self.total)
        counted = self.come if pulling else self.unpacked
        doing = "pulling" if pulling else "unpacking"
        return doing, sum(counted.values()), self.size

    def note(self) -> str:
        if not self.total:
            return ""
        text = f"{len(self.done)} of {len(self.total)} layers complete"
        unknown = sum(not size for layer, size in self.total.items() if layer not in self.here)
        return f"{text}, the size of {unknown} not known yet" if unknown else text


_DONE = ("Pull complete", "Already exists")
_HERE = (*_DONE, "Verifying Checksum", "Download complete", "Extracting")


@dataclass(frozen=True)
class Wanted:
    """What a step wants to have on this node.

    digest       "" where only the engine's pull will say it
    afresh       a pull shall ask the registry, also if the node has the image
    present      what the node has of it
    names        what the engine may be asked for, one after the other
    credentials  the user's for the registry
    """

    reference: Reference
    digest: str
    afresh: bool
    present: Callable[[], Image | None]
    names: Callable[[], Iterable[str]]
    credentials: Callable[[], Credentials | None]


class Puller:
    """Brings one image to this node for one step of a user's."""

    def __init__(
        self,
        engine: Engine,
        config: Config,
        channel: Channel,
        root: Path,
        since: float,
        uid: int,
    ):
        self._engine = engine
        self._config = config
        self._channel = channel
        self._root = root
        self._since = since  # epoch seconds: when the step began to ask
        self._limits = limits.of(config)
        self._uid = uid
        self._teller = Teller(channel, config.progress_interval)

    def bring(self, wanted: Wanted) -> Image:
        """The image, after a pull by this step or by another."""
        self._channel.ask_for_time(self._config.pull_timeout + self._config.engine_timeout)
        lock = state.pull_lock(self._root, wanted.digest or wanted.reference.text)

        def waiting() -> None:
            self._teller.tell("waiting for another step's pull of", wanted.reference.text)

        with locks.locked(lock, waiting, self._config.pull_timeout) as descriptor:
            return self._bring_locked(wanted, descriptor)

    def _bring_locked(self, wanted: Wanted, lock: int) -> Image:
        """Who waited while another pulled takes what came of that, also the user's own failure."""
        name = f"{self._uid} {wanted.reference.text} {wanted.digest}"
        answer = self._answer_of_another(name, lock)
        if answer:
            raise UserError(answer)
        image = wanted.present()
        if image and (not wanted.afresh or answer is not None):
            return image
        if self._limits.watch_room:
            self._limits.check_room(wanted.reference.text, limits.taken(self._engine.disk_usage()))
        try:
            image = self._pull(wanted, image)
        except UserError as error:  # the registry's answer; others' troubles are their own
            if self._channel.has_environment:
                _note_answer(name, lock, str(error))
            raise
        _note_answer(name, lock, "")
        return image

    def _pull(self, wanted: Wanted, before: Image | None) -> Image:
        text = wanted.reference.text
        seconds = self._config.pull_timeout
        too_long = (
            f"image {text}: the pull took longer than pull_timeout = {seconds} s: "
            "try again, what came is kept"
        )
        names, credentials = list(wanted.names()), wanted.credentials()
        ends = time.monotonic() + seconds
        with within(seconds, too_long):
            for name in names:
                self._insist(name, credentials, text, ends)
                image = wanted.present()
                if image:
                    self._within_limits(image, name, text)
                    if not before or before.image_id != image.image_id:
                        imageuse.note_brought(image.image_id, name)
                    return image
        raise EngineError(f"image {text}: pulled, but the engine does not have it")

    def _insist(self, name: str, credentials: Credentials | None, text: str, ends: float) -> None:
        """A registry that is busy, fails or hangs up is asked again a little later.

        Not for a layer, which the engine itself has asked for several times.  Nor by an early
        start: after it the job's step asks in its own time, and its user sees that it waits.
        """
        for pause in retry.pauses(retry.PULL if self._channel.has_environment else ()):
            progress = Progress()
            try:
                return self._pull_name(name, credentials, text, progress)
            except UserError as error:
                too_late = time.monotonic() + pause > ends
                if progress.total or too_late or not retry.may_pass(str(error)):
                    raise
                self._channel.log(f"{error}: again in {pause:.1f} s")
            self._wait(pause, text)
        return self._pull_name(name, credentials, text, Progress())

    def _wait(self, seconds: float, text: str) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._teller.tell("waiting for the registry, which is busy or failed, for", text)
            time.sleep(locks.POLL)

    def _pull_name(
        self, name: str, credentials: Credentials | None, text: str, progress: Progress
    ) -> None:
        for event in self._engine.pull(name, credentials, text):
            progress.add(event)
            self._limits.check(text, progress.size, len(progress.total))
            doing, done, total = progress.amount()
            self._teller.tell(doing, text, progress.note(), done, total)

    def _within_limits(self, image: Image, name: str, text: str) -> None:
        """An image that must not be here does not stay."""
        try:
            self._limits.check_image(text, image)
        except PolicyError:
            with contextlib.suppress(EngineError):  # a container of another job holds it
                self._engine.remove_image(name)
            raise

    def _answer_of_another(self, name: str, lock: int) -> str | None:
        """The error of a pull since this step began to ask, "" of one that went well."""
        text = os.pread(lock, LONGEST_ANSWER, 0).decode(errors="replace")
        found, _, answer = text.partition("\n")
        if found == name and os.fstat(lock).st_mtime >= self._since:
            return answer
        return None


def _note_answer(name: str, lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{name}\n{text}".encode()[:LONGEST_ANSWER], 0)
