"""Writes what was measured into docs/performance.md: a table, the figures, the machine.

`make bench-docs`, behind `make bench`.
"""

from __future__ import annotations

import re
from pathlib import Path

import results
from sampling import number

PAGE = Path(__file__).resolve().parents[2] / "docs/performance.md"
FIGURES = "performance"  # a folder beside the page
MARKS = re.compile(r"(<!-- measured -->\n).*(<!-- end -->)", re.DOTALL)
HEAD = [
    "| | what | ratio, or more | budget | against (median, quartiles) | measured | samples |",
    "|---|---|---|---|---|---|---|",
]


def of_kind(found: dict, name: str) -> str:
    kind = found["kinds"][name]
    low, high = map(number, kind["quartiles"])
    return f"{number(kind['median'])} ({low} to {high})"


def row(found: dict) -> str:
    base, what, unit = found["base"], found["what"], found["unit"]
    value = f"{number(found['value'], '+')} {unit}" if found["extra"] else f"{found['value']:.2f}"
    value = value if found["holds"] else f"**{value}**"
    limit = f"{'≥' if found['at_least'] else '≤'} {found['budget']:g}"
    times = f"{of_kind(found, base)} | {of_kind(found, what)} {unit}"
    cells = (found["name"], f"{found['title']} ({base})", value, limit, times, found["rounds"])
    return f"| {' | '.join(map(str, cells))} |"


def unmeasured_row(found: dict) -> str:
    why = " ".join(found["why"].split())[:160].replace("|", "/")
    return f"| {found['name']} | {found['title']} | not measured: {why} | | | | |"


def about(machine: dict, measured: list[dict]) -> str:
    days = sorted({found["time"][:10] for found in measured})
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    return (
        f"{when}: Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['cpu']}), "
        f"{machine['memory']}; the engine's storage: {machine['storage']}. "
        "A number in bold is over its budget."
    )


def text(found: dict, figures: dict[str, str]) -> str:
    """figures: what they show, by the name of their file."""
    rows = [*map(row, found["measured"]), *map(unmeasured_row, found["unmeasured"])]
    shown = [f"![{title}]({FIGURES}/{name})" for name, title in figures.items()]
    return "\n".join([about(found["machine"], found["measured"]), "", *HEAD, *rows, "", *shown, ""])


def page(old: str, written: str) -> str:
    return MARKS.sub(lambda match: match[1] + written + match[2], old)


def main() -> None:
    import figures

    found = results.load(results.RESULTS)
    if not found["measured"]:
        raise SystemExit(f"{results.RESULTS}: nothing is measured yet: `make bench`")
    written = text(found, figures.draw(found["measured"], PAGE.parent / FIGURES))
    PAGE.write_text(page(PAGE.read_text(), written))


if __name__ == "__main__":
    main()
