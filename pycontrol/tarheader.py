"""Headers of a POSIX pax archive, from plain values alone: pure.

The standard library's tarfile makes members of paths, which it opens and looks
up by itself, in the account database too; the walker (roottar.py) has neither
paths that it trusts nor names.  Format: POSIX.1-2017, pax, "ustar Interchange
Format" and "pax Extended Header"; SCHILY.xattr is star's, read by all.
"""

from __future__ import annotations

from pycontrol.plaindata import dataclass

BLOCK = 512
END = bytes(2 * BLOCK)
REGULAR, HARD_LINK, SYMLINK, DIRECTORY, FIFO = b"0", b"1", b"2", b"5", b"6"

_EXTENDED = b"x"
_LONGEST_NAME = 100  # bytes of a ustar field; longer ones go into a pax record
_LARGEST_ID = 0o7777777
_LARGEST_SIZE = 0o77777777777


@dataclass(frozen=True)
class Member:
    """One entry; ids are numbers, names of accounts stay empty."""

    name: bytes
    kind: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    link: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def padding(size: int) -> bytes:
    """What fills the last block behind `size` bytes."""
    return bytes(-size % BLOCK)


def header(member: Member) -> bytes:
    """The member's blocks before its data."""
    records = b"".join(_record(key, value) for key, value in _extended(member))
    if not records:
        return _ustar(member)
    extended = Member(b"PaxHeader", _EXTENDED, size=len(records))
    return _ustar(extended) + records + padding(len(records)) + _ustar(member)


def _extended(member: Member) -> list[tuple[bytes, bytes]]:
    """What does not fit into the ustar header."""
    found = []
    for key, text in ((b"path", member.name), (b"linkpath", member.link)):
        if len(text) > _LONGEST_NAME:
            found.append((key, text))
    for key, number, largest in (
        (b"uid", member.uid, _LARGEST_ID),
        (b"gid", member.gid, _LARGEST_ID),
        (b"size", member.size, _LARGEST_SIZE),
    ):
        if number > largest:
            found.append((key, b"%d" % number))
    return found + [(b"SCHILY.xattr." + name, value) for name, value in member.xattrs]


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`; LENGTH counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _octal(value: int, width: int) -> bytes:
    """A number field; one that is too large is in a pax record, which wins."""
    largest = (1 << 3 * (width - 1)) - 1
    return b"%0*o\0" % (width - 1, value if 0 <= value <= largest else 0)


def _ustar(member: Member) -> bytes:
    mtime = min(max(member.mtime, 0), _LARGEST_SIZE)
    before = (
        member.name[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0")
        + _octal(member.mode & 0o7777, 8)
        + _octal(member.uid, 8)
        + _octal(member.gid, 8)
        + _octal(member.size, 12)
        + _octal(mtime, 12)
    )
    after = member.kind + member.link[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0") + b"ustar\x0000"
    after = after.ljust(BLOCK - len(before) - 8, b"\0")
    total = sum(before) + sum(after) + 8 * ord(" ")
    return before + b"%06o\0 " % total + after
