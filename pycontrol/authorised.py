"""The site's list of images that users may run, if it has one: one a line.

The list is root's file; a name on it stands for itself alone, with its tag or
digest as it is written there.
"""

from __future__ import annotations

from pathlib import Path

from pycontrol import image, trusted
from pycontrol.config import Config
from pycontrol.errors import NodeError, PolicyError, UserError
from pycontrol.image import Reference


def names(settings: Config) -> tuple[str, ...] | None:
    """The list in its order; None: there is none, and every image is allowed.

    Raises NodeError for a list that cannot be read, trusted or understood.
    """
    if not settings.image_list:
        return None
    path = settings.image_list
    try:
        lines = trusted.read(Path(path)).splitlines()
    except OSError as error:
        raise NodeError(
            f"{path}: {error.strerror}: image_list names this file: tell the admin"
        ) from error
    words = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, start=1)]
    return tuple(_name(word, f"{path}, line {number}") for number, word in words if word)


def _name(word: str, where: str) -> str:
    try:
        found = image.parse_reference(word, option=where)
    except UserError as error:
        raise NodeError(str(error)) from error
    if found.source != "registry":
        raise NodeError(f"{where}: {word} is no image of a registry: write REGISTRY/NAME:TAG")
    return image.familiar(found.text)


def check(reference: Reference | None, settings: Config) -> None:
    """None: a named container, which was made of an image that was checked then."""
    if reference is None or (listed := names(settings)) is None:
        return
    if reference.source == "file":
        raise PolicyError(
            f"image {reference.text}: this site runs no images of files: `socker images` lists "
            "those that you may run"
        )
    if image.familiar(reference.text) not in listed:
        raise PolicyError(
            f"image {reference.text}: it is not on this site's list: `socker images` shows the "
            "list; ask the admin to add it"
        )
