"""The mounts of a task: how they are written, and which ones every step has.

Pure functions.  The task itself makes them, in order, with its user's rights
(spank_plugin/mounts.c); Docker makes none but that of the pause binary.  Later
ones see and cover earlier ones.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath

from pycontrol.errors import UserError
from pycontrol.plaindata import dataclass, replace

OPTION = "--container-mounts"
FORM = "write SRC[:DST[:FLAG[+FLAG...]]], tmpfs:DST[:size=SIZE] or umount:DST"
LONGEST = 4095  # bytes of a path: PATH_MAX of Linux, without the end
INSIDE = ("tmpfs", "proc")  # kinds that the hook makes, once for the step's tasks on a node


@dataclass(frozen=True)
class Mount:
    """One mount of a task.

    source       absolute path of the node; "" unless kind is "bind"
    target       absolute path of the container
    kind         "bind"; "tmpfs", one for the step's tasks on a node; "umount"
                 the mount that is there; "proc" of the step's pid namespace
    devices      device nodes in it work; nothing but /dev has that
    optional     left out where the user cannot reach the source on this node
    no_links     only if no part of the source's path is a symbolic link
    checked      its source and target are held against the site's rules (bridge.h)
    propagation  as mount(8) spells it, relative to a slave of the node's
    create       "dir" or "file" for a missing target; "": as the source is
    size         of a tmpfs: bytes with k, m, g, or %; "": the site's
    """

    source: str
    target: str
    kind: str = "bind"
    read_only: bool = False
    no_exec: bool = False
    devices: bool = False
    optional: bool = False
    recursive: bool = True
    no_links: bool = False
    checked: bool = False
    propagation: str = ""
    create: str = ""
    size: str = ""

    @property
    def flags(self) -> str:
        """As spank_plugin/bridge.h spells them."""
        letters = {
            "r": self.read_only,
            "x": self.no_exec,
            "d": self.devices,
            "o": self.optional,
            "b": not self.recursive,
            "l": self.no_links,
            "c": self.checked,
            "i": self.kind in INSIDE,
            "u": self.kind == "umount",
            "D": self.create == "dir",
            "F": self.create == "file",
            "-": self.propagation.startswith("r"),
        }
        propagation = _PROPAGATION_LETTERS.get(self.propagation.removeprefix("r"), "")
        return "".join(letter for letter, wanted in letters.items() if wanted) + propagation


_PROPAGATION_LETTERS = {"private": "p", "slave": "s", "shared": "h", "unbindable": "n"}

# What each flag of an entry says.  Two that say the same thing differently
# contradict each other.
_FLAGS: dict[str, dict[str, object]] = {
    "ro": {"read_only": True},
    "rw": {"read_only": False},
    "noexec": {"no_exec": True},
    "exec": {"no_exec": False},
    "nosuid": {},  # always
    "nodev": {},  # always
    "bind": {"recursive": False},
    "rbind": {"recursive": True},
    "x-create=dir": {"create": "dir"},
    "x-create=file": {"create": "file"},
    "x-create=auto": {"create": ""},
    **{
        prefix + name: {"propagation": prefix + name}
        for name in _PROPAGATION_LETTERS
        for prefix in ("", "r")
    },
}
SIZE = re.compile(r"[1-9][0-9]{0,15}(?:[kKmMgG]|%)?")


def absolute(path: str, option: str) -> str:
    """Normalised absolute path of the container, without `..`."""
    if not path.startswith("/"):
        raise UserError(f"{option}: {path or '``'} must be an absolute path: begin it with /")
    if ".." in path.split("/"):
        raise UserError(f"{option}: {path} must not contain `..`: write the path without")
    if len(path.encode(errors="surrogateescape")) > LONGEST:
        raise UserError(
            f"{option}: {path[:40]}...: the path is longer than {LONGEST} bytes: shorten it"
        )
    return _normal(path)


def _normal(path: str) -> str:  # normpath() alone keeps two slashes at the beginning
    return posixpath.normpath("/" + path.lstrip("/") if path.startswith("/") else path)


def _target(path: str, text: str) -> str:
    if not path:
        raise UserError(f"{OPTION}: {text}: the target is missing: {FORM}")
    target = absolute(path, OPTION)
    if target == "/":
        raise UserError(
            f"{OPTION}: {text}: the target must not be / itself: name a directory below it"
        )
    return target


def _with_flag(mount: Mount, flag: str, given: dict[str, str], text: str) -> Mount:
    if flag.startswith("size=") and mount.kind == "tmpfs":
        changes: dict[str, object] = {"size": _size(flag.removeprefix("size="), text)}
    elif flag in _FLAGS:
        changes = _FLAGS[flag]
    else:
        known = "ro, rw, noexec, bind, rbind, [r]private, [r]slave, [r]shared, [r]unbindable"
        raise UserError(
            f"{OPTION}: {text}: `{flag}` is no mount flag: {known}, "
            "x-create=dir and x-create=file are; join several with +"
        )
    for name in changes:
        if given.setdefault(name, flag) != flag:
            raise UserError(
                f"{OPTION}: {text}: {given[name]} and {flag} contradict each other: give one"
            )
    return replace(mount, **changes)


def _size(size: str, text: str) -> str:
    if not is_size(size):
        raise UserError(
            f"{OPTION}: {text}: `{size}` is no size: write a number with k, m or g, or a "
            "percentage of the node's memory, like 50%"
        )
    return size


def is_size(text: str) -> bool:
    """Whether a memory file system may be that large (tmpfs(5), size=)."""
    return bool(SIZE.fullmatch(text)) and not (text.endswith("%") and int(text[:-1]) > 100)


def _with_flags(mount: Mount, flags: str, text: str) -> Mount:
    given: dict[str, str] = {}
    for flag in flags.split("+"):
        mount = _with_flag(mount, flag, given, text)
    return mount


def parse_entry(text: str, cwd: str) -> Mount:
    """One entry; without DST the target is the source's own path.

    Raises UserError with the part that is wrong.
    """
    if "\0" in text or "\n" in text:
        raise UserError(f"{OPTION}: a path must not contain a line break: rename it")
    parts = text.split(":")
    if len(parts) > 3:
        raise UserError(f"{OPTION}: {text} has too many `:`: {FORM}")
    first, rest = parts[0], parts[1:]
    if not first:
        raise UserError(f"{OPTION}: an entry has no source: {FORM}")
    if first in ("tmpfs", "umount"):
        mount = Mount("", _target(rest[0] if rest else "", text), kind=first)
        if first == "umount" and len(parts) == 3:
            raise UserError(f"{OPTION}: {text}: umount takes no flags: write umount:DST")
    else:
        source = _normal(posixpath.join(cwd, first))
        mount = Mount(source, _target(rest[0] if rest else source, text))
    return _with_flags(mount, parts[2], text) if len(parts) == 3 else mount


def parse(text: str, cwd: str) -> tuple[Mount, ...]:
    """A comma-separated list, in the order given; one that repeats the one before is nothing."""
    found = [parse_entry(entry, cwd) for entry in text.split(",")]
    return tuple(m for m, before in zip(found, [None, *found], strict=False) if m != before)


# --- what every native step has too ---------------------------------------------

# /proc is the node's and not Docker's own mount of it, so that a site's hidepid
# holds; /sys brings the real cgroups.
NODE_MOUNTS = (
    Mount("/dev", "/dev", devices=True),
    Mount("/proc", "/proc"),
    Mount("/sys", "/sys", read_only=True),
    Mount("/tmp", "/tmp"),
)

# What Docker mounts into each container by itself, and a root of the step's own lacks.
NAME_FILES = tuple(
    Mount(path, path, read_only=True, optional=True)
    for path in ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname")
)

# Directories of the operating system: the node's must not cover the image's
# only because the user happened to submit from there.
_LIBRARIES = ("lib", "lib32", "lib64", "libx32")
_SYSTEM = frozenset(("bin", "boot", "dev", "etc", "proc", "run", "sbin", "sys", "usr", *_LIBRARIES))
_SYSTEM_TOP = frozenset(("home", "opt", "root", "srv", "tmp", "var"))


def hides_image(directory: str) -> bool:
    """Whether showing this directory of the node would cover the image's system."""
    parts = PurePosixPath(directory).parts[1:]
    if not parts or parts[0] in _SYSTEM:
        return True
    return len(parts) == 1 and parts[0] in _SYSTEM_TOP


def is_below(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or inside it; both normalised."""
    return PurePosixPath(path).is_relative_to(directory)


def home_mount(home: str) -> Mount | None:
    """The home directory at its own path; None for accounts without a real one."""
    if not home.startswith("/") or hides_image(home):
        return None
    return Mount(home, home, optional=True)


def shown_already(path: str, present: tuple[Mount, ...]) -> bool:
    """Whether the node's `path` is there inside under its own name."""
    return any(is_below(path, m.target) for m in present if m.source == m.target)


def submit_mount(cwd: str, present: tuple[Mount, ...]) -> Mount | None:
    """The step's directory at its own path, unless another mount shows it already."""
    if hides_image(cwd) or any(is_below(cwd, mount.target) for mount in present):
        return None
    return Mount(cwd, cwd, optional=True)
