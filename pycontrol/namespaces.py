"""The namespaces of one step on a node, beside its container's.

Runs as root in the step's hook.  A step that wants memory file systems of its
own gets a copy of its container's mount namespace that has them; with
--container-unshare, new namespaces of net, ipc, uts or pid too.  A child makes
them, the hook keeps descriptors and hands them to the tasks: when the last task
has ended, the kernel removes them.  Only a pid namespace has a process of its
own to be ended, its first one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterable, Iterator

from cgroup import place
from pycontrol import firstprocess, kernel
from pycontrol.errors import NodeError
from pycontrol.mounts import Mount
from pycontrol.plaindata import dataclass, field
from pycontrol.policy import ContainerSpec
from pycontrol.state import Record

OURS = "/.socker"  # in every container: the engine has put the pause binary there
INSIDE = "step"  # in it, a step's own file systems under their numbers
NOBODY = 65534
_KINDS = {
    "net": kernel.NEW_NET,
    "ipc": kernel.NEW_IPC,
    "uts": kernel.NEW_UTS,
    "pid": kernel.NEW_PID,
}
_FILES = {"pid": "pid_for_children"}  # in /proc/PID/ns, where the name is another
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h


@dataclass
class Namespaces:
    """Descriptors by kind (mnt, net, ...), and the first process of the pid namespace."""

    descriptors: dict[str, int] = field(default_factory=dict)
    init: int | None = None

    def close(self) -> None:
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors.clear()


def wanted(spec: ContainerSpec) -> bool:
    return bool(spec.inside or spec.unshare)


def source(number: int) -> str:
    """Where tasks find the step's file system of this number."""
    return f"{OURS}/{INSIDE}/{number}"


@contextlib.contextmanager
def of_step(spec: ContainerSpec, record: Record, pause: str, size: str) -> Iterator[Namespaces]:
    """What the step's tasks enter; closed afterwards, the tasks have copies.

    size: of a memory file system that has none of its own.
    """
    made = Namespaces()
    container = firstprocess.open_namespace(record)
    try:
        if not wanted(spec):
            made.descriptors["mnt"] = os.dup(container)
        else:
            _make(spec, container, pause, size, made)
        yield made
    except BaseException:
        if made.init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(made.init, signal.SIGKILL)
        raise
    finally:
        made.close()
        os.close(container)


def _make(spec: ContainerSpec, container: int, pause: str, size: str, made: Namespaces) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        _child(spec, container, pause, size, theirs)
    theirs.close()
    try:
        answer = ours.recv(4096).decode(errors="replace")
        if not answer.startswith("pid "):
            raise NodeError(f"the step's namespaces cannot be made: {answer or 'no answer'}")
        made.init = int(answer.split()[1]) or None
        for kind in ("mnt", *spec.unshare):
            path = f"/proc/{child}/ns/{_FILES.get(kind, kind)}"
            made.descriptors[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        ours.close()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _child(
    spec: ContainerSpec, container: int, pause: str, size: str, channel: socket.socket
) -> None:
    """Make the namespaces, say so, and wait to be killed.  Never returns."""
    try:
        pause_file = os.open(pause, os.O_RDONLY | os.O_CLOEXEC)
        flags = 0
        for kind in spec.unshare:
            flags |= _KINDS[kind]
        kernel.unshare(flags)
        if "net" in spec.unshare:
            _bring_up_loopback()
        init = _start_init(pause_file) if "pid" in spec.unshare else 0
        kernel.enter_mount_namespace(container)
        kernel.unshare(kernel.NEW_MOUNTS)
        kernel.make_mounts_private()
        if spec.inside:
            _mount_all(spec.inside, size)
        channel.send(f"pid {init}".encode())
        signal.pause()
    except BaseException as error:  # nothing may run on in this process
        with contextlib.suppress(OSError):
            channel.send(str(error).encode(errors="replace")[:4096])
    finally:
        os._exit(1)


def _bring_up_loopback() -> None:
    """As Docker's --network=none has it (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _start_init(pause: int) -> int:
    """The pid namespace's first process: out of reach of the user; pid on the node."""
    init = os.fork()
    if init == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.setsid()
            os.execve(pause, ["pause"], {})
        finally:
            os._exit(1)
    return init


def _mount_all(wanted: Iterable[Mount], size: str) -> None:
    """Each in a directory of one more file system below OURS.

    By descriptors all the way: the image, and the owner of a writable root, may
    have put anything into OURS's place.
    """
    ours = _open_ours()
    with contextlib.suppress(FileExistsError):
        os.mkdir(INSIDE, mode=0o711, dir_fd=ours)
    base = _attach("tmpfs", {"mode": "711", "size": "64k"}, INSIDE, ours)
    for number, mount in enumerate(wanted):
        os.mkdir(str(number), mode=0o711, dir_fd=base)
        if mount.kind == "proc":
            _attach_proc(str(number), base)
        else:
            _attach("tmpfs", {"mode": "1777", "size": mount.size or size}, str(number), base)


def _open_ours() -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    return kernel.open_in_root(root, OURS, os.O_PATH | os.O_DIRECTORY, links=False)


def _attach(kind: str, options: dict[str, str], name: str, parent: int) -> int:
    """Mount a new file system on a directory; its root's descriptor."""
    made = kernel.new_filesystem(kind, options)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    kernel.attach(made, os.open(name, flags, dir_fd=parent))
    return made


def _attach_proc(name: str, parent: int) -> None:
    """A /proc shows the pid namespace of the process that makes it: a child's."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _attach("proc", {}, name, parent)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        raise OSError("a /proc of the step's own cannot be mounted")


def place_init(made: Namespaces, anchor: place.Anchor) -> None:
    """Put the pid namespace's first process where Slurm kills it when the step ends."""
    assert made.init is not None
    started = place.start_time(made.init)
    try:
        place.place(made.init, started or 0, anchor)
    except (OSError, LookupError) as error:
        raise NodeError(f"the step's pid namespace cannot be placed: {error}") from error
