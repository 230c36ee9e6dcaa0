"""Parses /proc/PID/cgroup and /proc/self/mountinfo.  Pure functions.

Formats: cgroups(7), proc(5).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

EXTERN_STEP = "step_extern"


@dataclass(frozen=True)
class Membership:
    """One line of /proc/PID/cgroup: a hierarchy and the process's group in it.

    controllers  ("memory",), ("cpu", "cpuacct"), ("name=systemd",); () is v2
    path         from the hierarchy's root, as /slurm/uid_1/job_2/step_0
    """

    controllers: tuple[str, ...]
    path: str


def parse_memberships(text: str) -> tuple[Membership, ...]:
    """The lines of /proc/PID/cgroup."""
    found = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found.append(Membership(tuple(filter(None, controllers.split(","))), path))
    return tuple(found)


def _unescape(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def parse_hierarchies(mountinfo: str) -> dict[tuple[str, ...], Path]:
    """Where each hierarchy is mounted: controllers -> mount point; () is v2.

    Only mounts of a hierarchy's root count: others show a part of it.
    """
    found: dict[tuple[str, ...], Path] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        root, mount_point = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        if root != "/" or kind not in ("cgroup", "cgroup2"):
            continue
        found.setdefault(_controllers(kind, options), Path(_unescape(mount_point)))
    return found


# Options of a cgroup mount that are no controllers' names.
_FLAGS = ("rw", "ro", "xattr", "clone_children", "noprefix", "none", "cpuset_v2_mode")


def _controllers(kind: str, options: str) -> tuple[str, ...]:
    if kind == "cgroup2":
        return ()
    words = options.split(",")
    return tuple(
        word for word in words if word not in _FLAGS and not word.startswith("release_agent")
    )


def is_slurms(path: str) -> bool:
    """Whether Slurm made this group: in its v1 tree or in its v2 scope."""
    parts = path.split("/")
    return parts[1].startswith("slurm") or any(p.endswith("slurmstepd.scope") for p in parts)


def extern_step(path: str) -> str | None:
    """The group of the job's extern step, from the group of one of its steps.

    Only a last part is replaced or added: what comes before it (a job id, a
    SLUID) is kept as Slurm wrote it.  None when `path` is in no step of a job.
    """
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part.startswith("step_"):
            return posixpath.join("/", *parts[:index], EXTERN_STEP)
    return None


def own_step(path: str) -> str | None:
    """The group of the whole step that a group belongs to; None outside of steps."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part.startswith("step_"):
            return "/".join(parts[: index + 1])
    return None


def killed_with_step(path: str, step: str) -> tuple[str, ...]:
    """Patterns of the groups whose processes Slurm kills when a step ends.

    path: slurmstepd's own group; step: the step's, in any hierarchy.  v1: the
    freezer's group of the step, beside which slurmstepd is; v2: the leaves of
    the tasks (cgroup_v2.c, `user/task_N`).
    """
    if "slurmstepd.scope" in path:
        return (f"{own_step(path)}/user/task_*",)
    return () if own_step(path) else (posixpath.join(path, posixpath.basename(step)),)
