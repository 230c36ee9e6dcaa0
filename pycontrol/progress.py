"""How far the early start of a job's container is, for the steps that come to wait for it.

Written by hooks.job_start, read by hooks.step_start; both are root.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from pycontrol import state, trusted
from pycontrol.bridge import Unheard
from pycontrol.state import JobState

Report = dict[str, str | int]  # what Teller.tell() takes


def _file(job: JobState) -> Path:
    return job.folder / "progress"


@contextlib.contextmanager
def noted(job: JobState, channel: Unheard, what: str) -> Iterator[None]:
    """What the channel reports of `what` is to be read by other hooks, while the body runs."""

    def heard(report: Report) -> None:
        state.write(_file(job), json.dumps({"what": what, **report}), mode=0o600)

    channel.heard = heard
    try:
        yield
    finally:
        _file(job).unlink(missing_ok=True)


def last(job: JobState, what: str) -> Report:
    """Empty where nothing is under way, or something else."""
    with contextlib.suppress(FileNotFoundError):
        report = json.loads(trusted.read(_file(job)))
        return report if report["what"] == what else {}
    return {}
