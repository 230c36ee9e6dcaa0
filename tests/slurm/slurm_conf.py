"""Lines added to the cluster's slurm.conf for the length of one test."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

CONF = Path("/etc/slurm/slurm.conf")


LONGEST = 60  # seconds for jobs to be completed


def _wait_for_completing_jobs() -> None:
    """What slurmstepd tells at its job's end is lost in a reconfiguration, for a minute."""
    end = time.monotonic() + LONGEST
    argv = ["squeue", "--noheader", "--states=COMPLETING"]
    while subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout:
        assert time.monotonic() < end, f"jobs are completing for {LONGEST} s"
        time.sleep(0.1)


def _reconfigure() -> None:
    _wait_for_completing_jobs()
    subprocess.run(["scontrol", "reconfigure"], check=True, timeout=60)
    time.sleep(3)  # the nodes are told after the command's end


@contextlib.contextmanager
def extra_lines(*lines: str) -> Iterator[None]:
    """Later lines of a file win, except for those that Slurm reads at a start only."""
    before = CONF.read_text()
    CONF.write_text("\n".join([before, *lines, ""]))
    try:
        _reconfigure()
        yield
    finally:
        CONF.write_text(before)
        _reconfigure()
