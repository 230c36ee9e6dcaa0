"""One JSON line for each container step that starts, is refused, or ends on a node.

Runs as root in the hooks.  A step's start leaves the line of its end in the job's
state, too, as far as it is known; the shim adds how each step ended
(spank_plugin/plugin.c); the job's end joins the two, so that the end of a step waits
for no Python.  The job's needs none either, as a rule (spank_plugin/ended_steps.c).
A line that cannot be written is told to slurmd's log and keeps nobody from working.
docs/admin/audit.md has the fields.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from pycontrol import state, trusted
from pycontrol.bridge import Channel, JobFacts, StepFacts
from pycontrol.config import Config, load
from pycontrol.errors import JobEnded, SockerError, printable
from pycontrol.plaindata import dataclass, field
from pycontrol.policy import ContainerSpec
from pycontrol.state import JobState, Record

STEPS = "steps"  # in the job's folder: for each step the template of its end's line
ENDED = "ended"  # lines of the shim: step, exit status, milliseconds
SYSLOG = "/dev/log"
PRIORITY = 10 * 8 + 6  # authpriv, info (RFC 5424, 6.2.1)
LONGEST_REASON = 500  # characters
MOST_MOUNTS = 64
# In a template, what differs from step to step, or is known later (spank_plugin/audit.c).
MARKS = {"time": "\x01", "step": "\x02", "seconds": "\x03", "status": "\x04"}
OF_THE_END = ("node", "job", "step", "uid", "user", "image", "made_of", "digest", "image_id")
OF_THE_END += ("container",)


@dataclass
class Step:
    """What becomes known of a step while it is set up."""

    facts: StepFacts
    channel: Channel
    began: float = field(default_factory=time.time)
    config: Config = field(default_factory=Config)
    spec: ContainerSpec | None = None
    record: Record | None = None

    def line(self, event: str, **more: object) -> dict[str, object]:
        spec, record = self.spec, self.record
        return {
            "time": timestamp(time.time()),
            "event": event,
            "node": self.facts.node,
            "job": self.facts.job_id,
            "step": self.facts.step_id,
            "uid": self.facts.uid,
            "user": spec.account.name if spec else None,
            "account": spec.judges[0].place.account if spec and spec.judges else None,
            "image": printable(spec.image.text) if spec and spec.image else None,
            "made_of": record.made_of if record else None,
            "digest": (record.digest or None) if record else None,
            "image_id": record.image.image_id if record else None,
            "container": record.container[:12] if record else None,
            "mounts": _mounts(spec) if spec else [],
            "rule": printable(spec.rule) if spec else None,
            "seconds": round(time.time() - self.began, 3),
            **more,
        }


def timestamp(seconds: float) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z"


def _mounts(spec: ContainerSpec) -> list[str]:
    """What the user asked for beside what every step has."""
    found = [
        printable(f"{m.source or m.kind}:{m.target}:{'ro' if m.read_only else 'rw'}")
        for m in spec.user_mounts
    ]
    return found[:MOST_MOUNTS]


@contextlib.contextmanager
def step(facts: StepFacts, channel: Channel) -> Iterator[Step]:
    """Around a step's set-up: `start` when it comes to its end, else `refused`."""
    seen = Step(facts, channel)
    try:
        yield seen
    except JobEnded:
        write(seen.config, channel, seen.line("cancelled"))
        raise
    except SockerError as error:
        reason = printable(str(error))[:LONGEST_REASON]
        write(seen.config, channel, seen.line("refused", reason=reason))
        raise
    line = seen.line("start")
    write(seen.config, channel, line)
    folder = JobState(facts.state_root, facts.node, facts.job_id).folder / STEPS
    rest = template(end_of(line)).replace(MARKS["step"], str(facts.step_id))
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state.write(folder / str(facts.step_id), rest, mode=0o600)
    except OSError as error:  # a full disk
        channel.log(f"audit: {error}: the step's end will be lost")


def end_job(facts: JobFacts, job: JobState, channel: Channel) -> None:
    """A line for each step that had started; status: None where nobody saw its end.

    Never raises: the epilog has more to do.
    """
    started = [path for path in (job.folder / STEPS).glob("*") if path.name.isdecimal()]
    if not started:
        return
    try:
        config, ended = settings_of(facts), ended_steps(job)
    except (OSError, ValueError, SockerError) as error:
        channel.log(f"audit: job {facts.job_id}: {error}: its end is lost")
        return
    for path in sorted(started, key=lambda path: int(path.name)):
        try:
            put(config, channel, _end(path, ended.get(int(path.name))))
            path.unlink()  # gc may come once more
        except (OSError, ValueError, KeyError, SockerError) as error:
            channel.log(f"audit: {facts.job_id}.{path.name}: {error}: its end is lost")


def end_of(start: dict[str, object]) -> dict[str, object]:
    """Of a step's start, what its end says, too; the rest is to come."""
    known = {name: start[name] for name in OF_THE_END}
    return {"time": "", "event": "end", **known, "seconds": 0, "status": None}


def template(line: dict[str, object]) -> str:
    """The line with marks, which no JSON has, for what is each step's own."""
    tokens = {name: os.urandom(16).hex() for name in MARKS if name in line}
    text = json.dumps(line | tokens)
    for name, token in tokens.items():
        quoted = token if name == "time" else f'"{token}"'
        text = text.replace(quoted, MARKS[name])
    return text


def _end(path: Path, ended: tuple[int, float] | None) -> str:
    """The line for a step whose start has left the file.  ValueError: it is damaged."""
    text = trusted.read(path)
    if MARKS["status"] not in text:  # the whole line of the start, by an older release
        text = template(end_of(json.loads(text))).replace(MARKS["step"], path.name)
    status, when = ended or (None, time.time())
    values = {
        "time": timestamp(when),
        "seconds": f"{when - path.stat().st_mtime:.3f}",
        "status": json.dumps(status),
    }
    for name, value in values.items():
        text = text.replace(MARKS[name], value)
    json.loads(text)
    return text


def ended_steps(job: JobState) -> dict[int, tuple[int, float]]:
    """(exit status, epoch seconds) by step: the shim's lines (job_files.c)."""
    with contextlib.suppress(FileNotFoundError):
        lines = [line.split() for line in trusted.read(job.folder / ENDED).splitlines()]
        return {int(step): (int(status), int(ms) / 1000) for step, status, ms in lines}
    return {}


def settings_of(facts: JobFacts) -> Config:
    """The site's, or the defaults where they are broken: an end is told in any case."""
    try:
        return load(facts.plugin_args).config
    except SockerError:
        return Config()


def write(config: Config, channel: Channel, line: dict[str, object]) -> None:
    put(config, channel, json.dumps(line))


def put(config: Config, channel: Channel, text: str) -> None:
    try:
        if config.audit_log:
            _append(Path(config.audit_log), text)
        if config.audit_syslog:
            _tell_syslog(text)
    except OSError as error:
        channel.log(f"audit: {error}: lost: {text}")


def _append(path: Path, text: str) -> None:
    """In one write to a file that is opened anew: it may be rotated at any time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def _tell_syslog(text: str) -> None:
    """Never waits: what a daemon that hangs does not take is lost."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):  # no syslog here
            channel.sendto(f"<{PRIORITY}>socker: {text}".encode(), SYSLOG)
