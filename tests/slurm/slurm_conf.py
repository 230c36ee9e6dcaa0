"""Lines added to the cluster's slurm.conf for the length of one test."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

CONF = Path("/etc/slurm/slurm.conf")


def _reconfigure() -> None:
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
