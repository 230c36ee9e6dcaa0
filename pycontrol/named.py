"""What --container-name=NAME[:MODE] means, given what the job has on this node.

A named container lives from the first step that names it to the end of its job.
"""

from __future__ import annotations

import os

from cgroup import place
from pycontrol.errors import UserError
from pycontrol.policy import ContainerSpec
from pycontrol.state import Record


def check(spec: ContainerSpec, record: Record | None) -> None:
    """Raises UserError when the step cannot have its container, as `record` says.

    record: of the container if it runs; for a step without a name anything is fine.
    """
    if not spec.name:
        return
    name, mode = spec.name.name, spec.name.mode
    if record is None:
        _check_missing(spec, name, mode)
    elif mode == "create":
        raise UserError(
            f"container {name}: the job has it already on this node: leave out :create to use "
            "it, or choose another name"
        )
    elif spec.image and record.made_of != spec.image.text:
        raise UserError(
            f"container {name}: it was made of {record.made_of}, not of {spec.image.text}: "
            "choose another name"
        )
    elif mode == "no_exec" and in_use(record):
        raise UserError(
            f"container {name}: another step runs in it: leave out :no_exec to join it, or wait"
        )


def _check_missing(spec: ContainerSpec, name: str, mode: str) -> None:
    if mode == "exec":
        raise UserError(
            f"container {name}: no step of this job has made it on this node: start one with "
            f"--container-name={name} and an image first"
        )
    if not spec.image:
        raise UserError(
            f"container {name}: no step of this job has made it on this node, and there is no "
            "image to make it of: add --container-image=IMAGE"
        )


def in_use(record: Record) -> bool:
    """Whether a process has the container's root as its own, but its two (pause.c).

    By the device in its mountinfo, so that no path of a user's is looked up.
    """
    from pycontrol import ownroot  # with it ctypes

    with ownroot.opened_root(record) as root:
        device = os.fstat(root).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    pids = (entry.name for entry in os.scandir("/proc") if entry.name.isdecimal())
    own = {record.pid, *place.children_of(record.pid)}
    return any(root_device(pid) == wanted for pid in pids if int(pid) not in own)


def root_device(pid: str) -> str | None:
    """The device of a process's topmost `/` (proc(5), mountinfo); None when it has ended."""
    found = None
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as file:  # names in it are the users'
            for line in file:
                words = line.decode(errors="replace").split(" ", 5)
                if words[4] == "/":
                    found = words[2]
    except (OSError, IndexError):
        return None
    return found
