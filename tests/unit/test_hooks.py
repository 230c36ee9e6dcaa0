"""The story of a step, as far as it is pure."""

import subprocess
import sys
from pathlib import Path

import pytest

from pycontrol import plan, policy, request
from pycontrol.config import Config
from pycontrol.identity import Account
from pycontrol.image import Image
from pycontrol.state import Record

ROOT = Path(__file__).resolve().parents[2]
ALICE = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"),))


@pytest.mark.parametrize(
    ("asked", "cwd", "image", "expected"),
    [
        ({"container-workdir": "/w"}, "/home/alice", "/i", ["/w"]),
        ({}, "/home/alice", "/i", ["/home/alice", "/i", "/"]),
        ({}, "/home/alice", "", ["/home/alice", "/"]),
        ({}, "/data", "relative", ["/data", "/"]),
    ],
)
def test_where_a_task_starts(asked, cwd, image, expected):
    wanted = request.parse((("docker", "a"), *asked.items()), cwd)
    spec = policy.decide(wanted, ALICE, Config(), cwd=cwd, step_id=0, argv=("true",))
    record = Record("c", "n", 1, 2, Image("sha256:1", (), image))
    assert plan.workdirs(spec, record) == expected


def test_a_step_that_finds_its_container_does_not_import_the_sdk():
    """It takes 0.2 s: only where a container is made or removed."""
    program = "import sys, pycontrol.hooks; print('docker' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_hook_does_not_import_what_few_need():
    """It was most of its start (docs/developer/performance.md): each where it is used."""
    rare = ["ctypes", "dataclasses", "difflib", "http.client", "inspect", "ssl", "subprocess"]
    rare += ["tempfile", "tomllib"]
    found = loaded_by("pycontrol.hooks", "pycontrol.container")
    assert [name for name in rare if name in found] == []


def test_a_jobs_end_imports_still_less():
    """Its node is not idle before that."""
    found = loaded_by("pycontrol.bridge", "pycontrol.jobend", "pycontrol.removal")
    steps = ["hashlib", "pycontrol.hooks", "pycontrol.plan", "pycontrol.rulefile"]
    assert [name for name in steps if name in found] == []


def loaded_by(*modules: str) -> list[str]:
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", program]  # -S: no packages of the tests'
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()
