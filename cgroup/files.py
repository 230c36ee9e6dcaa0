"""The one place that reads and writes cgroup files.

An error names the file and the value, as the kernel's own says neither.
"""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def read_proc(pid: int | str, name: str, proc: Path = PROC) -> str:
    """/proc/PID/NAME; FileNotFoundError or ProcessLookupError when it has ended."""
    return (proc / str(pid) / name).read_text(errors="replace")


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
    for folder, _, _ in os.walk(group):
        try:
            text = (Path(folder) / "cgroup.procs").read_text()
        except OSError:
            continue
        found += [int(word) for word in text.split()]
    return found
