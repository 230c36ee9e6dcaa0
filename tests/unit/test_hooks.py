"""The story of a step, as far as it is pure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pycontrol import plan, policy, request
from pycontrol.config import Config
from pycontrol.identity import Account
from pycontrol.image import Image
from pycontrol.plaindata import asdict
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


JOB_END = """
import pathlib, sys, types
from pycontrol import bridge, config, removal, tomlcache

root = pathlib.Path(sys.argv[1])
tomlcache.FOLDER = root / "settings"
config.read_text = lambda path: 'audit_syslog = false\\naudit_log = ""\\n'
bridge.job_facts = lambda ffi, request: bridge.JobFacts(7, 1001, "n1", root, ())
removal.remove_all = lambda *words: print("containers")
channel = types.SimpleNamespace(log=print, ask_for_time=lambda seconds: None)
bridge._run_hook(None, types.SimpleNamespace(hook=bridge.JOB_EPILOG), channel)
print(*sys.modules)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="what it reads must be root's")
def test_a_jobs_end_loads_still_less(tmp_path):
    """Its node is not idle before that."""
    job = tmp_path / "n1/7"
    for folder in ("containers", "steps"):
        (job / folder).mkdir(parents=True)
        (job / folder / "0").write_text("{}")
    (job / "groups").write_text("")
    record = Record("c", "n", 1, 2, Image("sha256:1", (), ""))
    (job / "k.json").write_text(json.dumps(asdict(record)))
    done = running(JOB_END, str(tmp_path))
    containers, lost, modules = done.splitlines()
    assert (containers, lost[:12]) == ("containers", "audit: 7.0: ")
    steps = ["hashlib", "pycontrol.hooks", "pycontrol.plan", "pycontrol.rulefile", "shutil"]
    assert [name for name in steps if name in modules.split()] == []
    assert not job.exists()


def loaded_by(*modules: str) -> list[str]:
    return running(f"import sys, {', '.join(modules)}; print(*sys.modules)").split()


def running(program: str, *words: str) -> str:
    command = [sys.executable, "-S", "-c", program, *words]  # -S: no packages of the tests'
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
