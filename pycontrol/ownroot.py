"""A root file system that the job's owner may write to, over an image's layers.

Runs as root in the hooks.  The engine's own root of a container belongs to the
ids of the image: to root, mostly, so a user could write next to nothing.  Here
the image's layers are mounted once more, with the ids of root and of the job's
owner exchanged (idmapped mounts, Linux 5.19), below a new empty layer of this
node's disk; the result covers `/` in the container's mount namespace, where
every later task finds it (setns(2) takes the topmost mount of `/`).

The engine's copy of the image is never written to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from pycontrol import firstprocess, kernel
from pycontrol.errors import NodeError
from pycontrol.identity import Account
from pycontrol.state import Record

HIGHEST_ID = 2**32 - 2  # -1 is no id
RM = "/bin/rm"
RM_TIMEOUT = 20  # seconds that a step's end or an epilog waits for it
INSIDE = "/.socker"  # where a step's own file systems are put (namespaces.py)


def make_base(base: Path) -> None:
    """The directory of all such roots: setuid files in them must be out of users' reach."""
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = base.stat()
    if status.st_uid != 0 or status.st_mode & 0o077:
        raise NodeError(
            f"{base}: writable containers are kept there, so it must be root's alone: the admin "
            "must chown root and chmod 700 it"
        )


def build(record: Record, account: Account, folder: Path) -> None:
    """Cover the container's `/`; what is written goes to `folder`, made here.

    Raises NodeError where this node's kernel or the engine's storage cannot.
    """
    lower = without_engines(layers(_root_mount(record.pid)))
    for name, owner in (("upper", account), ("work", None), ("mnt", None)):
        (folder / name).mkdir(parents=True, mode=0o755)
        if owner:
            os.chown(folder / name, owner.uid, owner.gid)
    folder.chmod(0o700)
    container = firstprocess.open_namespace(record)
    try:
        with swapped_ids(account.uid, account.gid) as ids:
            _in_child(lambda: _assemble(lower, folder, ids, container))
    finally:
        os.close(container)


@contextlib.contextmanager
def opened_root(record: Record) -> Iterator[int]:
    """The directory that tasks of the container have as `/`, as an O_PATH descriptor.

    A child enters the container's namespace: this process stays where it is.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    namespace = firstprocess.open_namespace(record)
    child = os.fork()
    if child == 0:
        try:
            kernel.enter_mount_namespace(namespace)
            root = os.open("/", os.O_PATH | os.O_DIRECTORY)
            socket.send_fds(theirs, [b"root"], [root])
        finally:
            os._exit(0)
    theirs.close()
    os.close(namespace)
    with ours:
        _, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
    os.waitpid(child, 0)
    if not descriptors:
        raise NodeError("the container's root cannot be opened")
    try:
        yield descriptors[0]
    finally:
        os.close(descriptors[0])


def remove(folder: Path, seconds: float = RM_TIMEOUT) -> bool:
    """Delete a root's files: a user's, so of any depth and number.

    False when they are not gone after so many seconds; the removal then goes on.
    """
    import subprocess  # only where a job has such a root

    command, nothing = [RM, "-rf", "--one-file-system", "--", str(folder)], subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=nothing, env={}, start_new_session=True
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return not folder.exists()


# --- the image's layers ------------------------------------------------------------


def _root_mount(pid: int) -> str:
    """The line of /proc/PID/mountinfo for `/`, as the engine mounted it."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        for line in file:
            if line.split(b" ")[4] == b"/":
                return line.decode(errors="surrogateescape")
    raise NodeError("the container has no root file system")


def layers(mountinfo: str) -> list[str]:
    """The directories of an overlay's lower layers, the topmost first.

    proc(5): behind the ` - ` come type, source and super options.
    """
    kind, _, options = mountinfo.rpartition(" - ")[2].split(maxsplit=2)
    if kind != "overlay":
        raise NodeError(
            f"the engine keeps images on {kind}: a writable container needs its overlay2 "
            "storage driver: the admin must configure that"
        )
    found = next((o for o in options.split(",") if o.startswith("lowerdir=")), "")
    paths = [_unescaped(path) for path in found.removeprefix("lowerdir=").split(":")]
    if not all(path.startswith("/") for path in paths):
        raise NodeError("the image has too many layers for a writable container: squash it")
    return paths


def without_engines(lower: list[str]) -> list[str]:
    """The image's own: the engine puts one of mount points for itself on top of them."""
    first = os.path.realpath(lower[0])
    return lower[1:] if len(lower) > 1 and first.endswith("-init/diff") else lower


def _unescaped(path: str) -> str:
    """Octal escapes of mountinfo; the engine's paths hold nothing else."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, character)
    return path


# --- ids ------------------------------------------------------------------------------


def exchange(number: int) -> str:
    """A uid_map (user_namespaces(7)) that exchanges 0 and `number`, all else as it is."""
    lines = [f"0 {number} 1"]
    if number > 1:
        lines.append(f"1 1 {number - 1}")
    lines.append(f"{number} 0 1")
    if number < HIGHEST_ID:
        lines.append(f"{number + 1} {number + 1} {HIGHEST_ID - number}")
    return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def swapped_ids(uid: int, gid: int) -> Iterator[int | None]:
    """A user namespace for map_ids, by its descriptor; None when nothing is to swap."""
    if uid == 0:
        yield None
        return
    ready, ready_child = os.pipe()
    go, go_child = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            kernel.unshare(kernel.NEW_USER)
            os.write(ready_child, b"x")
            os.close(go_child)
            os.read(go, 1)
        finally:
            os._exit(0)
    os.close(ready_child)
    descriptor = -1
    try:
        os.read(ready, 1)
        Path(f"/proc/{child}/uid_map").write_text(exchange(uid))
        Path(f"/proc/{child}/gid_map").write_text(exchange(gid) if gid else f"0 0 {HIGHEST_ID}")
        descriptor = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        yield descriptor
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for number in (ready, go, go_child, *([descriptor] if descriptor >= 0 else [])):
            os.close(number)


# --- putting it together -----------------------------------------------------------------


def _in_child(work) -> None:
    """Run in a process of its own, which changes its namespaces."""
    errors, errors_child = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except OSError as error:
            os.write(errors_child, f"{error.filename}: {error.strerror}".encode())
        finally:
            os._exit(status)
    os.close(errors_child)
    with open(errors, "rb") as file:
        text = file.read(1024).decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if status:
        raise NodeError(
            f"a writable root cannot be made: {text}: it needs Linux 5.19 or newer, and a file "
            "system below the engine's storage that can map ids"
        )


def _assemble(lower: list[str], folder: Path, ids: int | None, container: int) -> None:
    kernel.unshare(kernel.NEW_MOUNTS)
    kernel.make_mounts_private()
    scratch = folder / "mnt"
    kernel.mount("tmpfs", str(scratch), "mode=700,size=1m")
    names = []
    for number, path in enumerate(lower):
        tree = kernel.clone_tree(path)
        if ids is not None:
            kernel.map_ids(tree, ids)
        os.mkdir(scratch / str(number))
        target = os.open(scratch / str(number), os.O_PATH | os.O_DIRECTORY)
        kernel.attach(tree, target)
        os.close(target)
        os.close(tree)
        names.append(str(number))
    root = scratch / "root"
    root.mkdir()
    os.chdir(scratch)  # short names: mount(2) takes a page of options
    options = f"lowerdir={':'.join(names)},upperdir={folder}/upper,workdir={folder}/work"
    kernel.mount("overlay", str(root), options)
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{root}{INSIDE}", mode=0o711)
    tree = kernel.clone_tree(str(root))
    kernel.enter_mount_namespace(container)
    target = os.open("/", os.O_PATH | os.O_DIRECTORY)
    kernel.attach(tree, target)
