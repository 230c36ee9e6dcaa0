"""The one place that reads and writes cgroup files.

An error names the file and the value, as the kernel's own says neither.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PROC = Path("/proc")


def read_proc(pid: int | str, name: str, proc: Path = PROC) -> str:
    """/proc/PID/NAME; FileNotFoundError or ProcessLookupError when it has ended.

    Its lines end with a line feed and nothing else: names of processes and of mount
    points are the users', and may hold what Python takes for a line's end, too.
    """
    return (proc / str(pid) / name).read_bytes().decode(errors="replace")


def write_pid(group: Path, pid: int) -> None:
    """Move a process, with all its threads, into a group."""
    path = group / "cgroup.procs"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, str(pid).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OSError(error.errno, f"pid {pid}: {error.strerror}", str(path)) from error


def pids_below(group: Path) -> list[int]:
    """The processes of a group and of those below it; a group may vanish meanwhile."""
    found = []
    for folder in tree(group):
        try:
            text = (folder / "cgroup.procs").read_text()
        except OSError:
            continue
        # 0 stands for a process of another pid namespace.
        found += [pid for pid in map(int, text.split()) if pid > 0]
    return found


def tree(group: Path) -> list[Path]:
    """The group and all below it, parents first; users may have made it deep."""
    found, waiting = [], [group]
    while waiting:
        folder = waiting.pop()
        found.append(folder)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            waiting += [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    return found
