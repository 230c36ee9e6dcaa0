"""The figures of docs/performance.md, as small SVG files, from the results alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes

SIZE = (6, 3.2)  # inches
COLOURS = {
    "native": "#4c566a", "container": "#0a7f5a", "docker run": "#2374c6",
    "podman run": "#9c5bb0", "ch-run": "#c27c1b",
}  # fmt: skip
LABELS = {"container": "socker"}


def label(kind: str) -> str:
    return LABELS.get(kind, kind)


def named(measured: list[dict], *names: str) -> list[dict]:
    return [found for found in measured if found["name"] in names]


def medians(axes: Axes, found: list[dict], kind: str) -> None:
    """A line over what `at` counts, with the quartiles as bars."""
    found = [one for one in found if kind in one["kinds"]]
    middle = [one["kinds"][kind]["median"] for one in found]
    low, high = zip(*(one["kinds"][kind]["quartiles"] for one in found), strict=True)
    bars = (
        [m - q for m, q in zip(middle, low, strict=True)],
        [q - m for m, q in zip(middle, high, strict=True)],
    )
    where = [one["at"] for one in found]
    axes.errorbar(
        where, middle, yerr=bars, label=label(kind), color=COLOURS[kind], marker="o", capsize=2
    )


def over_counts(axes: Axes, found: list[dict], counted: str) -> None:
    for kind in (kind for kind in COLOURS if any(kind in one["kinds"] for one in found)):
        medians(axes, found, kind)
    axes.set_xscale("log", base=2)
    where = [one["at"] for one in found]
    axes.set_xticks(where, [str(at) for at in where])
    axes.set_xlabel(counted)
    axes.legend(frameon=False)


def kinds_of_step(axes: Axes, measured: list[dict]) -> bool:
    """What a whole srun takes by each way that was measured."""
    bars: dict[str, tuple[float, str]] = {}
    for one in named(measured, "S3c", "P1", "P2", "P3"):
        for kind, values in one["kinds"].items():
            first = one["name"] == "S3c" and kind == "container"
            if one["name"] != "S3c" or first:
                name = "socker, first step" if first else label(kind)
                bars[name] = (values["median"], COLOURS[kind])
    bars = dict(sorted(bars.items(), key=lambda bar: -bar[1][0]))
    values, colours = [v for v, _ in bars.values()], [c for _, c in bars.values()]
    drawn = axes.barh(list(bars), values, color=colours)
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.set_xlabel("ms of a whole srun in an allocation")
    return bool(bars)


def tasks(axes: Axes, measured: list[dict]) -> bool:
    if found := named(measured, "S4"):
        over_counts(axes, found, "tasks on a node")
        axes.set_ylabel("ms of the step")
    return bool(found)


def over_time(axes: Axes, measured: list[dict]) -> bool:
    for found in (shown := named(measured, "S7")):
        for kind, rates in found["series"].items():
            share = [(part + 1) / len(rates) * 100 for part in range(len(rates))]
            axes.plot(share, rates, label=label(kind), color=COLOURS[kind])
        axes.set_xlabel(f"% of {found['title']}")
        axes.set_ylabel("steps/s")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    return bool(shown)


def processes(axes: Axes, measured: list[dict]) -> bool:
    if found := named(measured, "S11"):
        over_counts(axes, found, "processes of bowtie2 that share the reads")
        axes.set_ylabel("ms of run time")
        axes.set_ylim(bottom=0)
    return bool(found)


FIGURES: dict[str, tuple[str, Callable[[Axes, list[dict]], bool]]] = {
    "kinds.svg": ("The time of a step by what runs it", kinds_of_step),
    "tasks.svg": ("The time of a step over its tasks", tasks),
    "steps.svg": ("Steps a second during one job", over_time),
    "processes.svg": ("Run time of bowtie2 over processes", processes),
}


def draw(measured: list[dict], folder: Path) -> dict[str, str]:
    """Writes those that the results have something for; what each shows, by its name."""
    matplotlib.rcParams.update({"svg.hashsalt": "socker", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(exist_ok=True)
    drawn = {}
    for name, (title, figure) in FIGURES.items():
        canvas, axes = pyplot.subplots(figsize=SIZE, layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title)
        if figure(axes, measured):
            canvas.savefig(folder / name, metadata={"Date": None})
            drawn[name] = title
        pyplot.close(canvas)
    return drawn
