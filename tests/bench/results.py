"""What was measured, kept in JSON: the page and its figures are drawn from it alone."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results/bench/results.json"


def key(found: dict) -> tuple[str, int]:
    return found["name"], found.get("at", 0)


def order(found: dict) -> tuple:
    """S2 before S10, and S4b behind S4."""
    letter, number, rest = re.fullmatch(r"([A-Z])(\d+)(\w*)", found["name"]).groups()
    return letter != "S", int(number), rest, found.get("at", 0)


def merged(old: Iterable[dict], new: Iterable[dict]) -> list[dict]:
    """The new ones in place of older ones of the same name, all in their order."""
    return sorted(({key(one): one for one in [*old, *new]}).values(), key=order)


def machine(storage: str) -> dict:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "kernel": platform.release().partition("-")[0],
        "cpus": os.cpu_count(),
        "cpu": cpu[1] if cpu else platform.machine(),
        "memory": f"{gib:.0f} GiB",
        "storage": storage,
        "load": os.getloadavg()[0],
    }


def load(path: Path) -> dict:
    if not path.exists():
        return {"machine": {}, "measured": [], "unmeasured": []}
    return json.loads(path.read_text())


def add(path: Path, machine: dict, measured: list[dict], unmeasured: list[dict]) -> None:
    """A part that was measured alone replaces that part only."""
    old = load(path)
    now = {one["name"] for one in measured}
    fresh = {one["name"] for one in unmeasured}
    results = {
        "machine": machine,
        "measured": merged((o for o in old["measured"] if o["name"] not in fresh), measured),
        "unmeasured": merged((o for o in old["unmeasured"] if o["name"] not in now), unmeasured),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
