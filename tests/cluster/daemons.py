"""Starting and stopping the cluster's daemons.

A daemon is found by its command line in /proc, never by a pid file: pid files
go stale with a crash or a reboot.  One that runs but does not answer is
killed and started anew.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stages import StageError, wait_until

LOGS = Path("/var/log/socker-cluster")


@dataclass(frozen=True)
class Daemon:
    """One daemon of the cluster.

    argv      what is started (never through a shell)
    matches   words that its command line must hold, beside the program's name
    answers   true when the daemon does its work
    stale     files of a dead instance that would keep a new one from starting
    user      who it runs as; root when empty
    hostname  that it and its children see; the machine's when empty
    patience  seconds that a start may take
    """

    name: str
    argv: list[str]
    answers: Callable[[], bool]
    matches: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    user: str = ""
    hostname: str = ""
    patience: float = 30
    env: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"

    @property
    def command(self) -> list[str]:
        if not self.hostname:
            return self.argv
        named = ["/bin/sh", "-c", 'hostname "$0" && exec "$@"', self.hostname, *self.argv]
        return ["/usr/bin/unshare", "--uts", *named]

    def pids(self) -> list[int]:
        """The processes of this daemon, found by program name and arguments."""
        program = os.path.basename(self.argv[0])
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if os.path.basename(words[0]) == program and all(m in words for m in self.matches):
                found.append(int(entry.name))
        return found

    def start(self) -> bool:
        """Make sure it runs and answers; true when it had to be started."""
        if self.pids():
            if self._answers_within(5):
                return False
            self.stop()
        for path in self.stale:
            Path(path).unlink(missing_ok=True)
        LOGS.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user or None,
                group=self.user or None,
                extra_groups=[] if self.user else None,
                env=dict(os.environ, **self.env),
                cwd="/",
            )
        wait_until(self.answers, self.name, self.patience, f"the end of {self.log} says why")
        return True

    def stop(self) -> bool:
        """SIGTERM, then SIGKILL; true when there was something to stop."""
        stopped = bool(self.pids())
        for number, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            end = time.monotonic() + seconds
            while self.pids() and time.monotonic() < end:
                time.sleep(0.05)
        if self.pids():
            raise StageError(f"{self.name} (pid {self.pids()}) survives SIGKILL: see `dmesg`")
        return stopped

    def _answers_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.answers():
                return True
            time.sleep(0.2)
        return False


def output(*argv: str, timeout: float = 10, stdin: bytes | None = None) -> bytes | None:
    """What the command printed; None when it failed, hung or is not there."""
    try:
        result = subprocess.run(argv, capture_output=True, timeout=timeout, input=stdin)
    except (subprocess.TimeoutExpired, OSError):
        return None
    return None if result.returncode else result.stdout


def succeeds(*argv: str, timeout: float = 10, stdin: bytes | None = None) -> bool:
    """True when the command ends with 0 in time: the usual `answers`."""
    return output(*argv, timeout=timeout, stdin=stdin) is not None
