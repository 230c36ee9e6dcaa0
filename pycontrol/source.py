"""What an image file holds, by name: the members of a tar, the files of a directory.

Runs as the job's owner in a child (pycontrol/as_user.py), since the user made
the file: names are only looked up, never created; links are followed among the
members only; what is kept in memory is bounded, and members are streamed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pycontrol.errors import UserError
from pycontrol.openfile import FLAGS
from pycontrol.plaindata import dataclass

CHUNK = 1 << 20  # bytes read at a time
LARGEST_JSON = 4 << 20  # bytes of a manifest, an index or a configuration
MOST_HEADERS = 8 << 20  # bytes of a tar's headers: 16,000 members; images have some hundred
MOST_LINKS = 8  # one after the other, as in a path

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_UNPACKERS = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}


@dataclass(frozen=True)
class Member:
    """Where the bytes of a name are, and how they are compressed ("": not)."""

    name: str
    offset: int
    size: int
    compression: str


def compression_of(head: bytes) -> str:
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


def unpacked(file: BinaryIO, compression: str, what: str) -> BinaryIO:
    """The file's content without its compression."""
    if not compression:
        return file
    if compression not in _UNPACKERS:
        raise UserError(
            f"{what}: it is compressed with {compression}, which cannot be read here: convert "
            "it, for instance: skopeo copy oci-archive:IMAGE docker-archive:NEW.tar"
        )
    return _UNPACKERS[compression](file, "rb")


def chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


class Source:
    """A place with members; `path` is for messages."""

    def __init__(self, path: str):
        self.path = path

    def find(self, name: str) -> Member | None:
        raise NotImplementedError

    def open(self, member: Member) -> BinaryIO:
        """The member's bytes as they are stored."""
        raise NotImplementedError

    def need(self, name: object) -> Member:
        member = self.find(name) if isinstance(name, str) else None
        if not member:
            raise UserError(
                f"image {self.path}: it names {str(name)[:200]!r}, but has no such file in it: "
                "make it again"
            )
        return member

    def read(self, name: object) -> bytes:
        """A small member."""
        member = self.need(name)
        if member.size > LARGEST_JSON:
            raise UserError(
                f"image {self.path}: its {member.name} is larger than {LARGEST_JSON >> 20} MiB"
            )
        with self.open(member) as file:
            return file.read(LARGEST_JSON)

    def plain(self, member: Member) -> Iterator[bytes]:
        """The member's content without compression, in pieces of bounded size."""
        with self.open(member) as file:
            what = f"image {self.path}: {member.name}"
            yield from chunks(unpacked(file, member.compression, what))


class Directory(Source):
    """The files below a directory."""

    def __init__(self, path: str, descriptor: int, tick: Callable[[int], None]):
        super().__init__(path)
        self._descriptor = descriptor
        self._tick = tick

    def find(self, name: str) -> Member | None:
        try:
            with self._open(name) as file:
                return Member(name, 0, os.fstat(file.fileno()).st_size, compression_of(file.peek()))
        except FileNotFoundError:
            return None

    def open(self, member: Member) -> BinaryIO:
        return self._open(member.name)

    def _open(self, name: str) -> io.BufferedReader:
        raw = _Watched(os.open(name, FLAGS, dir_fd=self._descriptor), self._tick)
        file = io.BufferedReader(raw, CHUNK)
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise UserError(f"image {self.path}: its {name} is not a regular file")
        return file


class Tar(Source):
    """The members of a tar, compressed or not; where a name comes twice, the last counts."""

    def __init__(self, path: str, descriptor: int, tick: Callable[[int], None]):
        super().__init__(path)
        raw = io.BufferedReader(_Watched(descriptor, tick), CHUNK)
        self._file = unpacked(raw, compression_of(raw.peek(8)), f"image {path}")
        self._entries: dict[str, Member | str] | None = None

    def find(self, name: str) -> Member | None:
        if self._entries is None:
            self._entries = dict(self._index())
        entry = self._entries.get(_clean(name))
        for _ in range(MOST_LINKS):
            if not isinstance(entry, str):
                return entry
            entry = self._entries.get(entry)
        return None

    def open(self, member: Member) -> BinaryIO:
        return io.BufferedReader(_Part(self._file, member.offset, member.size), CHUNK)

    def _tar(self) -> tarfile.TarFile:
        try:
            return tarfile.open(fileobj=_Headers(self._file), mode="r:")
        except (tarfile.ReadError, gzip.BadGzipFile):
            raise UserError(
                f"image {self.path}: it is no image: name what `docker save` wrote, an OCI "
                "archive or layout, or a squashfs image"
            ) from None

    def _index(self) -> Iterator[tuple[str, Member | str]]:
        """(name, member), and (name, name) of links."""
        with self._tar() as tar:
            for info in tar:
                name = _clean(info.name)
                if info.issym():
                    yield name, _clean(posixpath.join(posixpath.dirname(name), info.linkname))
                elif info.islnk():
                    yield name, _clean(info.linkname)
                elif info.isreg() and not info.issparse():
                    self._file.seek(info.offset_data)
                    if info.size < 0:  # base-256 numbers of tar may be
                        raise tarfile.ReadError("a negative size")
                    head = self._file.read(min(8, info.size))
                    yield name, Member(name, info.offset_data, info.size, compression_of(head))


def _clean(name: str) -> str:
    """One spelling for a name; what leads out of the archive is the name of nothing."""
    name = posixpath.normpath(name)
    return "" if name.startswith(("/", "..")) else name


class _Watched(io.FileIO):
    """Says how far the file has been read."""

    def __init__(self, descriptor: int, tick: Callable[[int], None]):
        super().__init__(descriptor, "rb")
        self._tick = tick

    def readinto(self, buffer) -> int:
        count = super().readinto(buffer)
        self._tick(count)
        return count


class _Headers:
    """What tarfile reads for itself: it would keep an extended header of any size."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._left = MOST_HEADERS
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise ValueError(f"more than {MOST_HEADERS >> 20} MiB of tar headers")
        return self._file.read(size)


class _Part(io.RawIOBase):
    """So many bytes of a file from an offset; the only reader while it is in use."""

    def __init__(self, file: BinaryIO, offset: int, size: int):
        self._file = file
        self._left = size
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._file.read(min(len(buffer), self._left))
        if not data and self._left:
            raise EOFError("the end is missing")
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
