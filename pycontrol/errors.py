"""The errors that a user or an admin reads.

Each text names the object, what happened and what to do; `socker: ` is put in
front where it is shown.  The class says whose business the fix is.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
LONGEST_TEXT = 4096  # characters of a line for the user


class SockerError(Exception):
    """Any failure that has a clear text; everything else is a bug of socker."""


class UserError(SockerError):
    """The user asked for what does not exist or makes no sense."""


class Unreachable(UserError):
    """The registry gives no answer: nothing is known of what it would say."""


class HungUp(Unreachable):
    """It closed the connection without an answer."""


class PolicyError(SockerError):
    """The site's configuration does not allow what the user asked for."""


class EngineError(SockerError):
    """Docker Engine, or a registry behind it, did not do its part."""


class NotHere(EngineError):
    """The engine does not have the image or the container."""


class NodeError(SockerError):
    """This node is not set up as socker needs it: the admin's business."""


class JobEnded(SockerError):
    """The job is over, so nobody waits for what was being set up."""


def printable(text: str, longest: int = LONGEST_TEXT) -> str:
    """A line of bounded length without control characters: texts quote users and registries.

    Of one that is too long the middle is left out: its end says what to do.
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]} ... {text[-longest // 4 :]}"
    line = text.replace("\n", " ")
    return "".join(c if c.isprintable() else "?" for c in line)


def root_cause(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap it several times over."""
    while isinstance(inner := error.args[-1] if error.args else None, BaseException):
        error = inner
    return str(getattr(error, "strerror", None) or error)


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """A disk that is full or broken is the node's fault, and no bug."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK:
            raise
        raise NodeError(
            f"{error.filename or 'a file of the step'}: {error.strerror}: the admin must see to "
            "this node's disk"
        ) from error
