"""`socker pull` on a terminal: runs its srun, and draws a bar a node of what the nodes say.

Runs as the user.  The step's tasks, one a node, print lines of JSON (Channel.report
of bridge.py) behind srun's label; whatever else comes, srun's own messages and
errors, is shown above the bars as it is.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Column

from pycontrol.errors import printable
from pycontrol.patience import counts
from pycontrol.plaindata import dataclass, replace

READY, FAILED, CUT = "ready", "failed", "cut short"
LONGEST_LINE = 1 << 16  # bytes
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_NO_REPORT = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_LABELLED = re.compile(r" *(\d+): (.*)")


@dataclass(frozen=True)
class Node:
    """What a node has said of itself last."""

    name: str
    doing: str = "starting"
    note: str = ""
    done: int = 0
    total: int = 0

    @property
    def text(self) -> str:
        return ", ".join(filter(None, (re.sub(" (of|for)$", "", self.doing), self.note)))


class Board:
    """The nodes of the step, in the order of its tasks."""

    def __init__(self, names: Sequence[str]):
        self.nodes = [Node(name) for name in names]

    def take(self, line: str) -> str:
        """What is to be shown of a line above the bars, if anything."""
        line = printable(line)
        match = _LABELLED.fullmatch(line)
        if not match or int(match[1]) >= len(self.nodes):
            return line
        number, text = int(match[1]), match[2].removeprefix("socker: ")
        node = self.nodes[number]
        if report := parse_report(text):
            self.nodes[number] = replace(node, **report)
            return ""
        if text != match[2]:
            self.nodes[number] = replace(node, doing=FAILED, note="")
        return f"socker: {node.name}: {text}"

    def end(self, status: int) -> None:
        """The step is over: srun's status tells how."""
        for number, node in enumerate(self.nodes):
            if status == 0 or node.doing not in (READY, FAILED):
                self.nodes[number] = replace(node, doing=CUT if status else READY, note="")


def parse_report(text: str) -> dict | None:
    """A node's report; None for any other text."""
    if not text.startswith('{"doing"'):
        return None
    try:
        found = json.loads(text)
        return {
            "doing": printable(found["doing"]), "note": printable(found["note"]),
            "done": int(found["done"]), "total": int(found["total"]),
        }  # fmt: skip
    except _NO_REPORT:  # it looks like one
        return None


class Amount(ProgressColumn):
    """Bytes of bytes, where the node has said them."""

    def render(self, task) -> str:
        node = task.fields["node"]
        return "" if node.doing in (FAILED, CUT) else counts(node.done, node.total)


def bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        Amount(table_column=Column(no_wrap=True)),
        TextColumn(
            "{task.fields[node].text}", markup=False, table_column=Column(no_wrap=True, ratio=2)
        ),
        console=console,
        expand=True,
    )


def draw(progress: Progress, node: Node, task) -> None:
    """A bar that runs to and fro where nothing is known, and is full where all is there."""
    over = node.doing in (READY, FAILED, CUT)
    total = node.total or (1 if over else None)
    done = (total or 0) if node.doing == READY else node.done
    progress.update(task, total=total, completed=done, node=node)


def pull(argv: Sequence[str], environ: Mapping[str, str], names: Sequence[str]) -> int:
    """srun's exit status."""
    board = Board(names)
    console = Console(stderr=True, highlight=False)
    with bars(console) as progress, running(argv, environ) as srun:
        tasks = [progress.add_task(node.name, total=None, node=node) for node in board.nodes]
        while line := srun.stdout.readline(LONGEST_LINE):
            shown = board.take(line.decode(errors="replace").rstrip("\n"))
            if shown:
                console.print(shown, markup=False, soft_wrap=True)
            for node, task in zip(board.nodes, tasks, strict=True):
                draw(progress, node, task)
        status = srun.wait()
        board.end(status)
        for node, task in zip(board.nodes, tasks, strict=True):
            draw(progress, node, task)
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def running(argv: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen]:
    """srun in a process group of its own: it gets the terminal's signals from here, once."""
    srun: subprocess.Popen | None = None
    before = {number: signal.getsignal(number) for number in FORWARDED}
    early = []

    def forward(number: int, frame) -> None:
        srun.send_signal(number) if srun else early.append(number)

    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:  # of nohup
                signal.signal(number, forward)
        # A signal that comes right before a read() is seen behind it: let none be long.
        signal.signal(signal.SIGALRM, lambda number, frame: None)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        srun = subprocess.Popen(
            argv, env=environ, process_group=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        for number in early:
            srun.send_signal(number)
        yield srun
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if srun and srun.poll() is None:
            srun.terminate()
            srun.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
