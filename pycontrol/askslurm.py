"""Asks Slurm through its commands, as the caller: for the `socker` command."""

from __future__ import annotations

import subprocess

from pycontrol.errors import NodeError

TIMEOUT = 30  # seconds


def ask(*argv: str) -> str:
    """What the command prints; NodeError when it cannot."""
    name = argv[0]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        raise NodeError(f"{name}: not in PATH: use a host of the cluster") from None
    except subprocess.TimeoutExpired:
        raise NodeError(f"{name}: no answer from Slurm in time: try again") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise NodeError(f"{name}: Slurm does not answer ({said}): try again, or tell the admin")
    return done.stdout
