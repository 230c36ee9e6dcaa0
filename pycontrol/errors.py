"""The errors that a user or an admin reads.

Each text names the object, what happened and what to do; `socker: ` is put in
front where it is shown.  The class says whose business the fix is.
"""


class SockerError(Exception):
    """Any failure that has a clear text; everything else is a bug of socker."""


class UserError(SockerError):
    """The user asked for what does not exist or makes no sense."""


class PolicyError(SockerError):
    """The site's configuration does not allow what the user asked for."""


class EngineError(SockerError):
    """Docker Engine, or a registry behind it, did not do its part."""


class NodeError(SockerError):
    """This node is not set up as socker needs it: the admin's business."""


class JobEnded(SockerError):
    """The job is over, so nobody waits for what was being set up."""


LONGEST_TEXT = 4096  # characters of a line for the user


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
