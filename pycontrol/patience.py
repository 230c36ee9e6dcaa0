"""Work of minutes, pulls and imports: its end by the clock, and lines that show it goes on.

Runs as root in the step's hook.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

from pycontrol.bridge import Channel
from pycontrol.errors import EngineError

FIRST_LINE_AFTER = 2  # seconds: what is shorter says nothing


class Teller:
    """Shows the user a line, every `interval` seconds at most."""

    def __init__(self, channel: Channel, interval: int):
        self._channel = channel
        self._interval = interval
        self._next_line = time.monotonic() + FIRST_LINE_AFTER

    def tell(self, text: str) -> None:
        if time.monotonic() >= self._next_line:
            self._channel.tell(text)
            self._next_line = time.monotonic() + self._interval


@contextlib.contextmanager
def within(seconds: int, failure: str) -> Iterator[None]:
    """Stop the body after so many seconds, also while it waits for the engine.

    The SDK sets no time-out of its own for a pull or a load.
    """

    def stop(number, frame) -> None:
        raise EngineError(failure)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
