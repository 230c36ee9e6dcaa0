"""Between the C shim and the hooks: the request comes in, records go out.

Runs as root in the child that hook.c forked, once per hook.  The contract is
spank_plugin/bridge.h: one record a packet, a type byte and its payload.  No
exception passes into C: what is no SockerError is logged with its traceback
and reported as an internal error.  SIGTERM means that nobody waits any more: it
becomes an exception too, so that every effect is undone.
"""

from __future__ import annotations

import array
import contextlib
import json
import signal
import socket
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pycontrol.errors import JobEnded, SockerError, printable

ABI = 3
STEP_START = 1
JOB_EPILOG = 2
STEP_END = 3

SEND_TIMEOUT = 5  # seconds that a task may take to make room for a record


@dataclass(frozen=True)
class JobFacts:
    """What Slurm says of the job on this node."""

    job_id: int
    uid: int
    node: str
    state_root: Path
    plugin_args: tuple[str, ...]


@dataclass(frozen=True)
class StepFacts(JobFacts):
    """What Slurm says of a step; `options` are the user's, as (name, value)."""

    step_id: int
    node_index: int  # among the step's nodes, from 0
    local_tasks: int  # of the step on this node
    gid: int
    groups: tuple[int, ...]
    cwd: str
    tmp_fs: str  # Slurm's TmpFS as slurm.conf has it, with %n and %h
    pmix_server: str  # the directory of the step's PMIx server, if Slurm started one
    env: dict[str, str]
    argv: tuple[str, ...]
    options: tuple[tuple[str, str], ...]


class Channel:
    """Sends each record to every task of the step; one that has ended is left out."""

    def __init__(self, connections: Iterable[socket.socket]):
        self._tasks = list(connections)
        for task in self._tasks:
            task.settimeout(SEND_TIMEOUT)
        self._records = 0
        self.bars = False  # lines are for `socker pull`, which draws bars of them (pullbars.py)

    def _send(self, kind: str, *fields: str) -> None:
        payload = b"\0".join(field.encode(errors="surrogateescape") for field in fields)
        self._broadcast([kind.encode() + payload], [])

    def _broadcast(self, data: list[bytes], ancillary: list) -> None:
        for task in list(self._tasks):
            try:
                task.sendmsg(data, ancillary)
            except TimeoutError:
                # A task that its user has stopped does not read: it must not
                # keep this hook, and the lock of a pull, waiting.
                self._tasks.remove(task)
            except (BrokenPipeError, ConnectionResetError):
                self._tasks.remove(task)
        if not self._tasks:
            raise JobEnded("no task waits for its container any more")
        self._records += 1

    def tell(self, text: str) -> None:
        """Show the user a line."""
        self._send("T", printable(text))

    def report(self, doing: str, note: str = "", done: int = 0, total: int = 0) -> None:
        """The same for a program that draws a bar."""
        self.tell(json.dumps({"doing": doing, "note": note, "done": done, "total": total}))

    def log(self, text: str) -> None:
        """Write a line to the node's log (slurmd's), when the step ends."""
        print(printable(text), file=sys.stderr, flush=True)

    def ask_for_time(self, seconds: int) -> None:
        """Move the deadline to `seconds` from now."""
        self._send("D", str(seconds))

    def set_variable(self, name: str, value: str) -> None:
        self._send("V", f"{name}={value}")

    def remove_variable(self, name: str) -> None:
        self._send("U", name)

    def copy_variable(self, name: str, other: str) -> None:
        """Set what differs from task to task: each has `other` of its own."""
        self._send("C", f"{name}={other}")

    def mount(self, flags: str, source: str, target: str) -> None:
        """One more mount, behind the others; flags as bridge.h has them."""
        self._send("M", flags, source, target)

    def workdir(self, path: str) -> None:
        """One more candidate; tasks start in the first they can enter."""
        self._send("W", path)

    def read_only_root(self) -> None:
        self._send("R")

    def namespace(self, kind: str, descriptor: int) -> None:
        """Hand over a namespace: mnt, the container's; net, ipc, uts or pid."""
        rights = array.array("i", [descriptor])
        data = f"N{kind}".encode()
        self._broadcast([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def entrypoint(self, word: str) -> None:
        """One more word in front of the command."""
        self._send("A", word)

    def launcher(self, path: str) -> None:
        self._send("X", path)

    def hint(self, needle: str, text: str) -> None:
        """Show the user a line if the needle is in the command's file."""
        self._send("H", needle, printable(text))

    def fail(self, text: str) -> None:
        self._send("F", printable(text))

    def succeed(self) -> None:
        """The last record: how many came before it."""
        self._send("K", str(self._records))


def _text(ffi, pointer) -> str:
    return ffi.string(pointer).decode(errors="surrogateescape")


def _strings(ffi, array_pointer) -> tuple[str, ...]:
    found: list[str] = []
    while array_pointer != ffi.NULL and array_pointer[len(found)] != ffi.NULL:
        found.append(_text(ffi, array_pointer[len(found)]))
    return tuple(found)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _job_fields(ffi, request) -> dict:
    return {
        "job_id": int(request.job_id),
        "uid": int(request.uid),
        "node": _text(ffi, request.node),
        "state_root": Path(_text(ffi, request.state_directory)),
        "plugin_args": _strings(ffi, request.plugin_args),
    }


def step_facts(ffi, request) -> StepFacts:
    return StepFacts(
        **_job_fields(ffi, request),
        step_id=int(request.step_id),
        node_index=int(request.node_index),
        local_tasks=int(request.channel_count),
        gid=int(request.gid),
        groups=tuple(int(request.groups[i]) for i in range(request.group_count)),
        cwd=_text(ffi, request.cwd),
        tmp_fs=_text(ffi, request.tmp_fs),
        pmix_server=_text(ffi, request.pmix_server),
        env=dict(_pair(entry) for entry in _strings(ffi, request.env)),
        argv=_strings(ffi, request.argv),
        options=tuple(_pair(entry) for entry in _strings(ffi, request.options)),
    )


def _run_hook(ffi, request, channel: Channel) -> None:
    from pycontrol import hooks  # an import error is reported like any other

    if request.hook == STEP_START:
        hooks.step_start(step_facts(ffi, request), channel)
    elif request.hook == STEP_END:
        hooks.step_end(step_facts(ffi, request), channel)
    elif request.hook == JOB_EPILOG:
        hooks.job_epilog(JobFacts(**_job_fields(ffi, request)), channel)
    else:
        raise ValueError(f"hook {request.hook} is not known")


def _nobody_waits(number, frame) -> None:
    signal.signal(number, signal.SIG_IGN)  # what is undone now must not be cut short
    raise JobEnded("the step ended while its container was being set up")


def run(ffi, request) -> int:
    """Run the hook that the request names; returns the process's exit status."""
    signal.signal(signal.SIGTERM, _nobody_waits)
    channels = [request.channels[i] for i in range(request.channel_count)]
    channel = Channel(socket.socket(fileno=fd) for fd in channels)
    try:
        if request.abi != ABI:
            raise ValueError(f"bridge.h is of ABI {request.abi}, this is {ABI}")
        _run_hook(ffi, request, channel)
        channel.succeed()
    except JobEnded:
        return 1
    except SockerError as error:
        return _failed(channel, _as_the_site_names_options(ffi, request, str(error)))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return _failed(
            channel,
            f"internal error ({type(error).__name__}: {error}): the log of slurmd "
            "on this node has the details",
        )
    return 0


def _as_the_site_names_options(ffi, request, text: str) -> str:
    from pycontrol.request import with_prefix

    arguments = dict(_pair(entry) for entry in _strings(ffi, request.plugin_args))
    return with_prefix(text, arguments.get("prefix", ""))


def _failed(channel: Channel, text: str) -> int:
    with contextlib.suppress(JobEnded):
        channel.log(text)
        channel.fail(text)
    return 1
