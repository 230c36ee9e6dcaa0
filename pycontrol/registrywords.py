"""What a registry's answers say, in words for the user: pure.

Nothing of an answer is shown as it is, and nothing of an exception, whose text
may hold a URL with secret parameters.
"""

from __future__ import annotations

import json
import re

from pycontrol.errors import UserError

LONGEST = 300  # characters


def trouble(error: Exception) -> str:
    """Why there was no answer."""
    import ssl  # slow, and no hook needs it whose registry answers

    if isinstance(error, TimeoutError):
        return "no answer in time: try again"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its TLS certificate is not trusted on this node: tell the admin"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it closed the connection: try again"
    if isinstance(error, OSError):
        why = error.strerror or type(error).__name__
        return f"it cannot be reached from this node: {why}"
    return f"no sensible answer ({type(error).__name__})"


def refusal(status: int, body: bytes) -> str:
    """What the registry says, without what is not text; of HEAD there is only the status."""
    try:
        first = json.loads(body)["errors"][0]
        text = f"{first.get('code', '')}: {first.get('message', '')}"
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        from http.client import responses  # with it the parsers of mail

        return f"status {status} {responses.get(status, '')}".strip()
    return "".join(c for c in text if c.isprintable())[:LONGEST]


def token(body: bytes, registry: str) -> str:
    """Of a token service, fit for a header."""
    try:
        answer = json.loads(body)
        found = answer.get("token") or answer["access_token"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        found = None
    # It becomes a header: no line break may be in it.
    if not isinstance(found, str) or not re.fullmatch(r"[\x21-\x7e]+", found):
        raise UserError(f"registry {registry}: its token service gives no token") from None
    return found
