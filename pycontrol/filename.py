"""A file name for any text, users' among them."""

from __future__ import annotations


def file_name(key: str) -> str:
    """Of 96 bits: two texts never have the same."""
    return _sha256(key.encode(errors="surrogateescape")).hexdigest()[:24]


def _sha256(data: bytes):
    """Of Python's own, as `random` takes it: hashlib loads OpenSSL, 4 ms of each hook."""
    try:
        from _sha2 import sha256  # since Python 3.12
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256
    return sha256(data)
