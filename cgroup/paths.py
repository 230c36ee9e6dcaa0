"""Parses /proc/PID/cgroup and /proc/self/mountinfo.  Pure functions.

Formats: cgroups(7), proc(5).
"""

from __future__ import annotations

import posixpath
from collections import namedtuple
from pathlib import Path

STEP = "step_"  # how Slurm names a step's group
EXTERN_STEP = f"{STEP}extern"
SCOPE = "slurmstepd.scope"  # of v2; its name may begin with the node's


class Membership(namedtuple("Membership", "controllers path")):
    """One line of /proc/PID/cgroup: a hierarchy and the process's group in it.

    controllers  tuple: ("memory",), ("cpu", "cpuacct"), ("name=systemd",); () is v2
    path         str: from the hierarchy's root, as /slurm/uid_1/job_2/step_0
    """

    __slots__ = ()


def parse_memberships(text: str) -> tuple[Membership, ...]:
    """The lines of /proc/PID/cgroup."""
    found = []
    for line in filter(None, text.split("\n")):
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
    for line in filter(None, mountinfo.split("\n")):
        left, _, right = line.partition(" - ")
        root, mount_point = left.split(" ")[3:5]
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
    return parts[1].startswith("slurm") or any(p.endswith(SCOPE) for p in parts)


def is_jobs(path: str) -> bool:
    """Whether this may be a job's group, or one below: in v1 under a user's, in v2 in the scope.

    The scope itself, and `system` in it, hold the process that keeps the scope.
    """
    parts = path.split("/")
    scope = next((i for i, part in enumerate(parts) if part.endswith(SCOPE)), None)
    if scope is None:
        return is_slurms(path) and len(parts) > 2
    return len(parts) > scope + 1 and parts[scope + 1] != "system"


def extern_step(path: str) -> str | None:
    """The group of the job's extern step, from the group of one of its steps.

    Only a last part is replaced or added: what comes before it (a job id, a
    SLUID) is kept as Slurm wrote it.  None when `path` is in no step of a job.
    """
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part.startswith(STEP):
            return posixpath.join("/", *parts[:index], EXTERN_STEP)
    return None


def own_step(path: str) -> str | None:
    """The group of the whole step that a group belongs to; None outside of steps."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part.startswith(STEP):
            return "/".join(parts[: index + 1])
    return None


def killed_with_step(path: str, step: str) -> tuple[str, ...]:
    """Patterns of the groups whose processes Slurm kills when a step ends.

    path: slurmstepd's own group; step: the step's, in any hierarchy.  v1: the
    freezer's group of the step, beside which slurmstepd is; v2: the leaves of
    the tasks (cgroup_v2.c, `user/task_N`).
    """
    if SCOPE in path:
        return (f"{own_step(path)}/user/task_*",)
    return () if own_step(path) else (posixpath.join(path, posixpath.basename(step)),)
