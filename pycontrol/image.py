"""Image references, and an image's presence on this node.

A missing image is pulled once per node, however many steps ask: the first
takes a lock, the others wait for it.  Pure parsing here, effects through the
engine adapter that is handed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pycontrol.errors import UserError

LONGEST = 512  # characters; more than registry, name, tag and digest need
MOST_VOLUMES = 32  # of an image: the engine makes a directory and a mount of each
LARGEST_ENV = 1 << 18  # bytes of an image's ENV

# The grammar of github.com/distribution/reference, which Docker uses.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
# As in Docker, the first part is a registry only if it looks like a host.
_LOOKS_LIKE_A_HOST = r"(?=[^/]*[.:]|localhost/)"
_REFERENCE = re.compile(
    rf"(?:{_LOOKS_LIKE_A_HOST}(?P<registry>{_HOST})/)?"
    rf"(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Reference:
    """An image's name: `text` is what the engine is asked for."""

    text: str


@dataclass(frozen=True)
class Image:
    """An image that is present on this node, as its configuration describes it."""

    image_id: str  # sha256:...
    env: tuple[str, ...]  # NAME=VALUE
    workdir: str  # "" when the image names none


def parse_reference(text: str) -> Reference:
    """[REGISTRY[:PORT]/]NAME[:TAG][@sha256:...]; the tag defaults to latest.

    Raises UserError with the part that is wrong, where it can be told.
    """
    if not text:
        raise UserError("--container-image: the image has no name: give [REGISTRY/]NAME[:TAG]")
    if len(text) > LONGEST:
        raise UserError(f"--container-image: the name has more than {LONGEST} characters")
    match = _REFERENCE.fullmatch(text)
    # Else the engine would take sha256:... for the id of any image it holds.
    if not match or match["name"] == "sha256":
        hint = ": names have no capital letters" if text != text.lower() else ""
        raise UserError(
            f"--container-image: `{text}` is not an image name{hint}: "
            "write [REGISTRY[:PORT]/]NAME[:TAG][@sha256:...]"
        )
    if not match["tag"] and not match["digest"]:
        text += ":latest"
    return Reference(text)


def split_tag(text: str) -> tuple[str, str, str]:
    """(name, separator, tag or digest) as the SDK wants them."""
    if "@" in text:
        return text.partition("@")
    name, separator, tag = text.rpartition(":")
    return (name, separator, tag) if separator and "/" not in tag else (text, "", "")


def image_of(found: dict, name: str) -> Image:
    """The image that the engine describes; errors call it `name`."""
    settings = found.get("Config") or {}
    _refuse_excess(name, settings)
    return Image(
        image_id=found["Id"],
        env=tuple(settings.get("Env") or ()),
        workdir=settings.get("WorkingDir") or "",
    )


def _refuse_excess(name: str, settings: dict) -> None:
    """An image's configuration is its maker's: the engine and we work by its size."""
    if len(settings.get("Volumes") or ()) > MOST_VOLUMES:
        raise UserError(f"image {name}: it has more than {MOST_VOLUMES} VOLUMEs")
    if sum(map(len, settings.get("Env") or ())) > LARGEST_ENV:
        raise UserError(f"image {name}: its ENV is larger than {LARGEST_ENV} bytes")
