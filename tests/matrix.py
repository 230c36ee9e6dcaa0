#!/usr/bin/python3
"""README's table of what was tested, from the results of test runs.

A whole run of the slurm tier, or of a VM, that passed writes tests/results/.
`make docs` runs this module, and a unit test sees that README has the outcome.
"""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "tests/results"
README = ROOT / "README.md"
BEGIN, END = "<!-- tested: written by `make docs` -->", "<!-- tested: end -->"


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout


def facts() -> dict[str, str]:
    """The releases that this machine runs."""
    system = dict(re.findall(r"^(\w+)=(.*)$", Path("/etc/os-release").read_text(), re.MULTILINE))
    form = "{{.ServerVersion}} {{.CgroupVersion}} {{.CgroupDriver}}"
    docker, cgroup, driver = _output("docker", "info", "-f", form).split()
    return {
        "debian": system["VERSION_CODENAME"],
        "slurm": re.search(r"[\d.]+", _output("sinfo", "--version"))[0],
        "docker": docker.split("+")[0],
        "cgroup": f"v{cgroup}",
        "driver": driver,
    }


def passed(suites: list[ET.Element]) -> int:
    """How many tests passed; 0 when one did not, or none ran."""
    total = {name: sum(int(s.get(name)) for s in suites)
             for name in ("tests", "failures", "errors", "skipped")}  # fmt: skip
    if total["failures"] or total["errors"]:
        return 0
    return total["tests"] - total["skipped"]


def record(found: dict[str, str], suites: list[ET.Element]) -> None:
    """Keep what a whole run was that passed; of one that failed the last result stays."""
    if count := passed(suites):
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps({**found, "passed": count}, indent=2)
        (RESULTS / f"{found['debian']}.json").write_text(text + "\n")


def table(found: list[dict]) -> str:
    rows = ["| Slurm | cgroup | Docker | its cgroup driver | Debian |", "|---|---|---|---|---|"]
    for one in sorted(found, key=lambda one: one["slurm"]):
        names = ("slurm", "cgroup", "docker", "driver", "debian")
        rows.append(f"| {' | '.join(one[name] for name in names)} |")
    return "\n".join(rows)


def readme(text: str, found: list[dict]) -> str:
    """README's text with the table of these results."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{rest.partition(END)[2]}"


def results() -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


if __name__ == "__main__":
    README.write_text(readme(README.read_text(), results()))
