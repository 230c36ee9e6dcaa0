"""Prints what a long set-up is doing: one line a stage, with its time.

Used by the cluster and by quickstart.  A stage that fails prints why and what
to look at, and ends the program with status 1: no later stage can succeed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


class StageError(Exception):
    """A stage cannot go on; the text says what happened and what to do."""


@contextlib.contextmanager
def stage(title: str) -> Iterator[None]:
    """Print `title`, run the body, print the time it took (seconds)."""
    print(f"==> {title} ", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except (StageError, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED after {time.monotonic() - started:.1f} s", flush=True)
        print(f"{title}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    print(f"... {time.monotonic() - started:.1f} s", flush=True)


def run(*argv: str | Path, timeout: float = 600, **options) -> str:
    """Run a command without a shell and return its output.

    Raises StageError with the command and the end of its output when it fails.
    """
    command = [str(word) for word in argv]
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        **options,
    )
    if result.returncode:
        tail = "\n".join(result.stdout.splitlines()[-15:])
        raise StageError(f"`{' '.join(command)}` ended with {result.returncode}:\n{tail}")
    return result.stdout


def wait_until(ready, what: str, seconds: float, hint: str) -> None:
    """Poll `ready()` until it is true; StageError after `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise StageError(f"{what} was not ready after {seconds:.0f} s: {hint}")
        time.sleep(0.1)
