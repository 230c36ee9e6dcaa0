"""Leaves a plan for the steps of a job that ask the same, and then need no Python.

Runs as root in a step's hook, when all is decided and sent; and in the job's, whose
options are its first step's, too, more often than not.  The shim replays
the plan (spank_plugin/replay.c) while all that it depends on is as it was; the
entries are spank_plugin/recorded.c's.  Only plain steps: what has to be made or
undone for a single step is Python's.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pycontrol import audit, bridge, reads, shown, state
from pycontrol.bridge import Channel, StepFacts
from pycontrol.config import Config
from pycontrol.policy import ContainerSpec
from pycontrol.shown import EXTERN
from pycontrol.stages import BARS, PROGRESS

MOST = 64  # plans of a job on a node
SETTLED = 2  # seconds: a file that is younger can change and keep its times
# Of who the user is, beside what comes by network: for that the plan ages.
ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf")
FOR_TASKS = b"NMSGRWXAVUCH"  # records of bridge.h that are a plan's


class Recorder:
    """From before the first decision of a step until its plan is sent."""

    def __init__(self, facts: StepFacts, channel: Channel):
        self._facts = facts
        self._draws = facts.env.get(PROGRESS) == BARS  # what these are told is in no plan
        self._channel = channel
        self._began = time.time()
        self._uptime = time.clock_gettime(time.CLOCK_BOOTTIME)

    def give_up(self) -> None:
        """Let the first step not wait for a plan (spank_plugin/early.c)."""
        name = f"{self._facts.node}.{self._facts.job_id}"
        (self._facts.state_root / "early" / name).unlink(missing_ok=True)

    def keep(self, seen: audit.Step, settings: Config) -> None:
        """Nothing that fails here fails the step, which has what it needs."""
        try:
            if seen.spec and self.may_keep(seen.spec, settings):
                self._write(seen, settings)
        except (OSError, ValueError) as error:
            self._channel.log(f"the plan is not kept for later steps: {error}")

    def may_keep(self, spec: ContainerSpec, settings: Config) -> bool:
        """Whether steps that ask the same need nothing of their own."""
        facts, path = self._facts, Path(self._facts.plan_file)
        if not facts.plan_file or not settings.plan_time or facts.env.all_read:
            return False
        if reads.tasks_matter and facts.step_id == EXTERN:  # which knows nothing of them
            return False
        if self._draws or ("verbose", "1") in facts.options or not is_plain(spec):
            return False
        return path.exists() or len(list(path.parent.glob("plan-*"))) < MOST

    def _write(self, seen: audit.Step, settings: Config) -> None:
        files = dict(self._files())
        newest = max(max(i[3:]) for i in files.values() if i)
        if newest > (self._began - SETTLED) * 1e9:
            return
        until = int((self._uptime + settings.plan_time) * 1000)
        entries = [(b"B", str(bridge.ABI)), (b"Q", self._facts.asked), (b"T", str(until))]
        entries += self._variables()
        if reads.tasks_matter:
            entries.append((b"I", str(self._facts.local_tasks)))
        entries += [file_entry(path, identity) for path, identity in files.items()]
        entries += self._effects(seen, settings)
        entries += [(b"N" if r[:1] == b"N" else b"R", r) for r in self._records()]
        path = Path(self._facts.plan_file)
        (path.parent / audit.STEPS).mkdir(mode=0o700, exist_ok=True)  # start.c writes there
        state.write(path, seal(entries), mode=0o600)

    def _variables(self) -> Iterator[tuple[bytes, str]]:
        for name, value in self._facts.env.looked_up.items():
            yield (b"U", name) if value is None else (b"E", f"{name}={value}")

    def _files(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The site's settings and rules as they were read; accounts, and this program."""
        yield from reads.policy_files.items()
        modules = [m for name, m in sys.modules.items() if name.split(".")[0] in OURS]
        code = [str(m.__file__) for m in modules if getattr(m, "__file__", None)]
        for path in (*ACCOUNTS, *code):
            try:
                yield path, reads.identity(os.stat(path))
            except FileNotFoundError:
                yield path, ()

    def _effects(self, seen: audit.Step, settings: Config) -> Iterator[tuple[bytes, str]]:
        """The container's process, and what is written down of each step that joins it."""
        assert seen.record and seen.spec
        yield b"P", f"{seen.record.pid} {seen.record.start_time}"
        yield b"J", str(shown.steps_file(self._facts, seen.spec))
        start = seen.line("start")
        lines = audit.template(start), audit.template(audit.end_of(start))
        yield b"L", "\0".join((settings.audit_log, *lines))
        if settings.audit_syslog:
            yield b"Y", ""

    def _records(self) -> Iterator[bytes]:
        return (record for record in self._channel.sent if record[0] in FOR_TASKS)


OURS = ("pycontrol", "cgroup")


def is_plain(spec: ContainerSpec) -> bool:
    """Whether nothing is made or undone, asked or told for the step alone."""
    return not (
        spec.own_root or spec.save or spec.env_file or spec.unshare or spec.inside
        or spec.slurm or spec.entrypoint or spec.entrypoint_log
    )  # fmt: skip


def file_entry(path: str, identity: Sequence[int]) -> tuple[bytes, str]:
    """A file as it was; none: it was not there."""
    return b"F", f"{' '.join(map(str, identity)) or 'none'}\0{path}"


def seal(entries: Sequence[tuple[bytes, str | bytes]]) -> bytes:
    """What recorded.c reads, with its end."""
    whole = [*entries, (b"K", str(len(entries)))]
    return b"".join(entry(kind, payload) for kind, payload in whole)


def entry(kind: bytes, payload: str | bytes) -> bytes:
    data = payload.encode(errors="surrogateescape") if isinstance(payload, str) else payload
    return kind + struct.pack("=I", len(data)) + data + b"\0"
