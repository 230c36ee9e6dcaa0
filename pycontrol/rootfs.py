"""Reads a few small files of a container's root, as root, without trusting it.

Every look-up stays inside the image (openat2), only regular files are read,
and only so much of them: an image may hold links, pipes and devices.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from pycontrol import kernel

LARGEST = 1 << 20  # bytes read of a file of the image
# Go's os.FileMode: regular files have none of the type bits (io/fs, fs.go).
GO_MODE_SYMLINK = 1 << 27
GO_MODE_TYPE = (1 << 31) | GO_MODE_SYMLINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19


def is_small_regular_or_missing(look: Callable[[str], dict | None], path: str) -> bool:
    """Whether a path is safe to read; one link is followed.

    look: what the engine says of a path in a container that does not run yet.
    """
    for _ in range(2):
        status = look(path)
        if status is None:
            return True
        if not status["mode"] & GO_MODE_TYPE:
            return status["size"] <= LARGEST
        if not status["mode"] & GO_MODE_SYMLINK:
            return False
        path = status["linkTarget"]
    return False


class Root:
    """The root directory of a container, by the descriptor of it."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def _open(self, path: str, flags: int) -> int | None:
        try:
            return kernel.open_in_root(self._descriptor, path, flags)
        except OSError:
            return None

    def read_text(self, path: str) -> str:
        """The file's text; empty when it is missing, no regular file, or too large."""
        # O_PATH first: opening a pipe or device for reading has effects.
        probe = self._open(path, os.O_PATH)
        if probe is None:
            return ""
        try:
            status = os.fstat(probe)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return ""
            with open(f"/proc/self/fd/{probe}", "rb") as file:
                return file.read(LARGEST).decode(errors="replace")
        finally:
            os.close(probe)

    def has(self, path: str) -> bool:
        probe = self._open(path, os.O_PATH)
        if probe is None:
            return False
        os.close(probe)
        return True

    def shell(self) -> str:
        """The best shell that the image has; /bin/sh when it has none."""
        return next((s for s in ("/bin/bash", "/usr/bin/bash") if self.has(s)), "/bin/sh")
