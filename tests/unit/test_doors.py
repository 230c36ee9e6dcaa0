"""One door per danger, and other rules that hold over the whole tree."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*ROOT.glob("pycontrol/*.py"), *ROOT.glob("cgroup/*.py"), *ROOT.glob("spank_plugin/*.py")]


def users_of(pattern: str) -> set[str]:
    found = re.compile(pattern, re.MULTILINE)
    return {p.name for p in SOURCES if found.search(p.read_text())}


@pytest.mark.parametrize(
    ("pattern", "doors"),
    [
        (r"^(import|from) cffi", {"build.py"}),
        (r"^\s*(import|from) ctypes", {"kernel.py"}),
        (r"^(import|from) docker", {"enginesdk.py"}),
        (r"^import requests", {"enginesdk.py"}),
        (r"http\.client import .*HTTP", {"registryhttp.py", "route.py"}),
        (r"cgroup\.procs", {"files.py"}),
        (r"shell=True|os\.system|os\.popen", set()),
        (r"^\s*(import|from) pyslurm", set()),
        (r"os\.(chroot|setns|unshare)\b", set()),  # kernel.py's load ctypes first
    ],
)
def test_doors(pattern, doors):
    assert users_of(pattern) == doors


def test_cgroup_does_not_know_pycontrol():
    for path in ROOT.glob("cgroup/*.py"):
        assert "pycontrol" not in path.read_text()


def test_only_step_c_asks_spank_for_items():
    for path in ROOT.glob("spank_plugin/*.c"):
        assert ("spank_get_item(" in path.read_text()) == (path.name == "step.c")


def test_the_bridge_says_the_same_on_both_sides():
    from pycontrol import bridge

    header = (ROOT / "spank_plugin/bridge.h").read_text()
    assert f"SOCKER_ABI {bridge.ABI} " in header
    assert f"SOCKER_STEP_START = {bridge.STEP_START}" in header
    assert f"SOCKER_STEP_END = {bridge.STEP_END}" in header
    assert f"SOCKER_JOB_EPILOG = {bridge.JOB_EPILOG}" in header


def test_modules_stay_small():
    for path in [*SOURCES, *ROOT.glob("spank_plugin/*.c")]:
        limit = 450 if path.suffix == ".c" else 250
        assert len(path.read_text().splitlines()) <= limit, path.name


def test_lint():
    result = subprocess.run(
        ["ruff", "check", "."], cwd=ROOT, capture_output=True, text=True, env={"PATH": _path()}
    )
    assert result.returncode == 0, result.stdout


def test_format():
    result = subprocess.run(
        ["ruff", "format", "--check", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": _path()},
    )
    assert result.returncode == 0, result.stdout


def _path() -> str:
    import os
    import sys

    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"
