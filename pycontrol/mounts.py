"""Which mounts a task makes, and in which order: later ones cover earlier ones.

Pure functions.  The task itself makes them, with its user's rights
(spank_plugin/join.c); Docker makes none but that of the pause binary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Mount:
    """One mount of a task.

    devices   device nodes in it work; nothing but /dev has that
    optional  left out where the user cannot reach the source on this node
    """

    source: str
    target: str
    read_only: bool = False
    devices: bool = False
    optional: bool = False

    @property
    def flags(self) -> str:
        """As spank_plugin/bridge.h spells them."""
        letters = {"r": self.read_only, "d": self.devices, "o": self.optional}
        return "".join(letter for letter, wanted in letters.items() if wanted)


# What every native step has too.  /proc is the node's and not Docker's own
# mount of it, so that a site's hidepid holds; /sys brings the real cgroups.
NODE_MOUNTS = (
    Mount("/dev", "/dev", devices=True),
    Mount("/proc", "/proc"),
    Mount("/sys", "/sys", read_only=True),
    Mount("/tmp", "/tmp"),
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


def submit_mount(cwd: str, present: tuple[Mount, ...]) -> Mount | None:
    """The step's directory at its own path, unless another mount shows it already."""
    if hides_image(cwd) or any(is_below(cwd, mount.target) for mount in present):
        return None
    return Mount(cwd, cwd, optional=True)
