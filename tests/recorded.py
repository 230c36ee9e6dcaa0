"""Entries of spank_plugin/recorded.c, written independently of the product's."""

import struct
from pathlib import Path


def entry(kind: str, payload: str | bytes = b"") -> bytes:
    data = payload.encode() if isinstance(payload, str) else payload
    return kind.encode() + struct.pack("=I", len(data)) + data + b"\0"


def identity(path: Path) -> str:
    s = path.stat()
    return f"{s.st_dev} {s.st_ino} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}"
