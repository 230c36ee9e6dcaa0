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
import gc
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterable

from pycontrol.errors import JobEnded, SockerError, UserError, printable
from pycontrol.facts import JobFacts as JobFacts
from pycontrol.facts import StepFacts as StepFacts
from pycontrol.facts import job_facts, pairs, step_facts

ABI = 6
STEP_START, JOB_EPILOG, STEP_END, STEP_NATIVE, JOB_START = 1, 2, 3, 4, 5

SEND_TIMEOUT = 5  # seconds that a task may take to make room for a record
LONGEST_RECORD = 128 << 10  # bytes: what Linux takes as one variable or word of a command


class Channel:
    """Sends each record to every task of the step; one that has ended is left out."""

    def __init__(self, connections: Iterable[socket.socket]):
        self._tasks = list(connections)
        for task in self._tasks:
            task.settimeout(SEND_TIMEOUT)
        self._records = 0
        self.sent: list[bytes] = []  # for steps that come later (replay.py)
        self.has_environment = True  # the user's; with it, where their credentials are
        self.bars = False  # lines are for `socker pull`, which draws bars of them (pullbars.py)

    def _send(self, kind: str, *fields: str) -> None:
        payload = b"\0".join(field.encode(errors="surrogateescape") for field in fields)
        if len(payload) >= LONGEST_RECORD or payload.count(b"\0") >= max(len(fields), 1):
            name = printable(fields[-1].partition("=")[0], 80)
            raise UserError(f"{name}: longer than 128 KiB or with a NUL: no command can have it")
        self._broadcast([kind.encode() + payload], [])

    def _broadcast(self, data: list[bytes], ancillary: list) -> None:
        self.sent += data
        for task in list(self._tasks):
            try:
                task.sendmsg(data, ancillary)
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                # Its user may have stopped it: this hook, with a pull's lock, must not wait.
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

    def path_rule(self, kind: str, path: str) -> None:
        """For mounts that are checked: S, they may come from there; G, they leave it alone."""
        self._send(kind, path)

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

    def hint(self, kind: str, needle: str, text: str) -> None:
        """Show the user a line if the needle is in the command's file, and MPI is of this kind."""
        self._send("H", kind, needle, printable(text))

    def fail(self, text: str) -> None:
        self._send("F", printable(text))

    def succeed(self) -> None:
        """The last record: how many came before it."""
        self._send("K", str(self._records))


class Unheard(Channel):
    """Of a hook that no task waits for: `heard` gets how far it is; records are kept only."""

    def __init__(self):
        super().__init__(())
        self.has_environment = False
        self.bars = True  # by report(): a step that comes to wait shows it in its own way
        self.heard: Callable[[dict], None] = lambda report: None

    def report(self, doing: str, note: str = "", done: int = 0, total: int = 0) -> None:
        self.heard({"doing": doing, "note": note, "done": done, "total": total})

    def _broadcast(self, data: list[bytes], ancillary: list) -> None:
        self.sent += data


def _run_hook(ffi, request, channel: Channel) -> None:
    if request.hook == JOB_EPILOG:  # a node is not idle before it ends: it loads less
        from pycontrol import jobend

        gc.enable()  # build.py: off while modules are loaded, which make no garbage
        return jobend.job_epilog(job_facts(ffi, request), channel)
    from pycontrol import hooks  # an import error is reported like any other

    gc.enable()
    of_steps = {STEP_START: hooks.step_start, STEP_END: hooks.step_end}
    of_steps[STEP_NATIVE] = hooks.step_native
    of_steps[JOB_START] = hooks.job_start
    of_steps[request.hook](step_facts(ffi, request), channel)


def _nobody_waits(number, frame) -> None:
    signal.signal(number, signal.SIG_IGN)  # what is undone now must not be cut short
    raise JobEnded("the step ended while its container was being set up")


def run(ffi, request) -> int:
    """Run the hook that the request names; returns the process's exit status."""
    signal.signal(signal.SIGTERM, _nobody_waits)
    channels = [request.channels[i] for i in range(request.channel_count)]
    channel = Channel(socket.socket(fileno=fd) for fd in channels)
    if request.hook == JOB_START:
        channel = Unheard()
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
        sys.__excepthook__(*sys.exc_info())  # not the node's own: it may do anything
        return _failed(
            channel,
            f"internal error ({type(error).__name__}: {error}): the log of slurmd "
            "on this node has the details",
        )
    return 0


def _as_the_site_names_options(ffi, request, text: str) -> str:
    from pycontrol.request import with_prefix

    arguments = dict(pairs(ffi, request.plugin_args))
    return with_prefix(text, arguments.get("prefix", ""))


def _failed(channel: Channel, text: str) -> int:
    with contextlib.suppress(JobEnded):
        channel.log(text)
        channel.fail(text)
    return 1
