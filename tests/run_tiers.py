"""Runs each tier in a pytest of its own, and says how each went.

A tier that ran nothing, or skipped everything, has failed: a machine that
cannot run it proves nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import matrix

ROOT = Path(__file__).resolve().parents[1]
TIERS = ("unit", "shim", "fuzz", "slurm", "vm")
RELEASES = os.environ.get("RELEASES", "trixie").split()  # of the tier vm
CLUSTER = [sys.executable, str(ROOT / "tests/cluster/cluster.py")]


@dataclass(frozen=True)
class Outcome:
    """What one tier's pytest reported; `status` is its exit status."""

    tier: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    status: int

    @property
    def verdict(self) -> str:
        if self.status or self.failed:
            return "FAILED"
        return "ok" if self.passed else "FAILED: nothing ran"

    def row(self) -> str:
        numbers = f"{self.passed:7} {self.failed:7} {self.skipped:8} {self.seconds:8.0f} s"
        return f"{self.tier:8}{numbers}   {self.verdict}"


def suites(report: Path) -> list[ET.Element]:
    return list(ET.parse(report).getroot().iter("testsuite")) if report.exists() else []


def count(report: Path) -> tuple[int, int, int]:
    """(passed, failed, skipped) of a junit file; (0, 0, 0) when there is none."""

    def sum_of(*names: str) -> int:
        return sum(int(suite.get(name)) for suite in suites(report) for name in names)

    total, skipped, failed = sum_of("tests"), sum_of("skipped"), sum_of("failures", "errors")
    # A test that passed and whose teardown failed counts once, as failed.
    return max(0, total - failed - skipped), failed, skipped


def command(tier: str, report: Path, options: list[str]) -> list[str]:
    if tier == "vm":
        return [sys.executable, "tests/vm/vm.py", f"--junitxml={report}", *RELEASES]
    pytest = [sys.executable, "-m", "pytest", f"tests/{tier}", f"--junitxml={report}"]
    return [*pytest, "--durations=5", *options]


def run_tier(tier: str, options: list[str], beside: Beside | None = None) -> Outcome:
    print(f"\n=== {tier} ===", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        report = Path(work) / "report.xml"
        if tier == "slurm" and subprocess.run([*CLUSTER, "up"]).returncode:
            return Outcome(tier, 0, 0, 0, time.monotonic() - started, 1)
        if beside:
            beside.start()
        status = subprocess.run(command(tier, report, options), cwd=ROOT).returncode
        if tier == "slurm" and not options:
            matrix.record(matrix.facts(), suites(report))
        passed, failed, skipped = count(report)
    return Outcome(tier, passed, failed, skipped, time.monotonic() - started, status)


class Beside(threading.Thread):
    """A tier that runs while another waits; what it prints comes at its end.

    The slurm tier waits for Slurm most of the time, the VM computes.
    """

    def __init__(self, tier: str, options: list[str]):
        super().__init__()
        self.tier, self.options = tier, options
        self.outcome, self.said = Outcome(tier, 0, 0, 0, 0, 1), ""

    def run(self) -> None:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            report, said = Path(work) / "report.xml", Path(work) / "said"
            words = ["nice", "-n19", *command(self.tier, report, self.options)]
            with said.open("w") as file:
                status = subprocess.run(words, cwd=ROOT, stdout=file, stderr=file).returncode
            self.said = said.read_text(errors="replace")
            self.outcome = Outcome(self.tier, *count(report), time.monotonic() - started, status)

    def end(self) -> Outcome:
        if not self.ident:  # what it was to run beside did not come to it
            return self.outcome
        self.join()
        print(f"\n=== {self.tier} ===\n{self.said}", flush=True)
        return self.outcome


def run(wanted: list[str], options: list[str]) -> list[Outcome]:
    """In their order; the VM, which needs the longest, beside the slurm tier."""
    if not {"slurm", "vm"} <= set(wanted):
        return [run_tier(tier, options) for tier in wanted]
    vm = Beside("vm", options)
    others = [tier for tier in wanted if tier != "vm"]
    outcomes = [run_tier(tier, options, vm if tier == "slurm" else None) for tier in others]
    return [*outcomes, vm.end()]


def main() -> int:
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")] or list(TIERS)
    outcomes = run(wanted, options)
    print("\ntier     passed  failed  skipped     time     verdict")
    for outcome in outcomes:
        print(outcome.row())
    totals = [sum(getattr(o, name) for o in outcomes) for name in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 0 if all(o.verdict == "ok" for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
