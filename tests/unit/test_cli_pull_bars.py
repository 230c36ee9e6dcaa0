"""socker pull on a terminal: what nodes say becomes bars; signals and statuses pass through."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from pycontrol.pullbars import Board, Node, parse_report
from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]


def report(doing, note="", done=0, total=0):
    return json.dumps({"doing": doing, "note": note, "done": done, "total": total})


def test_reports_change_their_node():
    board = Board(["n1", "n2"])
    assert board.take("1: socker: " + report("pulling", "0 of 2 layers complete", 3, 9)) == ""
    assert board.nodes == [Node("n1"), Node("n2", "pulling", "0 of 2 layers complete", 3, 9)]
    board.take(" 1: socker: " + report("ready"))
    assert board.nodes[1] == Node("n2", "ready")


@pytest.mark.parametrize(
    ("doing", "note", "text"),
    [
        ("waiting for another step's pull of", "", "waiting for another step's pull"),
        ("asking the registry for", "", "asking the registry"),
        ("pulling", "1 of 2", "pulling, 1 of 2"),
    ],
)
def test_the_image_is_not_named_at_each_node(doing, note, text):
    assert Node("n1", doing, note).text == text


def test_an_error_is_shown_and_fails_its_node():
    board = Board(["n1", "n2"])
    shown = board.take("0: socker: image a:1 cannot be pulled: no: check the name")
    assert shown == "socker: n1: image a:1 cannot be pulled: no: check the name"
    board.take("1: socker: " + report("ready"))
    board.end(1)
    assert [node.doing for node in board.nodes] == ["failed", "ready"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("srun: error: n1: task 0: Exited with exit code 1",) * 2,
        ("7: socker: of a task that is none of ours",) * 2,
        ("0: slurmstepd: error: \x1b[31mred", "socker: n1: slurmstepd: error: ?[31mred"),
    ],
)
def test_other_lines_are_shown(line, shown):
    board = Board(["n1"])
    assert board.take(line) == shown
    assert board.nodes == [Node("n1")]


@pytest.mark.parametrize(("status", "doing"), [(0, "ready"), (1, "cut short")])
def test_the_end(status, doing):
    board = Board(["n1"])
    board.end(status)
    assert board.nodes[0].doing == doing


@pytest.mark.parametrize(
    "text",
    ["", "{", "pulling", '{"doing": 1}', '{"doing"', '{"doing": [], "note": "", "done": 0}',
     '{"doing": "x", "note": "", "done": null, "total": 0}'],
)  # fmt: skip
def test_what_is_no_report(text):
    assert parse_report(text) is None


def test_control_characters_do_not_reach_the_terminal():
    assert parse_report(report("\x1b[31m"))["doing"] == "?[31m"


# --- drawn: a process on a pty runs another that says what nodes say ------------------


def drawn(source, *names, columns=100):
    command = "import sys; from pycontrol import pullbars;"
    command += "sys.exit(pullbars.pull([sys.executable, '-uc', sys.argv[1]], None, sys.argv[2:]))"
    env = {"PATH": os.defpath, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    return Terminal(sys.executable, "-c", command, source, *names, columns=columns, env=env)


def says(*lines, end=""):
    texts = [f"print({line!r}); time.sleep(0.1)" for line in lines]
    return "; ".join(["import sys, time", *texts, end or "pass"])


def test_bars():
    half = report("pulling", "1 of 2 layers complete", 30_000_000, 60_000_000)
    source = says("0: socker: " + report("waiting for another step's pull of"),
                  "1: socker: " + half, "0: socker: " + report("ready"),
                  "1: socker: " + report("ready"))  # fmt: skip
    screen = drawn(source, "n1", "n2")
    assert screen.end() == 0
    lines = screen.lines()
    assert any("n1" in x and "waiting for another step's pull" in x for x in lines)
    [bar, *_] = [x for x in lines if "30 of 60 MB" in x]
    assert "n2" in bar
    assert "pulling, 1 of 2 layers complete" in bar
    assert [x.split()[0] for x in lines[-2:]] == ["n1", "n2"]
    assert all(x.rstrip().endswith("ready") for x in lines[-2:])
    assert screen.text.rfind("\x1b[?25h") > screen.text.rfind("\x1b[?25l")  # the cursor is back


def test_errors_stay_above_the_bars():
    source = says("0: socker: image [red]a:1[/red] cannot be pulled: no", end="sys.exit(1)")
    screen = drawn(source, "n1")
    assert screen.end() == 1
    assert "socker: n1: image [red]a:1[/red] cannot be pulled: no" in screen.lines()
    assert screen.lines()[-1].rstrip().endswith("failed")


def test_death_by_a_signal():
    screen = drawn("import os; os.kill(os.getpid(), 9)", "n1")
    assert screen.end() == 128 + 9


@pytest.mark.parametrize("how", ["key", "signal"])
def test_interrupted(how):
    """srun hears of it once, whether a key or a process says it."""
    source = (
        "import signal, sys, time;"
        "heard = [];"
        "signal.signal(signal.SIGINT, lambda *words: heard.append(1));"
        "print('srun: started');"
        "[time.sleep(0.1) for _ in range(200) if not heard];"
        "time.sleep(0.5);"  # for a second time, which must not come
        "sys.exit(10 + len(heard))"
    )
    screen = drawn(source, "n1")
    screen.read_until("srun: started")
    if how == "key":
        screen.type("\x03")
    else:
        os.kill(screen.process.pid, signal.SIGINT)
    assert screen.end() == 11


def test_narrow_and_resized():
    line = "0: socker: " + report("pulling", "x" * 200, 1, 60_000_000)
    source = says("srun: begun", *[line] * 20)
    screen = drawn(source, "n1", columns=100)
    screen.read_until("MB")
    screen.resize(40)
    before = len(screen.text)
    time.sleep(0.3)
    assert screen.end() == 0
    after = screen.lines(since=before + 500)
    assert after
    assert max(map(len, after)) <= 40
