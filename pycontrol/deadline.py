"""Ends what takes too long, by the clock, also while it waits in a system call."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def within(seconds: int, too_long: Exception) -> Iterator[None]:
    """Raise `too_long` in the body after so many seconds; not to be nested."""

    def stop(number, frame) -> None:
        raise too_long

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
