"""Reads a few small files of a container's root, as root, without trusting it.

Every look-up stays inside the image (openat2), only regular files are read,
and only so much of them: an image may hold links, pipes and devices.
"""

from __future__ import annotations

import os
import stat

from pycontrol import kernel

LARGEST = 1 << 20  # bytes read of a file of the image


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
