"""What a hook is told: the shim's request (spank_plugin/bridge.h) as values of Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pycontrol.plaindata import dataclass
from pycontrol.reads import Environment


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
    env: Environment  # the job's
    argv: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    adopt: Callable[[int], int] | None = None  # bridge.h
    asked: bytes = b""  # by steps that may have the same plan (replay.py)
    plan_file: str = ""  # where that is kept; "": nowhere


def _text(ffi, pointer) -> str:
    return ffi.string(pointer).decode(errors="surrogateescape")


def _strings(ffi, array_pointer) -> tuple[str, ...]:
    found: list[str] = []
    while array_pointer != ffi.NULL and array_pointer[len(found)] != ffi.NULL:
        found.append(_text(ffi, array_pointer[len(found)]))
    return tuple(found)


def _pair(text: str) -> tuple[str, str]:
    return text.partition("=")[::2]


def pairs(ffi, array_pointer) -> tuple[tuple[str, str], ...]:
    return tuple(_pair(entry) for entry in _strings(ffi, array_pointer))


def _job_fields(ffi, request) -> dict:
    return {
        "job_id": int(request.job_id),
        "uid": int(request.uid),
        "node": _text(ffi, request.node),
        "state_root": Path(_text(ffi, request.state_directory)),
        "plugin_args": _strings(ffi, request.plugin_args),
    }


def job_facts(ffi, request) -> JobFacts:
    return JobFacts(**_job_fields(ffi, request))


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
        env=Environment(pairs(ffi, request.env)),
        argv=_strings(ffi, request.argv),
        options=pairs(ffi, request.options),
        adopt=partial(request.adopt, request.node, request.job_id) if request.adopt else None,
        asked=bytes(ffi.buffer(request.asked, request.asked_size)) if request.asked else b"",
        plan_file=_text(ffi, request.plan_file) if request.plan_file else "",
    )
