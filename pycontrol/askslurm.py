"""Asks Slurm through its commands, as the caller."""

from __future__ import annotations

import os

from pycontrol.errors import NodeError

TIMEOUT = 30  # seconds
KEPT = ("PATH", "SLURM_CONF")  # of the environment, where it must not steer the answer


def ask(*argv: str, seconds: int = TIMEOUT, clean: bool = False) -> str:
    """What the command prints; NodeError when it cannot.

    clean: whatever variables the caller has: SQUEUE_USERS and the like hide jobs.
    """
    import subprocess  # few hooks ask Slurm

    name = argv[0]
    env = {n: v for n, v in os.environ.items() if n in KEPT} if clean else None
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, env=env)
    except FileNotFoundError:
        raise NodeError(f"{name}: not in PATH: use a host of the cluster") from None
    except subprocess.TimeoutExpired:
        raise NodeError(f"{name}: no answer from Slurm in time: try again") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise NodeError(f"{name}: Slurm does not answer ({said}): try again, or tell the admin")
    return done.stdout
