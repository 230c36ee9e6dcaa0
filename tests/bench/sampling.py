"""Paired samples: what is compared runs in turns, so that both meet the same machine."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Comparison:
    """One budget: `what` against `base`, its ratio and the most that it may be.

    extra: in place of a ratio, how much more it may be, in `unit`
    at: of how many tasks, processes, …: where it is on a figure's axis
    samples: values by kind; those of a round belong together
    series: values by kind, one after the other within a sample
    """

    name: str
    title: str
    base: str
    what: str
    budget: float
    extra: bool = False
    at_least: bool = False
    unit: str = "ms"
    at: int = 0
    samples: dict[str, list[float]] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)

    def median(self, kind: str) -> float:
        return statistics.median(self.samples[kind])

    def spread(self, kind: str) -> tuple[float, float]:
        """The quartiles."""
        values = self.samples[kind]
        if len(values) < 2:
            return values[0], values[0]
        low, _, high = statistics.quantiles(values, n=4)
        return low, high

    @property
    def value(self) -> float:
        if self.extra:
            return self.median(self.what) - self.median(self.base)
        return self.median(self.what) / self.median(self.base)

    @property
    def holds(self) -> bool:
        return self.value >= self.budget if self.at_least else self.value <= self.budget

    def as_json(self) -> dict:
        kinds = {
            kind: {"median": self.median(kind), "quartiles": self.spread(kind), "samples": values}
            for kind, values in self.samples.items()
        }
        return {
            "name": self.name, "at": self.at, "title": self.title, "unit": self.unit,
            "base": self.base, "what": self.what, "extra": self.extra, "value": self.value,
            "budget": self.budget, "at_least": self.at_least, "holds": self.holds,
            "rounds": len(self.samples[self.what]), "time": time.strftime("%F %T"),
            "kinds": kinds, "series": self.series,
        }  # fmt: skip


def number(value: float, sign: str = "") -> str:
    """Three digits that count."""
    return f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.3g}"


@dataclass(frozen=True)
class Unmeasured:
    """What cannot be measured on this machine, and why."""

    name: str
    title: str
    why: str

    def as_json(self) -> dict:
        return {"name": self.name, "title": self.title, "why": self.why}


def progress(words: str) -> None:
    """On a terminal, a line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)


def pairs(kinds: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each kind once a round, in an order that turns round; the first round is not counted."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind in list(kinds)[:: -1 if number % 2 else 1]:
            progress(f"    round {number} of {rounds}: {kind}")
            value = kinds[kind]()
            if number:
                found[kind].append(value)
    progress("")
    return found
