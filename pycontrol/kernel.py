"""System calls that Python does not wrap: each one function with one error path.

The only module that imports cffi.  Numbers and structures are from the
kernel's headers; openat2, open_tree, move_mount and mount_setattr have the
same numbers on every architecture (asm-generic/unistd.h).
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

from cffi import FFI

_ffi = FFI()
_ffi.cdef(
    """
    struct open_how { uint64_t flags, mode, resolve; };
    struct mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };
    long syscall(long number, ...);
    int setns(int fd, int kind);
    int prctl(int option, ...);
    int unshare(int flags);
    int mount(const char *source, const char *target, const char *type,
              unsigned long flags, const char *data);
    """
)
_libc = _ffi.dlopen(None)

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6
_OPEN_TREE = 428
_MOVE_MOUNT = 429
_OPENAT2 = 437
_MOUNT_SETATTR = 442

_PR_SET_PDEATHSIG = 1
NEW_MOUNTS = 0x00020000  # the CLONE_NEW... of linux/sched.h
NEW_UTS = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000
NEW_NET = 0x40000000
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = 0o2000000
_MOVE_MOUNT_BY_DESCRIPTORS = 0x44  # F_EMPTY_PATH | T_EMPTY_PATH
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_SYMLINKS = 0x04
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4
_MOUNT_ATTR_IDMAP = 0x00100000


def _int(value: int):
    return _ffi.cast("int", value)


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(_ffi.errno, os.strerror(_ffi.errno), what)
    return int(result)


def open_in_root(root: int, path: str, flags: int, links: bool = True) -> int:
    """Open `path` as if `root` (a directory's descriptor) were /.

    Absolute symlinks and `..` stay inside; /proc's magic links are refused, and
    without `links` any.
    """
    return _openat2(root, path, flags, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)


def open_below(folder: int, path: str, flags: int) -> int:
    """Open `path` below a directory, across no symlink and no mount (EXDEV).

    A last symlink itself is opened with O_PATH | O_NOFOLLOW.
    """
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_XDEV | _RESOLVE_NO_SYMLINKS
    return _openat2(folder, path, flags, resolve)


def _openat2(folder: int, path: str, flags: int, resolve: int) -> int:
    how = _ffi.new("struct open_how *", {"flags": flags | os.O_CLOEXEC, "resolve": resolve})
    name = _ffi.new("char[]", os.fsencode(path))
    size = _ffi.cast("size_t", _ffi.sizeof("struct open_how"))
    return _checked(_libc.syscall(_OPENAT2, _int(folder), name, how, size), path)


def die_with_parent() -> None:
    """Have this process killed when its parent ends; to be set after a change of ids."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, _ffi.cast("long", signal.SIGKILL)), "prctl")


def enter_mount_namespace(descriptor: int) -> None:
    """Move this process, and nothing else, into the mount namespace."""
    _checked(_libc.setns(_int(descriptor), _int(NEW_MOUNTS)), "setns")


def unshare(kinds: int) -> None:
    """New namespaces for this process; `kinds`: NEW_... joined by |."""
    _checked(_libc.unshare(_ffi.cast("int", kinds)), "unshare")


def make_mounts_private() -> None:
    """Nothing mounted in this namespace appears in another."""
    nothing = _ffi.NULL
    _checked(_libc.mount(nothing, b"/", nothing, _MS_REC | _MS_PRIVATE, nothing), "/")


def mount(kind: str, target: str, options: str) -> None:
    """mount(2) of a new file system, nosuid and nodev."""
    data = options.encode(errors="surrogateescape")
    flags = _MS_NOSUID | _MS_NODEV
    result = _libc.mount(kind.encode(), os.fsencode(target), kind.encode(), flags, data)
    _checked(result, f"{kind} at {target}")


def new_filesystem(kind: str, options: dict[str, str]) -> int:
    """A detached mount of a new file system, nosuid and nodev, by its descriptor."""
    name = _ffi.new("char[]", kind.encode())
    cloexec = _ffi.cast("unsigned", 1)
    context = _checked(_libc.syscall(_FSOPEN, name, cloexec), kind)
    try:
        for key, value in options.items():
            words = [_ffi.new("char[]", text.encode()) for text in (key, value)]
            command = _ffi.cast("unsigned", _FSCONFIG_SET_STRING)
            result = _libc.syscall(_FSCONFIG, _int(context), command, *words, _int(0))
            _checked(result, f"{kind}: {key}={value}")
        command = _ffi.cast("unsigned", _FSCONFIG_CMD_CREATE)
        nothing = _ffi.NULL
        _checked(_libc.syscall(_FSCONFIG, _int(context), command, nothing, nothing, _int(0)), kind)
        flags = _ffi.cast("unsigned", _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV)
        return _checked(_libc.syscall(_FSMOUNT, _int(context), cloexec, flags), kind)
    finally:
        os.close(context)


def clone_tree(path: str) -> int:
    """A descriptor of a detached copy of the one mount at `path`, from there on."""
    name = _ffi.new("char[]", os.fsencode(path))
    flags = _ffi.cast("unsigned", _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC)
    return _checked(_libc.syscall(_OPEN_TREE, _int(_AT_FDCWD), name, flags), path)


def attach(tree: int, target: int) -> None:
    """Mount a detached tree at the file or directory of a descriptor."""
    nothing = _ffi.new("char[]", b"")
    flags = _ffi.cast("unsigned", _MOVE_MOUNT_BY_DESCRIPTORS)
    result = _libc.syscall(_MOVE_MOUNT, _int(tree), nothing, _int(target), nothing, flags)
    _checked(result, "move_mount")


def map_ids(tree: int, user_namespace: int) -> None:
    """Show a detached tree's files with the ids that the namespace maps theirs to."""
    attr = _ffi.new("struct mount_attr *")
    attr.attr_set = _MOUNT_ATTR_IDMAP
    attr.userns_fd = user_namespace
    _set_attributes(_int(tree), b"", _AT_EMPTY_PATH, attr, "mount_setattr")


def forbid_setuid_and_devices(path: str) -> None:
    """Make every mount at and below `path` nosuid and nodev."""
    attr = _ffi.new("struct mount_attr *")
    attr.attr_set = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV
    _set_attributes(_int(_AT_FDCWD), os.fsencode(path), _AT_RECURSIVE, attr, path)


def _set_attributes(directory, path: bytes, flags: int, attr, what: str) -> None:
    name = _ffi.new("char[]", path)
    size = _ffi.cast("size_t", _ffi.sizeof("struct mount_attr"))
    number = _ffi.cast("unsigned", flags)
    _checked(_libc.syscall(_MOUNT_SETATTR, directory, name, number, attr, size), what)


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
    nothing = _ffi.cast("void *", 0)
    zero = _ffi.cast("size_t", 0)
    _libc.syscall(number, _int(-1), nothing, nothing, zero, zero)
    return _ffi.errno != errno.ENOSYS


def exported_number(library: Path, name: str) -> int:
    """An `unsigned int` that a shared object exports; its functions stay unresolved."""
    ffi = FFI()
    ffi.cdef(f"extern unsigned int {name};")
    return int(getattr(ffi.dlopen(str(library), ffi.RTLD_LAZY), name))
