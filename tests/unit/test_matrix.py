"""README's table of what was tested is that of the results."""

import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

MATRIX = runpy.run_path(str(Path(__file__).resolve().parents[1] / "matrix.py"))


def suite(tests, failures=0, errors=0, skipped=0) -> ET.Element:
    numbers = {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped}
    return ET.Element("testsuite", {name: str(number) for name, number in numbers.items()})


def test_readme_has_the_results():
    text = MATRIX["README"].read_text()
    assert MATRIX["readme"](text, MATRIX["results"]()) == text, "run `make docs`"


def test_a_row():
    one = {"slurm": "24.11.5", "cgroup": "v2", "docker": "26.1.5", "driver": "systemd",
           "debian": "trixie", "passed": 3}  # fmt: skip
    assert MATRIX["table"]([one]).endswith("\n| 24.11.5 | v2 | 26.1.5 | systemd | trixie |")


@pytest.mark.parametrize(
    ("suites", "passed"),
    [
        ([suite(5, skipped=1), suite(3)], 7),
        ([suite(5), suite(3, failures=1)], 0),
        ([suite(5), suite(3, errors=1)], 0),
        ([suite(2, skipped=2)], 0),
        ([], 0),
    ],
)
def test_only_a_whole_run_that_passed_counts(suites, passed):
    assert MATRIX["passed"](suites) == passed
