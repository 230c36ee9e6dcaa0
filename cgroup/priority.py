"""Lets a process run before others.  Used by the hooks, as root."""

from __future__ import annotations

import contextlib
import os

from cgroup import files, paths, place

HIGHEST = -20  # a nice value: setpriority(2)


def run_first(pid: int, started: int) -> None:
    """Let the process run as soon as it has something to do, whatever else wants to.

    Real-time, where its group may have that; else with the highest priority.  What
    fails here only makes it later.
    """
    with contextlib.suppress(OSError):
        if place.start_time(pid) != started:
            return
        if _may_be_realtime(pid):
            with contextlib.suppress(PermissionError):
                return os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
        os.setpriority(os.PRIO_PROCESS, pid, HIGHEST)


def _may_be_realtime(pid: int) -> bool:
    """Of a kernel with CONFIG_RT_GROUP_SCHED only the root of v1's `cpu` may.

    The process goes there, if that hierarchy is not Slurm's.  In v2 a real-time process
    would keep others from enabling `cpu` above it: only where that is so already, and
    such a kernel refuses (cgroup-v2.rst, "CPU").
    """
    groups = {m.controllers: m.path for m in place.memberships(pid)}
    mounted = place.hierarchies()
    for controllers, root in mounted.items():
        if "cpu" in controllers:
            if not paths.is_slurms(groups.get(controllers, "/")):
                files.write_pid(root, pid)
            return True
    if () not in mounted or () not in groups:
        return False
    enabled = mounted[()] / groups[()].lstrip("/") / "cgroup.controllers"
    return "cpu" in enabled.read_text().split()
