"""Finds the process that shows where a job's container belongs, and places it.

Used by the step's hook, as root.  The job's extern step (PrologFlags=Contain)
holds one idle process of Slurm's for as long as the job lasts; a process moved
into its groups is killed by Slurm when the job ends (DESIGN D6, D7): the leash of the
container's first process (decision 0020).
"""

from __future__ import annotations

import contextlib
import os
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

from cgroup import files, paths
from cgroup.paths import Membership


class Anchor(
    namedtuple("Anchor", "pid start_time lasts is_slurmstepd", defaults=(False,)),
):
    """A process of Slurm's in the groups that a container shall join.

    start_time     clock ticks since boot: with the pid, it names the process
    lasts          as long as the job; else its step's, or shorter
    is_slurmstepd  it is where no other process may be: it adopts
    """

    __slots__ = ()

    def is_alive(self) -> bool:
        return start_time(self.pid) == self.start_time


def start_time(pid: int) -> int | None:
    """When the process started (ticks since boot); None when there is none.

    Field 22 of /proc/PID/stat, proc(5); the name in field 2 may hold anything,
    so fields are counted behind its last `)`.
    """
    try:
        fields = files.read_proc(pid, "stat").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def memberships(pid: int | str) -> tuple[Membership, ...]:
    return paths.parse_memberships(files.read_proc(pid, "cgroup"))


def hierarchies() -> dict[tuple[str, ...], Path]:
    return paths.parse_hierarchies(files.read_proc("self", "mountinfo"))


def slurm_groups(pid: int) -> list[Path]:
    """The groups that Slurm made and the process is in, as directories.

    Every v1 hierarchy that Slurm uses, or the one v2 leaf.
    """
    mounted = hierarchies()
    return [
        mounted[m.controllers] / m.path.lstrip("/")
        for m in memberships(pid)
        if m.controllers in mounted and paths.is_slurms(m.path)
    ]


def executable(pid: int | str) -> str | None:
    """The program a process runs; None when it has ended or hides it."""
    try:
        return os.readlink(files.PROC / str(pid) / "exe")
    except OSError:
        return None


def find_extern(slurmstepd: bool = False) -> Anchor | None:
    """The extern step's process of the job that this process works for.

    This process must come of slurmstepd.  The extern step's own slurmstepd is
    wanted only if the caller says so, as the step has no other process then; nor is
    its child before execve, or a user's process: in v1 Slurm gives a step's groups to
    the user, who can put processes there.
    """
    origin = _slurmstepd()
    own_program = executable(origin)
    mounted = hierarchies()
    for membership in _memberships(origin):
        group = paths.extern_step(membership.path)
        if not group or membership.controllers not in mounted:
            continue
        for pid in files.pids_below(mounted[membership.controllers] / group.lstrip("/")):
            started = start_time(pid)
            program = executable(pid)
            if started is None or program is None or (program == own_program) != slurmstepd:
                continue
            if is_roots(pid) and _is_extern(pid):
                return Anchor(pid, started, not slurmstepd, slurmstepd)
    return None


def _slurmstepd() -> int | str:
    """The process whose grandchild this is (spank_plugin/child.c); its groups tell the job."""
    return parent_of(os.getppid()) or "self"


def find_task() -> Anchor | None:
    """One of the tasks of the step that this process works for.

    A child of our own slurmstepd, in groups that are not slurmstepd's: what Slurm kills
    when the step ends.  Tasks are there as soon as Slurm has forked them.
    """
    slurmstepd = _slurmstepd()
    own = _memberships(slurmstepd)
    mounted = hierarchies()
    for membership in own:
        group = paths.own_step(membership.path)
        if not group or membership.controllers not in mounted:
            continue
        for pid in files.pids_below(mounted[membership.controllers] / group.lstrip("/")):
            started = start_time(pid)
            if started is not None and parent_of(pid) == slurmstepd and _memberships(pid) != own:
                return Anchor(pid, started, lasts=False)
    return None


def _memberships(pid: int | str) -> tuple[Membership, ...]:
    """As memberships(); of a process that has ended, our own."""
    try:
        return memberships(pid)
    except OSError:
        return memberships("self")


def parent_of(pid: int) -> int | None:
    """The parent's pid (field 4 of /proc/PID/stat); None when there is no such process."""
    try:
        return int(files.read_proc(pid, "stat").rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def children_of(pid: int) -> list[int]:
    """Of a process of one thread (proc(5), task/TID/children); [] when it has ended."""
    try:
        return [int(word) for word in files.read_proc(pid, f"task/{pid}/children").split()]
    except (FileNotFoundError, ProcessLookupError):  # or a kernel without CONFIG_PROC_CHILDREN
        everyone = (int(e.name) for e in os.scandir(files.PROC) if e.name.isdecimal())
        return [other for other in everyone if parent_of(other) == pid]


def enter_step() -> None:
    """Move this process to where Slurm kills it with its step, though no task is left.

    slurmstepd itself, whose child we are, is in groups that Slurm spares.
    """
    mounted = hierarchies()
    own = memberships("self")
    step = next((s for s in (paths.own_step(m.path) for m in own) if s), None)
    if not step:
        return
    for membership in own:
        if membership.controllers not in mounted or not paths.is_slurms(membership.path):
            continue
        root = mounted[membership.controllers]
        for group in paths.killed_with_step(membership.path, step):
            for folder in sorted(root.glob(group.lstrip("/"))):
                with contextlib.suppress(OSError):
                    files.write_pid(folder, os.getpid())
                break


def is_roots(pid: int) -> bool:
    """Whether all of the process's user ids are root's (proc(5), status)."""
    try:
        lines = files.read_proc(pid, "status").split("\n")
    except (FileNotFoundError, ProcessLookupError):
        return False
    ids = next((line.split()[1:] for line in lines if line.startswith("Uid:")), [])
    return bool(ids) and set(ids) == {"0"}


def _is_extern(pid: int) -> bool:
    """Whether every group of Slurm's that it is in belongs to an extern step."""
    try:
        groups = slurm_groups(pid)
    except OSError:
        return False
    return bool(groups) and all(paths.EXTERN_STEP in group.parts for group in groups)


def place(pid: int, started: int, anchor: Anchor) -> list[Path]:
    """Move the process into the anchor's groups; returns them.

    Raises OSError when a group refuses, LookupError when the process or the
    anchor has ended, or the anchor is in no group of Slurm's.
    """
    groups = slurm_groups(anchor.pid)
    if not groups or not anchor.is_alive():
        raise LookupError(f"process {anchor.pid} is in no group of Slurm's, or has ended")
    for group in groups:
        if start_time(pid) != started:
            raise LookupError(f"process {pid} has ended")
        files.write_pid(group, pid)
    return groups


def adopt(pid: int, started: int, ask: Callable[[int], int]) -> None:
    """Let the extern step take the process in: Slurm makes the group and removes it.

    Raises OSError or LookupError as place() does.
    """
    if start_time(pid) != started:
        raise LookupError(f"process {pid} has ended")
    if ask(pid) or not _is_extern(pid):
        raise LookupError(f"the job's extern step does not take in process {pid}")
