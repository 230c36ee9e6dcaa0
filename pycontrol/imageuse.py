"""When this node's images were used last, and by which names socker brought them.

Root's own files, on disk, as images outlive a boot:

    /var/lib/socker/.images/ID    the names by which it was brought, a line each;
                                  the file's time is that of the last use

Written by the hooks for `socker images prune` (prune.py).  Nothing else depends
on them, so no failure of it fails a step; an image without a file stays.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pycontrol import trusted
from pycontrol.errors import NodeError

FOLDER = Path("/var/lib/socker/.images")
MOST_NAMES = 64  # of one image


def note(image_id: str) -> None:
    """It is used now."""
    with contextlib.suppress(OSError):
        _append(image_id, "")


def note_brought(image_id: str, name: str) -> None:
    """The engine has it under this name because a step needed it."""
    with contextlib.suppress(OSError):
        known = names(image_id)
        _append(image_id, f"{name}\n" if name not in known[:MOST_NAMES] else "")


def _append(image_id: str, text: str) -> None:
    for folder in (FOLDER.parent, FOLDER):  # also the base of writable roots: root's alone
        folder.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path_of(image_id), flags, 0o600)
    try:
        os.write(descriptor, text.encode())
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def names(image_id: str) -> list[str]:
    """By which socker brought it; none for others' images."""
    try:
        return trusted.read(path_of(image_id)).splitlines()
    except (OSError, NodeError):
        return []


def last(image_id: str) -> float | None:
    """Of the last use (seconds, epoch); None where there is no record."""
    try:
        return path_of(image_id).stat().st_mtime
    except OSError:
        return None


def forget(image_id: str) -> None:
    path_of(image_id).unlink(missing_ok=True)


def path_of(image_id: str) -> Path:
    """An id is the engine's: sha256:HEX."""
    return FOLDER / image_id.removeprefix("sha256:").replace("/", "_")
