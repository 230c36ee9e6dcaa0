"""Pulls a missing image, once per node however many steps ask for it.

The first step takes the image's lock and pulls; the others wait, and find the
image.  When the pull failed they get its error: a wrong name is asked for once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pycontrol import state
from pycontrol.bridge import Channel
from pycontrol.config import Config
from pycontrol.engine import Engine
from pycontrol.errors import EngineError, UserError
from pycontrol.image import Image, Reference
from pycontrol.patience import Teller, within

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

    def amount(self) -> tuple[str, int, int]:
        """What goes on, and its bytes: layers are unpacked while others still come."""
        if not self.total:
            return "asking the registry for", 0, 0
        pulling = len(self.here) < len(self.total)
        counted = self.come if pulling else self.unpacked
        doing = "pulling" if pulling else "unpacking"
        return doing, sum(counted.values()), sum(self.total.values())

    def note(self) -> str:
        if not self.total:
            return ""
        text = f"{len(self.done)} of {len(self.total)} layers complete"
        unknown = sum(not size for layer, size in self.total.items() if layer not in self.here)
        return f"{text}, the size of {unknown} not known yet" if unknown else text


_DONE = ("Pull complete", "Already exists")
_HERE = (*_DONE, "Verifying Checksum", "Download complete", "Extracting")


class Puller:
    """Brings one image to this node for one step."""

    def __init__(
        self,
        engine: Engine,
        config: Config,
        channel: Channel,
        root: Path,
        since: float,
    ):
        self._engine = engine
        self._config = config
        self._channel = channel
        self._root = root
        self._since = since  # epoch seconds: when the step began to ask
        self._teller = Teller(channel, config.progress_interval)

    def provide(self, reference: Reference, policy: str) -> Image:
        """The image, pulled if the policy (always, missing or never) wants that."""
        image = self._engine.find_image(reference)
        if image and policy != "always":
            return image
        if policy == "never":
            raise UserError(
                f"image {reference.text}: this node does not have it, and the step may not pull "
                "it: leave out --container-pull=never or dockerd://"
            )
        self._channel.ask_for_time(self._config.pull_timeout + self._config.engine_timeout)
        lock = state.pull_lock(self._root, reference)

        def waiting() -> None:
            self._teller.tell("waiting for another step's pull of", reference.text)

        with state.locked(lock, waiting, self._config.pull_timeout) as descriptor:
            return self._provide_locked(reference, policy, descriptor)

    def _provide_locked(self, reference: Reference, policy: str, lock: int) -> Image:
        """Who waited while another pulled takes what came of that, also its failure."""
        answer = self._answer_of_another(reference, lock)
        if answer:
            raise UserError(answer)
        image = self._engine.find_image(reference)
        if image and (policy != "always" or answer is not None):
            return image
        try:
            self._pull(reference)
        except UserError as error:  # the registry's answer; others' troubles are their own
            _note_answer(reference, lock, str(error))
            raise
        _note_answer(reference, lock, "")
        image = self._engine.find_image(reference)
        if not image:
            raise EngineError(f"image {reference.text}: pulled, but the engine does not have it")
        return image

    def _pull(self, reference: Reference) -> None:
        progress = Progress()
        seconds = self._config.pull_timeout
        too_long = (
            f"image {reference.text}: the pull took longer than pull_timeout = {seconds} s: "
            "try again, what came is kept"
        )
        with within(seconds, too_long):
            for event in self._engine.pull(reference):
                progress.add(event)
                doing, done, total = progress.amount()
                self._teller.tell(doing, reference.text, progress.note(), done, total)

    def _answer_of_another(self, reference: Reference, lock: int) -> str | None:
        """The error of a pull since this step began to ask, "" of one that went well."""
        text = os.pread(lock, LONGEST_ANSWER, 0).decode(errors="replace")
        name, _, answer = text.partition("\n")
        if name == reference.text and os.fstat(lock).st_mtime >= self._since:
            return answer
        return None


def _note_answer(reference: Reference, lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{reference.text}\n{text}".encode()[:LONGEST_ANSWER], 0)
