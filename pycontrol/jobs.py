"""Whether a job still wants its container: asked while a set-up takes long.

slurmd tells a step of a cancelled job nothing before the step runs, and a step
whose image is being pulled does not run yet (seen with 22.05: up to four
minutes).  So a hook that waits asks the controller, now and then.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

from cgroup.place import Anchor, executable
from pycontrol.errors import JobEnded

INTERVAL = 10  # seconds between two questions, and up to as much again at random:
# a thousand nodes that pull at once are some 70 questions a second
TIMEOUT = 10  # seconds for one answer

# job_state_string() of slurm_protocol_defs.c: what a job cannot come back from.
ENDED = frozenset(
    ["BOOT_FAIL", "CANCELLED", "COMPLETED", "COMPLETING", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"]
)


def squeue_path() -> str:
    """squeue of the Slurm that runs us: beside the slurmstepd we are a child of."""
    program = Path(executable("self") or "/usr/sbin/slurmstepd")
    beside = program.parent.parent / "bin/squeue"
    return str(beside) if beside.exists() else "/usr/bin/squeue"


def state(job_id: int) -> str:
    """The job's state as the controller sees it; empty when it cannot be told."""
    command = [squeue_path(), "--noheader", f"--jobs={job_id}", "--format=%T"]
    kept = {name: value for name, value in os.environ.items() if name == "SLURM_CONF"}
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, env=kept, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


class JobWatch:
    """Raises JobEnded once the job is over; asking it often is cheap."""

    def __init__(self, job_id: int, anchor: Anchor):
        self._job_id = job_id
        self._anchor = anchor
        self._next = 0.0
        self._wait()

    def _wait(self) -> None:
        self._next = time.monotonic() + INTERVAL * random.uniform(1, 2)

    def check(self) -> None:
        ended = not self._anchor.is_alive()
        if not ended and time.monotonic() >= self._next:
            ended = state(self._job_id) in ENDED
            self._wait()
        if ended:
            raise JobEnded("the job ended while its container was being set up")
