"""Work of minutes, pulls and imports: its end by the clock, and lines that show it goes on.

Runs as root in the step's hook.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

from pycontrol.bridge import Channel
from pycontrol.errors import EngineError, SockerError

FIRST_LINE_AFTER = 2  # seconds: what is shorter says nothing
BAR_INTERVAL = 0.25  # seconds, where a bar is drawn


class Teller:
    """Shows the user how far work is, every `interval` seconds at most; a bar more often."""

    def __init__(self, channel: Channel, interval: int):
        self._channel = channel
        self._interval = BAR_INTERVAL if channel.bars else interval
        self._next = time.monotonic() + (0 if channel.bars else FIRST_LINE_AFTER)

    def tell(self, doing: str, what: str, note: str = "", done: int = 0, total: int = 0) -> None:
        """`done` of `total` bytes; 0 is not known."""
        if time.monotonic() < self._next:
            return
        if self._channel.bars:
            self._channel.report(doing, note, done, total)
        else:
            counted = ", ".join(filter(None, (counts(done, total), note)))
            self._channel.tell(f"{doing} {what}: {counted}" if counted else f"{doing} {what}")
        self._next = time.monotonic() + self._interval


def counts(done: int, total: int) -> str:
    """12 of 60 MB; 12 MB where the whole is not known."""
    if not done and not total:
        return ""
    return f"{done / 1e6:.0f}{f' of {total / 1e6:.0f}' if total else ''} MB"


@contextlib.contextmanager
def within(seconds: int, failure: str, kind: type[SockerError] = EngineError) -> Iterator[None]:
    """Stop the body after so many seconds, also while it waits for the engine.

    The SDK sets no time-out of its own for a pull or a load.
    """

    def stop(number, frame) -> None:
        raise kind(failure)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
