"""Exit codes, signals, time limits and terminals are those of native steps."""

import contextlib
import os
import pty
import re
import select
import signal
import time

import pytest
from conftest import BUSYBOX, DEBIAN


@pytest.mark.parametrize("status", [0, 1, 2, 42, 126, 127, 128, 255])
def test_exit_codes(alice, status):
    result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", f"exit {status}")
    assert result.status == status


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "USR1"])
def test_death_by_signal(alice, name):
    """srun's status and words, compared with a native step's."""
    command = ["sh", "-c", f"kill -{name} $$"]
    native = alice.run("srun", *command)
    inside = alice.run("srun", f"--docker={BUSYBOX}", *command)
    assert inside.status == native.status != 0
    words = [re.search(r"task 0: (.*)", r.stderr)[1] for r in (native, inside)]
    assert words[0] == words[1]


def test_a_missing_command_says_so(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "no-such-command")
    assert result.status == 2
    assert "no-such-command: No such file or directory" in result.stderr


def running_job(user, wait_for, *command, options=()):
    """Start a step, wait until it has printed a line; its process and job id."""
    process = user.start("srun", f"--docker={BUSYBOX}", *options, *command, stdout=-1, stderr=-1)
    process.first = process.stdout.readline()
    job = wait_for(lambda: user.run("squeue", "-h", "-o", "%i").lines)[0]
    return process, job


def test_scancel(alice, wait_for):
    process, job = running_job(alice, wait_for, "sh", "-c", "echo ready; sleep 60")
    # Written right after other output, slurmstepd's words wait for its acknowledgement
    # (Nagle's algorithm), and srun may be gone before: of a native step, too.
    time.sleep(0.5)
    alice.run("scancel", job)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "CANCELLED" in errors


def test_scancel_with_a_signal(alice, wait_for):
    script = "trap 'echo got USR1; exit 7' USR1; echo ready; while :; do sleep 0.1; done"
    process, job = running_job(alice, wait_for, "sh", "-c", script)
    alice.run("scancel", "--signal=USR1", job)
    output, _ = process.communicate(timeout=30)
    assert "got USR1" in output
    assert process.returncode == 7


def test_interrupting_srun_ends_the_step(alice, wait_for):
    process, _ = running_job(alice, wait_for, "sh", "-c", "echo ready; sleep 60")
    for srun in [int(p) for p in os.popen(f"pgrep -P {process.pid} srun").read().split()]:
        for _ in range(20):  # srun wants two within a second
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(srun, signal.SIGINT)
                time.sleep(0.2)
    process.communicate(timeout=30)
    assert process.returncode != 0


def test_kill_on_bad_exit(alice):
    started = time.monotonic()
    script = "[ $SLURM_PROCID = 1 ] && exit 3; sleep 60"
    result = alice.srun("-n2", "--kill-on-bad-exit=1", f"--docker={BUSYBOX}", "sh", "-c", script)
    assert result.status in (3, 137, 143)
    assert time.monotonic() - started < 40


def test_time_limit(alice):
    result = alice.run("srun", "--time=0:1", f"--docker={BUSYBOX}", "sleep", "200", timeout=180)
    assert result.status != 0
    assert "TIME LIMIT" in result.stderr


def on_terminal(user, *command, keys: str) -> str:
    """Run on a pseudo-terminal, type `keys`, return what the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(user.home)
        words = user.command(*command)
        os.execve(words[0], words, user.environment({"TERM": "xterm"}))
    shown, typed = b"", False
    end = time.monotonic() + 40
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
        if not typed and b"$" in shown:
            os.write(terminal, keys.encode())
            typed = True
    os.kill(child, signal.SIGKILL) if time.monotonic() >= end else None
    os.waitpid(child, 0)
    os.close(terminal)
    return shown.decode(errors="replace")


def test_pty(alice):
    shown = on_terminal(
        alice, "srun", "-Q", "--pty", f"--docker={DEBIAN}", "bash", "--norc", "-i",
        keys="tty; test -t 0 && echo is-a-terminal; stty size; whoami; exit 5\n",
    )  # fmt: skip
    assert re.search(r"/dev/pts/\d+", shown)
    assert "is-a-terminal" in shown
    assert "alice" in shown
