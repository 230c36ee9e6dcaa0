"""Writes a container's root as a tar stream: root reads a tree that it does not trust.

Runs as root in the step-end hook (save.py).  The container's user may have
processes that change the tree meanwhile, so
  * every name is opened relative to a descriptor, across no link and no mount
    (openat2), without effect (O_PATH); what was opened is looked at, and the
    same inode, never the name again, is then opened for reading when it is a
    regular file: no pipe can hang us, no device be opened;
  * only one directory is open at a time: a deep tree costs no descriptors and
    no recursion;
  * a file that shrinks or grows is padded or cut to the size in its header.
Nothing is looked up in the account database, no file of the tree is executed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from pycontrol import kernel, tarheader
from pycontrol.errors import NodeError, UserError
from pycontrol.tarheader import Member

CHUNK = 1 << 20
LONGEST_PATH = 4095  # bytes, PATH_MAX: an engine could not unpack more
# tar2sqfs reads pax headers of up to 64 KiB, Go's archive/tar of 1 MiB.
MOST_XATTRS = 32 << 10

CHANGED = "files that changed while they were saved"
DEVICES = "device nodes left out"
SOCKETS = "sockets left out"
TOO_LONG = f"files left out whose paths are longer than {LONGEST_PATH} bytes"
# In a layer such a name means that another file is to be removed
# (github.com/opencontainers/image-spec, layer.md, "Whiteouts").
WHITEOUTS = "files left out whose names begin with .wh., a removal to Docker"
XATTRS = f"files saved without their user.* attributes, more than {MOST_XATTRS >> 10} KiB"
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ESTALE)


class Notes:
    """What was not saved as it is, for the user: each kind with its first path."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, path: str) -> None:
        count, first = self._found.get(kind, (0, path))
        self._found[kind] = (count + 1, first)

    def lines(self) -> list[str]:
        return [
            f"{kind}: {count}, the first is /{first}"
            for kind, (count, first) in self._found.items()
        ]


class RootTar:
    """One walk over one root; `extra` files (by path without /) replace the tree's."""

    def __init__(
        self,
        root: int,
        output: BinaryIO,
        skip: Iterable[str] = (),
        swap: tuple[int, int] | None = None,
        extra: Mapping[str, bytes] | None = None,
    ):
        self.notes = Notes()
        self._root = root
        self._output = output
        self._extra = dict(extra or {})
        self._skip = {path.lstrip("/") for path in skip} | set(self._extra)
        self._swap = swap or (0, 0)
        # One entry a linked inode: the memory is counted to the user's step.
        self._links: dict[tuple[int, int], bytes] = {}

    def write(self) -> Notes:
        has_etc = not self._extra or self._has_etc()
        pending = [""]
        while pending:
            self._folder(pending.pop(), pending)
        if not has_etc:
            self._output.write(tarheader.header(Member(b"etc", tarheader.DIRECTORY, 0o755)))
        for path, data in self._extra.items():  # root's
            member = Member(os.fsencode(path), tarheader.REGULAR, size=len(data))
            self._output.write(tarheader.header(member) + data + tarheader.padding(len(data)))
        self._output.write(tarheader.END)
        return self.notes

    def _has_etc(self) -> bool:
        try:
            os.close(kernel.open_below(self._root, "etc", os.O_PATH | os.O_DIRECTORY))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UserError(
                "the container's /etc is no directory: a squashfs image needs it for the "
                "image's ENV and ENTRYPOINT: save to .tar instead"
            ) from error
        return True

    # --- the walk ---

    def _folder(self, path: str, pending: list[str]) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_NOFOLLOW
        try:
            folder = kernel.open_below(self._root, path or ".", flags)
        except OSError as error:
            return self._vanished(path, error)
        try:
            for name in sorted(os.listdir(folder), key=os.fsencode):
                self._entry(folder, name, f"{path}/{name}" if path else name, pending)
        finally:
            os.close(folder)

    def _vanished(self, path: str, error: OSError) -> None:
        """Fine when it is not what it was a moment ago."""
        if error.errno not in _VANISHED:
            raise _unreadable(path, error) from error
        self.notes.add(CHANGED, path)

    def _entry(self, folder: int, name: str, path: str, pending: list[str]) -> None:
        if path in self._skip:
            return
        if len(os.fsencode(path)) > LONGEST_PATH:
            return self.notes.add(TOO_LONG, path[:80] + "...")
        if name.startswith(".wh."):
            return self.notes.add(WHITEOUTS, path)
        try:
            probe = kernel.open_below(folder, name, os.O_PATH | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return self._mount_point(folder, name, path)
            return self._vanished(path, error)
        try:
            self._inode(probe, path, pending)
        finally:
            os.close(probe)

    def _inode(self, probe: int, path: str, pending: list[str]) -> None:
        status = os.fstat(probe)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            self._member(path, tarheader.DIRECTORY, status, xattrs=self._xattrs(probe, path))
            pending.append(path)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            self.notes.add(DEVICES, path)
        elif kind == stat.S_IFSOCK:
            self.notes.add(SOCKETS, path)
        elif status.st_nlink > 1 and self._is_link(status, path):
            pass
        elif kind == stat.S_IFLNK:
            self._member(path, tarheader.SYMLINK, status, link=os.readlink(b"", dir_fd=probe))
        elif kind == stat.S_IFIFO:
            self._member(path, tarheader.FIFO, status)
        elif kind == stat.S_IFREG:
            self._regular(probe, path)

    def _is_link(self, status: os.stat_result, path: str) -> bool:
        """Write a further name of an inode as a link to its first; else remember this one."""
        first = self._links.setdefault((status.st_dev, status.st_ino), os.fsencode(path))
        if first == os.fsencode(path):
            return False
        self._member(path, tarheader.HARD_LINK, status, link=first)
        return True

    def _mount_point(self, folder: int, name: str, path: str) -> None:
        """What is mounted is not the container's: an empty directory or file in its place."""
        with contextlib.suppress(FileNotFoundError):
            is_folder = stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
            kind = tarheader.DIRECTORY if is_folder else tarheader.REGULAR
            mode = 0o755 if is_folder else 0o644
            self._output.write(tarheader.header(Member(os.fsencode(path), kind, mode)))

    # --- members ---

    def _member(self, path: str, kind: bytes, status: os.stat_result, **fields) -> None:
        uid = _swapped(status.st_uid, self._swap[0])
        gid = _swapped(status.st_gid, self._swap[1])
        name, mtime = os.fsencode(path), int(status.st_mtime)
        member = Member(name, kind, stat.S_IMODE(status.st_mode), uid, gid, mtime, **fields)
        self._output.write(tarheader.header(member))

    def _regular(self, probe: int, path: str) -> None:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            # The inode that was looked at, whatever its name leads to by now.
            descriptor = os.open(f"/proc/self/fd/{probe}", flags)
        except OSError as error:  # EAGAIN: a process of the user holds a lease
            raise _unreadable(path, error) from error
        try:
            status = os.fstat(descriptor)
            xattrs = self._xattrs(probe, path)
            self._member(path, tarheader.REGULAR, status, size=status.st_size, xattrs=xattrs)
            self._copy(descriptor, status.st_size, path)
        finally:
            os.close(descriptor)

    def _copy(self, descriptor: int, size: int, path: str) -> None:
        """Exactly `size` bytes and the padding, whatever happens to the file."""
        left = size
        while left and (data := _read(descriptor, min(CHUNK, left), path)):
            self._output.write(data)
            left -= len(data)
        if left or _read(descriptor, 1, path):
            self.notes.add(CHANGED, path)
        while left:
            left -= self._output.write(bytes(min(CHUNK, left)))
        self._output.write(tarheader.padding(size))

    def _xattrs(self, probe: int, path: str) -> tuple[tuple[bytes, bytes], ...]:
        """The user's own; others are rights or the node's (capabilities, ACLs, labels)."""
        inode = f"/proc/self/fd/{probe}"
        found = []
        with contextlib.suppress(OSError):  # not supported; removed meanwhile
            for name in sorted(os.listxattr(inode)):
                if name.startswith("user.") and "=" not in name:
                    found.append((os.fsencode(name), os.getxattr(inode, name)))
                if sum(len(key) + len(value) for key, value in found) > MOST_XATTRS:
                    self.notes.add(XATTRS, path)
                    return ()
        return tuple(found)


def _swapped(number: int, other: int) -> int:
    """In a private container root's files appear as the owner's, and the reverse."""
    return {0: other, other: 0}.get(number, number)


def _read(descriptor: int, size: int, path: str) -> bytes:
    try:
        return os.read(descriptor, size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> NodeError:
    return NodeError(f"/{path} of the container cannot be read: {error.strerror}")
