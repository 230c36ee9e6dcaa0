"""The bench's pure parts: what is compared, kept and written.  Times are no test's matter."""

import importlib
import sys
from datetime import datetime
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "bench"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "cluster"))
report, results, sampling = map(importlib.import_module, ("report", "results", "sampling"))
jobs = importlib.import_module("jobs")


def compared(name="S2", base=(10.0, 20, 30), what=(11.0, 22, 33), **more):
    samples = {"native": list(base), "container": list(what)}
    fields = {"title": "a step", "budget": 1.25, "samples": samples} | more
    return sampling.Comparison(name, base="native", what="container", **fields)


@pytest.mark.parametrize(
    "line",
    ["sched: Allocate JobId={} NodeList=n1 #CPUs=1 Partition=all",
     "sched/backfill: _start_job: Started JobId={} in all on n1"],
)  # fmt: skip
def test_the_start_of_a_batch_job(line):
    log = "".join(
        f"[2026-11-22T0{n}:00:00.250] {line.format(job)}\n" for n, job in enumerate((7, 70, 7, 8))
    )
    began = jobs.time_of_allocation(log, "7")
    assert datetime.fromtimestamp(began).isoformat() == "2026-11-22T02:00:00.250000"
    with pytest.raises(jobs.Failed, match="job 9"):
        jobs.time_of_allocation(log, "9")


def test_pairs_turn_round_and_the_first_round_does_not_count():
    seen = []

    def kind(name):
        return lambda: seen.append(name) or len(seen)

    found = sampling.pairs({"a": kind("a"), "b": kind("b")}, 2)
    assert seen == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": [4, 5], "b": [3, 6]}


@pytest.mark.parametrize(
    ("more", "value", "holds"),
    [
        ({}, 1.1, True),
        ({"budget": 1.05}, 1.1, False),
        ({"extra": True, "budget": 2}, 2, True),
        ({"extra": True, "budget": 1.9}, 2, False),
        ({"at_least": True, "budget": 1.2}, 1.1, False),
        ({"at_least": True, "budget": 1.1}, 1.1, True),
    ],
)
def test_a_budget(more, value, holds):
    found = compared(**more)
    assert found.value == pytest.approx(value)
    assert found.holds is holds


def test_spread_is_the_quartiles():
    assert compared(what=range(1, 8)).spread("container") == (2, 6)
    assert compared(what=[5]).spread("container") == (5, 5)


def test_order_of_results():
    names = ["S10b", "P1", "S2", "S10", "S4b", "S4"]
    assert [one["name"] for one in results.merged((), [{"name": n} for n in names])] == [
        "S2", "S4", "S4b", "S10", "S10b", "P1",
    ]  # fmt: skip


def test_a_part_that_was_measured_alone(tmp_path):
    path = tmp_path / "made/results.json"
    once = [{"name": "S4", "at": 1, "value": 1}, {"name": "S4", "at": 64, "value": 1}]
    results.add(path, {"cpus": 2}, once, [{"name": "P1", "why": "no"}])
    again = [{"name": "S4", "at": 64, "value": 2}, {"name": "P1", "at": 0, "value": 3}]
    results.add(path, {"cpus": 4}, again, [])
    found = results.load(path)
    assert [(one["name"], one["at"], one["value"]) for one in found["measured"]] == [
        ("S4", 1, 1), ("S4", 64, 2), ("P1", 0, 3),
    ]  # fmt: skip
    assert found["unmeasured"] == []
    assert found["machine"] == {"cpus": 4}


def test_what_cannot_be_measured_any_more_is_not_shown(tmp_path):
    path = tmp_path / "results.json"
    results.add(path, {}, [{"name": "P1"}], [])
    results.add(path, {}, [], [{"name": "P1", "why": "no"}])
    assert results.load(path)["measured"] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01234, "0.0123"), (3.14159, "3.14"), (99.96, "100"), (345.6, "346"), (-12345.6, "-12,346")],
)
def test_a_number(value, text):
    assert sampling.number(value) == text
    assert sampling.number(abs(value), "+") == f"+{text.lstrip('-')}"


def test_a_row():
    row = report.row(compared().as_json())
    assert row == (
        "| S2 | a step (native) | 1.10 | ≤ 1.25 | 20 (10 to 30) | 22 (11 to 33) ms | 3 |"
    )


def test_a_row_over_its_budget():
    row = report.row(compared(extra=True, budget=1, at_least=False).as_json())
    assert " **+2 ms** | ≤ 1 |" in row


def test_the_text():
    machine = {"kernel": "6.1", "cpus": 2, "cpu": "C", "memory": "8 GiB", "storage": "tmpfs"}
    why = sampling.Unmeasured("P1", "a step by x", "E: no\npackage | x").as_json()
    found = {"machine": machine, "measured": [compared().as_json()], "unmeasured": [why]}
    text = report.text(found, {"a.svg": "A"})
    assert "Linux 6.1, 2 CPUs (C), 8 GiB; the engine's storage: tmpfs." in text
    assert "| P1 | a step by x | not measured: E: no package / x |" in text
    assert "![A](performance/a.svg)" in text
    page = "before\n<!-- measured -->\nold\n<!-- end -->\nbehind"
    assert report.page(page, text) == f"before\n<!-- measured -->\n{text}<!-- end -->\nbehind"


def test_the_page_has_the_marks():
    assert report.MARKS.search(report.PAGE.read_text())
