"""System calls that Python does not wrap: each one function with one error path.

The only module that imports ctypes (cffi would parse C at each start of a hook).
Numbers and structures are from the kernel's headers; openat2, open_tree, move_mount
and mount_setattr have the same numbers on every architecture (asm-generic/unistd.h).
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import struct
from pathlib import Path

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6
_OPEN_TREE = 428
_MOVE_MOUNT = 429
_OPENAT2 = 437
_MOUNT_SETATTR = 442

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
NEW_MOUNTS = 0x00020000  # the CLONE_NEW... of linux/sched.h
NEW_UTS = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000
NEW_NET = 0x40000000
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = 0o2000000
_MOVE_MOUNT_BY_DESCRIPTORS = 0x44  # F_EMPTY_PATH | T_EMPTY_PATH
_UMOUNT = 0x2 | 0x8  # MNT_DETACH | UMOUNT_NOFOLLOW
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4
_MOUNT_ATTR_IDMAP = 0x00100000


@functools.cache
def _libc():
    """The C library, and what speaks to it: a step that joins a container needs neither.

    Loaded with the first call, so never out of a container: whoever changes root or
    namespaces does so by a call of this module (tests/unit/test_doors.py).
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library, ctypes


def prepare() -> None:
    """Before a fork: a child that becomes a user's need not be able to load it."""
    _libc()


def _call(what: str, name: str, *arguments: int | bytes | None) -> int:
    """A function of libc, of numbers and bytes; OSError that names `what` when it fails."""
    libc, ctypes = _libc()
    words = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    result = getattr(libc, name)(*words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return int(result)


def _attributes(set_them: int, user_namespace: int = 0) -> bytes:
    """struct mount_attr: attr_set, attr_clr, propagation, userns_fd."""
    return struct.pack("=QQQQ", set_them, 0, 0, user_namespace)


def open_in_root(root: int, path: str, flags: int, links: bool = True) -> int:
    """Open `path` as if `root` (a directory's descriptor) were /.

    Absolute symlinks and `..` stay inside; /proc's magic links are refused, and
    without `links` any.
    """
    refused = _RESOLVE_NO_MAGICLINKS if links else _RESOLVE_NO_SYMLINKS
    return _openat2(root, path, flags, _RESOLVE_IN_ROOT | refused)


def open_by_name(path: str, flags: int) -> int:
    """Open what a user named: not by /proc's magic links, which lead to other namespaces.

    There the kernel's name of what is open can be that of another file here.
    """
    return _openat2(_AT_FDCWD, path, flags, _RESOLVE_NO_MAGICLINKS)


def open_below(folder: int, path: str, flags: int) -> int:
    """Open `path` below a directory, across no symlink and no mount (EXDEV).

    A last symlink itself is opened with O_PATH | O_NOFOLLOW.
    """
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_XDEV | _RESOLVE_NO_SYMLINKS
    return _openat2(folder, path, flags, resolve)


def _openat2(folder: int, path: str, flags: int, resolve: int) -> int:
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)  # flags, mode, resolve
    return _call(path, "syscall", _OPENAT2, folder, os.fsencode(path), how, len(how))


def die_with_parent() -> None:
    """Have this process killed when its parent ends; to be set after a change of ids."""
    _call("prctl", "prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)


def forbid_tracing() -> None:
    """Let nobody but root look into this process or alter it, until it executes a program."""
    _call("prctl", "prctl", _PR_SET_DUMPABLE, 0)


def enter_mount_namespace(descriptor: int) -> None:
    """Move this process, and nothing else, into the mount namespace."""
    _call("setns", "setns", descriptor, NEW_MOUNTS)


def unshare(kinds: int) -> None:
    """New namespaces for this process; `kinds`: NEW_... joined by |."""
    _call("unshare", "unshare", kinds)


def make_mounts_private() -> None:
    """Nothing mounted in this namespace appears in another."""
    _call("/", "mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)


def mount(kind: str, target: str, options: str) -> None:
    """mount(2) of a new file system, nosuid and nodev."""
    data = options.encode(errors="surrogateescape")
    flags = _MS_NOSUID | _MS_NODEV
    name = kind.encode()
    _call(f"{kind} at {target}", "mount", name, os.fsencode(target), name, flags, data)


def unmount(path: str) -> None:
    """Take a mount out of the tree, whoever still uses it."""
    _call(path, "umount2", os.fsencode(path), _UMOUNT)


def new_filesystem(kind: str, options: dict[str, str]) -> int:
    """A detached mount of a new file system, nosuid and nodev, by its descriptor."""
    cloexec = 1
    context = _call(kind, "syscall", _FSOPEN, kind.encode(), cloexec)
    try:
        for key, value in options.items():
            said = (_FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)
            _call(f"{kind}: {key}={value}", "syscall", _FSCONFIG, context, *said)
        _call(kind, "syscall", _FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        flags = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV
        return _call(kind, "syscall", _FSMOUNT, context, cloexec, flags)
    finally:
        os.close(context)


def clone_tree(path: str) -> int:
    """A descriptor of a detached copy of the one mount at `path`, from there on."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    return _call(path, "syscall", _OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)


def attach(tree: int, target: int) -> None:
    """Mount a detached tree at the file or directory of a descriptor."""
    flags = _MOVE_MOUNT_BY_DESCRIPTORS
    _call("move_mount", "syscall", _MOVE_MOUNT, tree, b"", target, b"", flags)


def map_ids(tree: int, user_namespace: int) -> None:
    """Show a detached tree's files with the ids that the namespace maps theirs to."""
    attributes = _attributes(_MOUNT_ATTR_IDMAP, user_namespace)
    _set_attributes(tree, b"", _AT_EMPTY_PATH, attributes, "mount_setattr")


def forbid_setuid_and_devices(path: str) -> None:
    """Make every mount at and below `path` nosuid and nodev."""
    attributes = _attributes(_MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV)
    _set_attributes(_AT_FDCWD, os.fsencode(path), _AT_RECURSIVE, attributes, path)


def _set_attributes(folder: int, path: bytes, flags: int, attributes: bytes, what: str) -> None:
    size = len(attributes)
    _call(what, "syscall", _MOUNT_SETATTR, folder, path, flags, attributes, size)


def missing_features() -> list[str]:
    """The system calls that joining needs and this kernel does not have."""
    calls = {
        "open_tree (Linux 5.2)": _OPEN_TREE,
        "move_mount (Linux 5.2)": _MOVE_MOUNT,
        "openat2 (Linux 5.6)": _OPENAT2,
        "mount_setattr (Linux 5.12)": _MOUNT_SETATTR,
    }
    return [name for name, number in calls.items() if not _exists(number)]


def _exists(number: int) -> bool:
    """Arguments that are wrong for each of them: any error but ENOSYS is fine."""
    try:
        _call("", "syscall", number, -1, None, None, 0, 0)
    except OSError as error:
        return error.errno != errno.ENOSYS
    return True


def exported_number(library: Path, name: str) -> int:
    """An `unsigned int` that a shared object exports; its functions stay unresolved."""
    _, ctypes = _libc()
    loaded = ctypes.CDLL(str(library), mode=os.RTLD_LAZY)
    return int(ctypes.c_uint.in_dll(loaded, name).value)
