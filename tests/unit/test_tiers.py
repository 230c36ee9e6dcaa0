"""`make test`: a tier that proved nothing has failed."""

import json
import runpy
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))  # as for a program that is run there
TIERS = runpy.run_path(str(TESTS / "run_tiers.py"))
REPORT = (
    """<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>"""
)


@pytest.mark.parametrize(
    ("numbers", "status", "verdict"),
    [
        ((5, 0, 0, 0), 0, "ok"),
        ((5, 0, 0, 4), 0, "ok"),
        ((5, 0, 0, 5), 0, "FAILED: nothing ran"),
        ((0, 0, 0, 0), 5, "FAILED"),
        ((5, 1, 0, 0), 1, "FAILED"),
        ((5, 0, 1, 0), 1, "FAILED"),
        ((5, 0, 0, 0), 2, "FAILED"),
    ],
)
def test_verdicts(tmp_path, numbers, status, verdict):
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(*numbers))
    passed, failed, skipped = TIERS["count"](report)
    outcome = TIERS["Outcome"]("slurm", passed, failed, skipped, 1.0, status)
    assert outcome.verdict == verdict


def test_a_tier_that_could_not_start(tmp_path):
    assert TIERS["count"](tmp_path / "none.xml") == (0, 0, 0)


def test_the_vms_run_tests_that_there_are():
    """pytest runs none at all when one name is wrong."""
    for name in json.loads((TESTS / "vm/core.json").read_text()):
        path, _, function = name.partition("::")
        text = (TESTS.parent / path).read_text()
        assert f"\ndef {function.partition('[')[0]}(" in text
