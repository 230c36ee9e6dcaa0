"""A user at a command line, in an allocation or without one, whose commands are timed."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

USER = "alice"
TIMER = Path(__file__).with_name("timer.py")
NODES = "n[1-4]"
LONGEST = 60  # seconds that a node may take to be idle again
POLL = 0.005
ALLOCATE = ("salloc", "--quiet", "--nodes=1", "--ntasks=1", "--mem=600", "--nodelist=n1")


class Failed(Exception):
    """A command that is to be timed has failed: its time means nothing."""


class Session:
    """Of `user`; `inside` is what starts the timer in an allocation."""

    def __init__(self, user: str = USER, inside: Sequence[str] = ()):
        account = pwd.getpwnam(user)
        self._printed = Path(account.pw_dir) / f".socker-bench-{os.getpid()}-{id(self)}"
        timer = self._printed.with_suffix(".py")  # the user may not read this checkout
        shutil.copy(TIMER, timer)
        timer.chmod(0o644)
        environment = {"HOME": account.pw_dir, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"}
        environment["PATH"] = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._process = subprocess.Popen(
            [*inside, "/usr/bin/python3", "-I", str(timer)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=account.pw_dir,
            user=account.pw_uid, group=account.pw_gid, env=environment,
            extra_groups=os.getgrouplist(user, account.pw_gid),
        )  # fmt: skip
        answer = self._answer()
        timer.unlink()
        if answer != "ready":
            raise Failed(f"no session: {' '.join(inside)}")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._printed.unlink(missing_ok=True)

    def _answer(self) -> str:
        return self._process.stdout.readline().strip()

    def time(self, *argv: str) -> float:
        """Milliseconds of a command that succeeds."""
        print(json.dumps(argv), file=self._process.stdin, flush=True)
        ended = '[0, "the session has ended", ""]'
        milliseconds, status, words = json.loads(self._answer() or ended)
        if status:
            raise Failed(f"{' '.join(argv)}: {status}: {words.strip()}")
        return milliseconds

    def output(self, *argv: str) -> str:
        """What a command prints that succeeds."""
        self.time("sh", "-c", 'exec "$@" >"$0"', str(self._printed), *argv)
        return self._printed.read_text()


def allocated(*options: str, user: str = USER) -> Session:
    """In an allocation of one task on the node n1."""
    return Session(user, (*ALLOCATE, *options))


def read(*argv: str) -> str:
    """What a command of root's prints."""
    return subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, check=True, timeout=60
    ).stdout


def wait_until_idle(nodes: str = "n1") -> None:
    end = time.monotonic() + LONGEST
    while read("sinfo", "-h", "-n", nodes, "-o", "%T").split() != ["idle"]:
        if time.monotonic() > end:
            raise TimeoutError(f"{nodes}: not idle after {LONGEST} s")
        time.sleep(POLL)


def end_jobs() -> None:
    """Those that are left when the bench is told to end."""
    for name in ("alice", "bob", "root"):
        read("scancel", f"--user={name}")
    wait_until_idle(NODES)
