"""Opens what the user named as an image, and says in words why it cannot be read.

Runs as the job's owner in a child (pycontrol/as_user.py), never as root.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import resource
import stat
import tarfile
import zlib
from collections.abc import Iterator

from pycontrol import kernel
from pycontrol.errors import SockerError, UserError
from pycontrol.plaindata import dataclass

LARGEST_MEMORY = 2 << 30  # that the child may add to its address space
# A pipe must not make us wait, a terminal not become ours.
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
SQUASHFS, ARCHIVE, LAYOUT = "squashfs", "archive", "layout"

_DAMAGE = (tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError)


@dataclass(frozen=True)
class Identity:
    """What a file is, and what changes whenever its content does."""

    form: str
    device: int
    inode: int
    size: int
    modified: int  # ns
    changed: int  # ns; no user can set it


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what reading a user's file may raise into words about that file."""
    try:
        yield
    except (SockerError, BrokenPipeError):
        raise
    except MemoryError:
        limit = LARGEST_MEMORY >> 20
        raise UserError(f"image {path}: reading it takes more than {limit} MiB") from None
    except (*_DAMAGE, ValueError, OverflowError, RecursionError) as error:
        raise UserError(
            f"image {path}: it is damaged or cut short ({error}): make it again"
        ) from error
    except OSError as error:
        raise UserError(f"image {path}: {error.strerror or error}") from error


def limit_memory() -> None:
    """The last bound: decompressors and parsers allocate what their input says."""
    with open("/proc/self/statm") as file:  # what slurmstepd had mapped is no small part
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = now + LARGEST_MEMORY
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def open_path(path: str) -> int:
    """A descriptor of what the user named."""
    try:
        return kernel.open_by_name(path, FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        reason = "no such file or directory on this node: check the path"
    except PermissionError:
        reason = "the job's user cannot read it: check its permissions"
    except (OSError, ValueError) as error:
        reason = f"{getattr(error, 'strerror', None) or error}: check the path"
    raise UserError(f"image {path}: {reason}")


def identity(path: str, descriptor: int) -> Identity:
    """Of a file that is open; a directory is known by its index.json, which names the rest."""
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return _of(_layout(path, descriptor), LAYOUT)
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"image {path}: it is neither a regular file nor a directory")
    magic = os.pread(descriptor, 4, 0)
    return _of(status, SQUASHFS if magic == b"hsqs" else ARCHIVE)


def _layout(path: str, folder: int) -> os.stat_result:
    """The status of index.json, which can be read."""
    for name in ("oci-layout", "index.json"):
        try:
            descriptor = os.open(name, FLAGS, dir_fd=folder)
        except FileNotFoundError:
            raise UserError(
                f"image {path}: a directory without {name}: name an OCI layout, or an archive"
            ) from None
        status = os.fstat(descriptor)
        os.close(descriptor)
    return status


def _of(status: os.stat_result, form: str) -> Identity:
    return Identity(
        form,
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
