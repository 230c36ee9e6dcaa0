"""socker run is an srun: stdin, terminal, signals and exit statuses are its own."""

import hashlib
import os
import signal
import subprocess
import time

import pytest
from conftest import BUSYBOX, SOCKER, read

from tests.terminal import Terminal

IN_OR_OUT = pytest.mark.parametrize("place", ["outside", "in an allocation"])
READY = "echo ready; while :; do sleep 0.1; done"
COUNTED = "i=0; trap 'echo interrupted; exit 3' INT; " + READY


def command(user, place, *argv):
    inside = ["salloc", "-Q"] if place == "in an allocation" else []
    return user.command(*inside, *argv)


def on_terminal(user, place, *argv, **options):
    env = user.environment({"TERM": "xterm"})
    return Terminal(*command(user, place, *argv), env=env, cwd=user.home, **options)


@IN_OR_OUT
def test_ten_megabytes_go_in_and_out(alice, place):
    data = os.urandom(10_000_000)
    done = subprocess.run(
        command(alice, place, SOCKER, "run", BUSYBOX, "cat"),
        input=data, capture_output=True, timeout=120, cwd=alice.home, env=alice.environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


@IN_OR_OUT
def test_the_terminal_is_as_large_inside(alice, place):
    # srun sends the new size along in its own time.
    later = "for i in $(seq 100); do [ \"$(stty size)\" = '24 93' ] || break; sleep 0.1; done"
    script = f"stty size; echo ready; read x; {later}; stty size"
    terminal = on_terminal(alice, place, SOCKER, "run", BUSYBOX, "sh", "-c", script, columns=93)
    terminal.read_until("ready")
    terminal.resize(71)
    terminal.type("x\n")
    assert terminal.end() == 0
    sizes = [line for line in terminal.lines() if line.startswith("24 ")]
    assert sizes == ["24 93", "24 71"]


@IN_OR_OUT
def test_ctrl_c_reaches_the_command(alice, place):
    terminal = on_terminal(alice, place, SOCKER, "run", BUSYBOX, "sh", "-c", COUNTED)
    terminal.read_until("ready")
    terminal.type("\x03")
    assert terminal.end() == 3
    assert "interrupted" in terminal.text


def test_job_control_of_a_shell_inside(alice):
    terminal = on_terminal(alice, "outside", SOCKER, "run", BUSYBOX, "sh")
    terminal.read_until("$ ")
    terminal.type("sleep 100\n")
    time.sleep(1)
    terminal.type("\x03")
    terminal.type("echo st''ill here; exit 5\n")
    assert terminal.end() == 5
    assert "still here" in terminal.text


@pytest.mark.parametrize("how", ["exit 42", "kill -9 $$", "kill -TERM $$", "exit 0"])
@IN_OR_OUT
def test_the_exit_status_is_sruns(alice, place, how):
    words = [f"--container-image={BUSYBOX}", "sh", "-c", how]
    natively = subprocess.run(
        command(alice, place, "srun", "-Q", *words),
        capture_output=True, timeout=90, cwd=alice.home, env=alice.environment(),
    )  # fmt: skip
    ours = subprocess.run(
        command(alice, place, SOCKER, "run", BUSYBOX, "sh", "-c", how),
        capture_output=True, timeout=90, cwd=alice.home, env=alice.environment(),
    )  # fmt: skip
    assert ours.returncode == natively.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_the_process(alice, number, wait_for):
    """It is srun by then: what srun does with it, and ends with, natively as here."""
    statuses = []
    script = "trap 'echo heard; exit 4' USR1; " + READY
    for argv in (["srun", "-Q", f"--docker={BUSYBOX}"], [SOCKER, "run", "--", "-Q", BUSYBOX]):
        step = alice.start(*argv, "sh", "-c", script, stdout=-1, stderr=-1, stdin=-1)
        assert step.stdout.readline() == "ready\n"
        srun = _child_of(step.pid)
        for _ in range(2 if number == signal.SIGINT else 1):  # srun wants it twice in a second
            os.kill(srun, number)
            time.sleep(0.3)
        output, _ = step.communicate(timeout=60)
        statuses.append((step.returncode, output))
        wait_for(lambda: not read("squeue", "-h"))
    assert statuses[0] == statuses[1]
    if number == signal.SIGUSR1:
        assert statuses[1] == (4, "heard\n")


def _child_of(pid: int) -> int:
    """runuser stays as the parent of what it runs."""
    return int(read("pgrep", "-P", str(pid)).split()[0])
