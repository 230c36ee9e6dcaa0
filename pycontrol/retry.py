"""Which failures of a registry may pass by themselves, and how long to wait for that.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

PULL = 1, 3, 9, 27  # seconds between two tries of a pull, on the average
QUESTION = 0.2, 0.6, 1.8  # of a short question
BUSY = 429  # RFC 6585: Too Many Requests

# Words of the engine, which passes on a registry's status and its own network's errors.
_PASSING = re.compile(
    r"toomanyrequests|too many requests|HTTP (?:status: )?(?:429|5\d\d)|connection reset"
    r"|broken pipe|\bEOF\b"
    r"|i/o timeout|handshake timeout|connection lost|server closed idle connection"
    r"|Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out",
    re.IGNORECASE,
)


def may_pass(words: str) -> bool:
    """Whether a pull that failed with these words may go well a little later."""
    return bool(_PASSING.search(words))


def is_passing(status: int) -> bool:
    """The same by a status of HTTP."""
    return status == BUSY or status >= 500


def pauses(means: Iterable[float]) -> Iterator[float]:
    """Scattered: a thousand nodes that were sent away together come back one by one."""
    import random  # only where something has failed

    return (mean * random.uniform(0.5, 1.5) for mean in means)
