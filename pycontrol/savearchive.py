"""Writes an image of one layer as a docker-archive, in one pass.

Runs as the job's owner (save.py).  A tar wants the layer's size before the
layer, and nobody knows it then: the header's place is kept free and filled in
at the end, also in a compressed archive.  So nothing is stored twice.
"""

from __future__ import annotations

import hashlib
import json
import struct
import tarfile
import zlib
from typing import BinaryIO, Protocol

from pycontrol.image import Image
from pycontrol.imageconfig import config_json
from pycontrol.tarheader import BLOCK, END, padding

CHUNK = 1 << 20
LEVEL = 1  # three times as fast as zlib's default, and little larger
LAYER = "layer.tar"


class Output(Protocol):
    """A stream whose first block is given last."""

    def write(self, data: bytes) -> None: ...
    def finish(self, first: bytes) -> None: ...


class Plain:
    def __init__(self, file: BinaryIO):
        self._file = file
        file.write(bytes(BLOCK))

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self, first: bytes) -> None:
        self._file.seek(0)
        self._file.write(first)


class Gzip:
    """One gzip member (RFC 1952): the first block is stored, the others are deflated.

    A second member would be simpler, but not every reader goes on to it.
    """

    HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    STORED = struct.pack("<BHH", 0, BLOCK, BLOCK ^ 0xFFFF)  # RFC 1951, 3.2.4

    def __init__(self, file: BinaryIO):
        self._file = file
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = self._size = 0
        file.write(self.HEADER + self.STORED + bytes(BLOCK))

    def write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._file.write(self._deflate.compress(data))

    def finish(self, first: bytes) -> None:
        crc = crc32_combine(zlib.crc32(first), self._crc, self._size)
        size = (BLOCK + self._size) & 0xFFFFFFFF
        self._file.write(self._deflate.flush() + struct.pack("<LL", crc, size))
        self._file.seek(len(self.HEADER + self.STORED))
        self._file.write(first)


def crc32_combine(first: int, second: int, size: int) -> int:
    """The CRC-32 of A + B from those of A and of B, which has `size` bytes.

    As in zlib's crc32.c: crc(A) times x^(8 * size), modulo the polynomial.
    """
    power, factor = 1 << 30, 1 << 31  # x, and 1: bits are reversed
    exponent = 8 * size
    while exponent:
        if exponent & 1:
            factor = _multiply(factor, power)
        power = _multiply(power, power)
        exponent >>= 1
    return _multiply(factor, first) ^ second


def _multiply(a: int, b: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (0xEDB88320 if b & 1 else 0)
    return product


def write(source: BinaryIO, output: Output, image: Image) -> None:
    """`source` is the layer's tar, to its end."""
    digest, size = hashlib.sha256(), 0
    while data := source.read(CHUNK):
        digest.update(data)
        size += len(data)
        output.write(data)
    output.write(padding(size))
    config = config_json(image, f"sha256:{digest.hexdigest()}")
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": None, "Layers": [LAYER]}]
    output.write(_file(name, config))
    output.write(_file("manifest.json", json.dumps(manifest).encode()))
    output.write(END)
    output.finish(_header(LAYER, size))


def _file(name: str, data: bytes) -> bytes:
    return _header(name, len(data)) + data + padding(len(data))


def _header(name: str, size: int) -> bytes:
    """One block whatever the size: GNU's form needs no extended header beyond 8 GiB."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)
