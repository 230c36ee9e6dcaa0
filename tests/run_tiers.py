"""Runs each tier in a pytest of its own, and says how each went.

A tier that ran nothing, or skipped everything, has failed: a machine that
cannot run it proves nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIERS = ("unit", "shim", "slurm")
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


def count(report: Path) -> tuple[int, int, int]:
    """(passed, failed, skipped) of a junit file; (0, 0, 0) when there is none."""
    if not report.exists():
        return 0, 0, 0
    suite = ET.parse(report).getroot().find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    # A test that passed and whose teardown failed counts once, as failed.
    return max(0, total - failed - skipped), failed, skipped


def run_tier(tier: str, options: list[str]) -> Outcome:
    print(f"\n=== {tier} ===", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        report = Path(work) / "report.xml"
        if tier == "slurm" and subprocess.run([*CLUSTER, "up"]).returncode:
            return Outcome(tier, 0, 0, 0, time.monotonic() - started, 1)
        command = [sys.executable, "-m", "pytest", f"tests/{tier}", f"--junitxml={report}"]
        status = subprocess.run([*command, "--durations=5", *options], cwd=ROOT).returncode
        passed, failed, skipped = count(report)
    return Outcome(tier, passed, failed, skipped, time.monotonic() - started, status)


def main() -> int:
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")] or list(TIERS)
    outcomes = [run_tier(tier, options) for tier in wanted]
    print("\ntier     passed  failed  skipped     time     verdict")
    for outcome in outcomes:
        print(outcome.row())
    totals = [sum(getattr(o, name) for o in outcomes) for name in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 0 if all(o.verdict == "ok" for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
