"""Where the fuzzers of C begin: what the other side writes, so that mutations reach deep."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pycontrol.bridge import ABI, Channel
from pycontrol.replay import entry

DESCRIPTOR_CAME = 0x8000  # in a record's head, see c/fuzz_plan.c


@contextlib.contextmanager
def in_background(work: Callable[[], None]) -> Iterator[None]:
    """Few packets wait in a channel (net.unix.max_dgram_qlen): somebody must read meanwhile."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def packets(write: Callable[[Channel], None]) -> list[tuple[bytes, bool]]:
    """The records that `write` sends, each with whether a descriptor came along."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def work() -> None:
        with theirs:
            channel = Channel([theirs])
            write(channel)
            channel.succeed()

    with ours, in_background(work):
        return list(_received(ours))


def _received(channel: socket.socket) -> Iterator[tuple[bytes, bool]]:
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, 1 << 18, 1)
        for descriptor in descriptors:
            os.close(descriptor)
        if not data:
            return
        yield data, bool(descriptors)


def _step(channel: Channel) -> None:
    channel.tell("pulling image debian")
    channel.ask_for_time(1860)
    for kind in ("mnt", "net", "ipc", "uts", "pid"):
        channel.namespace(kind, 0)
    channel.path_rule("S", "/scratch")
    channel.path_rule("G", "/opt/site")
    channel.mount("d", "/dev", "/dev")
    channel.mount("rc", "/scratch/data", "/data")
    channel.mount("cu", "", "/tmp")
    channel.read_only_root()
    channel.workdir("/home/alice")
    channel.launcher("/usr/lib/socker/launch")
    channel.entrypoint("/entry.sh")
    channel.set_variable("PATH", "/usr/bin:/bin")
    channel.remove_variable("LD_PRELOAD")
    channel.copy_variable("RANK", "SLURM_PROCID")
    channel.hint("none", "libmpi.so", "give --mpi=pmix")


def _refusal(channel: Channel) -> None:
    channel.fail("image debian: no such image")


def _plan(write: Callable[[Channel], None]) -> bytes:
    return b"".join(
        struct.pack("<H", len(data) | (DESCRIPTOR_CAME if came else 0)) + data
        for data, came in packets(write)
    )


def _recorded(*entries: tuple[bytes, str]) -> bytes:
    return b"".join(entry(*one) for one in (*entries, (b"K", str(len(entries)))))


# They hold for fuzz_recorded.c's request.
_REPLAYED = _recorded(
    (b"B", str(ABI)), (b"Q", "question"), (b"T", str(2**62)), (b"E", "COLOUR=red"),
    (b"U", "SHAPE"), (b"F", "none\0/nowhere/at/all"), (b"P", "77 1234"), (b"J", "/j"),
    (b"L", '/log\0{"time": "\1", "step": \2}\0{"status": \4}'), (b"Y", ""), (b"N", "Nmnt"),
    (b"R", "W/"),
)  # fmt: skip
_END = _recorded(
    (b"B", str(ABI)), (b"A", "python=/p\0timeout=2\0"), (b"F", "none\0/nowhere/at/all"),
    (b"S", "/run/docker.sock"), (b"C", "0f" * 32), (b"G", "/used"), (b"O", "/log"), (b"Y", ""),
)  # fmt: skip


SEEDS = {
    "plan": [_plan(_step), _plan(_refusal), _plan(lambda channel: None)],
    "options": [
        b"\0".join((
            b"e\x01debian:12", b"e\x060", b"e\x0d", b"\x00=debian",
            b"\x02=data:/d,/abs,tmpfs:/t,./x",
            b"\x02=umount:/tmp", b"\x0d=A,B=1", b"\x0e=vars", b"\x06", b"\x07",
        )),
        b"\x00=debian\0ddigest=sha256:" + b"a" * 64 + b" debian\0d \0\x00=x\0ddigest= x\0",
        b"ldocker=b\x1fdigest=sha256:" + b"b" * 64 + b"\0",
        b"ldocker=b\x1fcontainer-mounts=/a,/b\x1fverbose=1\x1fdirectory=/x\x1fdirectory=/y\0"
        b"acontainer-image=debian\0c/socker-plugin-is-missing-on-this-node-v/true\0",
    ],
    "prolog": [
        b"export A=b\nunset  B \nprint hello\nexport  C \t = d = e\njunk\nexport =\nunset =\n",
    ],
    "recorded": [_REPLAYED, _END],
    "mountinfo": [
        b"22 1 8:1 / /usr rw,nosuid shared:1 - ext4 /dev/sda1 rw\n"
        b"23 22 0:5 / /usr/share rw - tmpfs t rw\n24 22 0:6 / /us\\040r rw - tmpfs t rw\n",
        b"1 2 3 /" + b"x" * 4000 + b" /usr/x",
    ],
}  # fmt: skip


def write(target: str, folder: Path) -> list[Path]:
    """The files of a target's seeds."""
    files = []
    for number, data in enumerate(SEEDS[target]):
        files.append(folder / f"{target}-{number}")
        files[-1].write_bytes(data)
    return files
