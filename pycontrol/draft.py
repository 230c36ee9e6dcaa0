"""A file that appears under its name only when it is whole.

Runs as the job's owner (save.py).  Until then it has no name at all where the
file system can do that (O_TMPFILE): it is gone however this process ends.
Elsewhere, as on NFS, it has a hidden one, which is removed on any failure; if
this process itself is killed, the hook's root part sees to that (`discard`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator

from pycontrol.errors import UserError
from pycontrol.plaindata import dataclass, field

# Like `docker save -o`: a root holds files that only its owner may read.
MODE = 0o600


@dataclass(frozen=True)
class Draft:
    """A file to be, and its hidden name: chosen by the parent, who may have to remove it."""

    path: str
    hidden: str = field(default_factory=lambda: f".socker-save-{secrets.token_hex(8)}")

    @contextlib.contextmanager
    def open(self) -> Iterator[int]:
        """A descriptor to write; after a body without an error it replaces `path`."""
        folder_name, name = os.path.split(self.path)
        folder = os.open(folder_name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor, is_named = self._create(folder)
            try:
                yield descriptor
                self._finish(descriptor, is_named, folder, name)
            except BaseException:
                _unlink(self.hidden, folder)
                raise
            finally:
                os.close(descriptor)
        finally:
            os.close(folder)

    def _create(self, folder: int) -> tuple[int, bool]:
        with contextlib.suppress(OSError):  # NFS, some others; the next try says what is wrong
            flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
            return os.open(".", flags, MODE, dir_fd=folder), False
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self.hidden, flags, MODE, dir_fd=folder), True

    def _finish(self, descriptor: int, is_named: bool, folder: int, name: str) -> None:
        os.fchmod(descriptor, _mode(folder, name))
        os.fsync(descriptor)
        if not is_named:  # open(2), O_TMPFILE: its only way to a name without a capability
            source = f"/proc/self/fd/{descriptor}"
            os.link(source, self.hidden, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
        os.rename(self.hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
        with contextlib.suppress(OSError):  # a directory that the user cannot read
            directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def discard(self) -> None:
        """Remove what a killed process may have left."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(os.path.dirname(self.path), self.hidden))


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _mode(folder: int, name: str) -> int:
    """An earlier file's permissions, if it is the user's: they were chosen."""
    with contextlib.suppress(OSError):
        earlier = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(earlier.st_mode) and earlier.st_uid == os.geteuid():
            return earlier.st_mode & 0o777
    return MODE


def check(path: str) -> None:
    """UserError unless a file can be made there; creates nothing."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise UserError(
            f"--container-save: {folder} is no directory that the job's user can reach on this "
            "node: make it first"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--container-save: {folder}: the job's user cannot write to it")
    try:
        earlier = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(earlier.st_mode):
        raise UserError(f"--container-save: {path} is no regular file: name another")
    above = os.stat(folder)
    if above.st_mode & stat.S_ISVTX and os.geteuid() not in (earlier.st_uid, above.st_uid):
        raise UserError(f"--container-save: {path} is another user's file: name another")
