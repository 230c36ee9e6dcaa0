"""Tables of `socker images` and `socker ps`: by rich on a terminal, else plain columns.

Plain ones have neither colour nor lines, and no cell is cut: scripts read them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import click

from pycontrol.errors import printable
from pycontrol.plaindata import asdict
from pycontrol.present import PresentContainer, PresentImage
from pycontrol.ruleshow import Entry

Row = Sequence[str]


def size_text(size: int) -> str:
    """Bytes as `docker images` shows them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"


def age_text(since: float | None, now: float | None = None) -> str:
    """The largest whole unit."""
    if since is None:
        return "-"
    seconds = max(0, int((time.time() if now is None else now) - since))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def image_rows(
    found: Iterable[PresentImage], absent: Iterable[str] = (), now: float | None = None
) -> list[Row]:
    """Those that are here, then the names of those that are not."""
    rows = [
        (
            i.image, i.digest[:19], i.image_id[7:19], size_text(i.size),
            age_text(i.created if i.used is None else i.used, now),
        )
        for i in found
    ]  # fmt: skip
    return [*rows, *((name, "-", "-", "-", "-") for name in absent)]


def rule_rows(entries: Iterable[Entry]) -> list[Row]:
    return [(e.image, "yes" if e.allowed else "no", e.rule, e.only or "-") for e in entries]


def container_rows(found: Iterable[PresentContainer], now: float | None = None) -> list[Row]:
    return [
        (str(c.job), _steps(c.steps), c.image, c.node, c.user, age_text(c.since, now))
        for c in found
    ]


def _steps(steps: tuple[str, ...] | None) -> str:
    return "?" if steps is None else ",".join(steps) or "-"


def as_json(found: Iterable[PresentImage] | Iterable[PresentContainer]) -> list[dict]:
    return [{n: v for n, v in asdict(entry).items() if n != "used" or v} for entry in found]


def show(heads: Row, rows: Iterable[Row], drawn: bool) -> None:
    """`drawn`: on a terminal that can do more than lines."""
    clean = [tuple(map(printable, row)) for row in rows]
    if drawn:
        _draw(heads, clean)
    else:
        click.echo(columns(heads, clean))


def columns(heads: Row, rows: Iterable[Row]) -> str:
    """As wide as what is in them."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _draw(heads: Row, rows: Iterable[Row]) -> None:
    """Long cells go on in the next line; NO_COLOR is heard by rich."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)
