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

LONGEST_FAILURE = 4096  # bytes kept of an error for those who wait


@dataclass
class Progress:
    """What the engine's events add up to, in bytes and layers."""

    total: dict[str, int] = field(default_factory=dict)
    current: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def add(self, event: dict) -> None:
        """Take one event of the engine's pull stream."""
        layer, status = event.get("id"), event.get("status", "")
        detail = event.get("progressDetail") or {}
        if not layer or status.startswith("Pulling from"):
            return
        self.total.setdefault(layer, 0)
        if status == "Downloading":
            self.current[layer] = detail.get("current", 0)
            self.total[layer] = max(self.total[layer], detail.get("total", 0))
        elif status in ("Pull complete", "Already exists"):
            self.done.add(layer)
            self.current[layer] = self.total[layer]

    def line(self) -> str:
        megabytes = (
            f"{sum(self.current.values()) / 1e6:.0f} of {sum(self.total.values()) / 1e6:.0f} MB"
        )
        return f"{megabytes}, {len(self.done)} of {len(self.total)} layers complete"


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

    def provide(self, reference: Reference) -> Image:
        """The image, pulled if this node does not have it."""
        image = self._engine.find_image(reference)
        if image:
            return image
        self._channel.ask_for_time(self._config.pull_timeout + self._config.engine_timeout)
        lock = state.pull_lock(self._root, reference)

        def waiting() -> None:
            self._teller.tell(f"waiting for another step's pull of {reference.text}")

        with state.locked(lock, waiting, self._config.pull_timeout) as descriptor:
            return self._provide_locked(reference, descriptor)

    def _provide_locked(self, reference: Reference, lock: int) -> Image:
        image = self._engine.find_image(reference)  # another step may have pulled it
        if image:
            return image
        self._raise_failure_of_another(reference, lock)
        try:
            self._pull(reference)
        except UserError as error:  # the registry's answer; others' troubles are their own
            _note_failure(reference, lock, str(error))
            raise
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
                self._teller.tell(f"pulling {reference.text}: {progress.line()}")

    def _raise_failure_of_another(self, reference: Reference, lock: int) -> None:
        """Who waited while a pull failed does not try it a second time."""
        text = os.pread(lock, LONGEST_FAILURE, 0).decode(errors="replace")
        name, _, failure = text.partition("\n")
        if name == reference.text and os.fstat(lock).st_mtime >= self._since:
            raise UserError(failure)


def _note_failure(reference: Reference, lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{reference.text}\n{text}".encode()[:LONGEST_FAILURE], 0)
