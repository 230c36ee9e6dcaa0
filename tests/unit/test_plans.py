"""What a plan that is kept says of itself (spank_plugin/recorded.c reads it)."""

import json
import struct
from pathlib import Path

import pytest

from pycontrol import audit, bridge, pytorch, reads, replay
from pycontrol.audit import Step, timestamp
from pycontrol.bridge import StepFacts, Unheard
from pycontrol.config import Config
from pycontrol.identity import Account
from pycontrol.image import Image, Reference
from pycontrol.mounts import Mount
from pycontrol.plaindata import replace
from pycontrol.policy import ContainerSpec
from pycontrol.reads import Environment
from pycontrol.shown import EXTERN
from pycontrol.state import Record

ALICE = Account("alice", 1001, 1001, "", "/home/alice", ((1001, "alice"),))
SPEC = ContainerSpec(
    key="busybox:1", image=Reference("busybox:1"), account=ALICE, mounts=(), user_mounts=(),
    workdir=None, cwd="/", own_root=False, read_only_root=True, pull="missing",
)  # fmt: skip
RECORD = Record("c0ffee", "name", 77, 1234, Image("sha256:1", (), ""), "busybox:1")


class Silent:
    """In place of a channel: what was sent, and what was logged."""

    def __init__(self):
        self.sent = [b"D30", b"Ta line", b"Nmnt", b"Mr\0/a\0/b", b"W/"]
        self.logged = []

    def log(self, text):
        self.logged.append(text)


@pytest.fixture
def facts(tmp_path):
    return StepFacts(
        job_id=7, uid=1001, node="n1", state_root=tmp_path, plugin_args=(), step_id=3,
        node_index=0, local_tasks=1, gid=1001, groups=(), cwd="/", tmp_fs="", pmix_server="",
        env=Environment([("A", "1"), ("B", "2")]), argv=("true",), options=(),
        asked=b"question", plan_file=str(tmp_path / "plan-1"),
    )  # fmt: skip


@pytest.fixture
def old_files(monkeypatch):
    """As if nothing on this machine had changed for long."""
    old = (1, 2, 3, 4, 5)
    monkeypatch.setattr(reads, "identity", lambda status: old)
    monkeypatch.setattr(reads, "policy_files", {"/etc/socker/socker.toml": old})


def kept(facts, spec=SPEC, settings=None, channel=None) -> Path:
    channel = channel or Silent()
    step = Step(facts, channel, spec=spec, record=RECORD)
    replay.Recorder(facts, channel).keep(step, settings or Config())
    return Path(facts.plan_file)


def entries(path: Path) -> list[tuple[str, bytes]]:
    data, found = path.read_bytes(), []
    while data:
        (size,) = struct.unpack("=I", data[1:5])
        assert data[5 + size] == 0
        found.append((chr(data[0]), data[5 : 5 + size]))
        data = data[6 + size :]
    return found


def test_a_plan_says_what_it_depends_on(facts, old_files):
    assert facts.env.get("A") == "1" and "C" not in facts.env
    found = entries(kept(facts))
    assert found[0] == ("B", str(bridge.ABI).encode()) and found[1] == ("Q", b"question")
    assert ("E", b"A=1") in found and ("U", b"C") in found
    assert not any(b"B=2" in payload for _, payload in found)
    assert ("P", b"77 1234") in found
    files = [payload.split(b"\0") for kind, payload in found if kind == "F"]
    assert [b"1 2 3 4 5", b"/etc/socker/socker.toml"] in files
    names = {path.decode() for _, path in files}
    assert {"/etc/passwd", "/etc/group", replay.__file__} <= names
    assert found[-1] == ("K", str(len(found) - 1).encode())
    assert (Path(facts.plan_file).parent / "steps").is_dir()  # also where no step has run


def test_the_number_of_tasks_where_somebody_counts_them(facts, old_files, monkeypatch):
    monkeypatch.setattr(reads, "tasks_matter", False)
    assert ("I", b"1") not in entries(kept(facts))
    pytorch.defaults(["PYTORCH_VERSION=2"], facts)
    assert ("I", b"1") in entries(kept(facts))
    assert not kept(replace(facts, step_id=EXTERN, plan_file=f"{facts.plan_file}0")).exists()


def test_only_the_plans_own_records_are_kept(facts, old_files):
    records = [payload for kind, payload in entries(kept(facts)) if kind in "NR"]
    assert records == [b"Nmnt", b"Mr\0/a\0/b", b"W/"]


@pytest.mark.parametrize(
    "change",
    [
        {"own_root": True},
        {"env_file": "/x"},
        {"unshare": ("net",)},
        {"slurm": True},
        {"entrypoint": True},
        {"entrypoint_log": True},
        {"mounts": (Mount("", "/tmp", kind="tmpfs"),)},
    ],
)
def test_what_is_for_one_step_alone_makes_no_plan(facts, old_files, change):
    assert not kept(facts, replace(SPEC, **change)).exists()


def test_no_plan_where_everything_was_read(facts, old_files):
    dict(facts.env)
    assert not kept(facts).exists()


def test_no_plan_of_files_that_have_just_changed(facts, tmp_path, monkeypatch):
    new = tmp_path / "socker.toml"
    new.touch()
    monkeypatch.setattr(reads, "policy_files", {str(new): reads.identity(new.stat())})
    assert not kept(facts).exists()


def test_no_plan_where_the_site_wants_none(facts, old_files):
    assert not kept(facts, settings=Config(plan_time=0)).exists()


def test_no_plan_for_those_who_watch(facts, old_files):
    assert not kept(replace(facts, options=(("verbose", "1"),))).exists()
    assert kept(replace(facts, plan_file="")) == Path("")
    assert not Path(facts.plan_file).exists()


def test_no_plan_of_a_step_that_is_told_more(facts, old_files):
    env = Environment([("SOCKER_PROGRESS", "bars")])
    assert not kept(replace(facts, env=env)).exists()
    assert ("U", b"SOCKER_PROGRESS") in entries(kept(facts))


def test_what_a_hook_tells_nobody_can_be_kept(facts, old_files):
    channel = Unheard()
    channel.tell("of the pull")
    channel.workdir("/")
    found = [payload for kind, payload in entries(kept(facts, channel=channel)) if kind == "R"]
    assert found == [b"W/"]


def test_the_first_step_is_told_that_no_plan_will_come(facts, tmp_path):
    """It waits for as long as the file is there, and locked (spank_plugin/early.c)."""
    path = tmp_path / "early/n1.7"
    path.parent.mkdir()
    path.touch()
    replay.Recorder(facts, Unheard()).give_up()
    assert not path.exists()
    replay.Recorder(facts, Unheard()).give_up()


def test_there_is_an_end_to_plans(facts, old_files, tmp_path):
    for number in range(replay.MOST):
        (tmp_path / f"plan-x{number}").touch()
    assert not kept(facts).exists()


def test_a_plan_that_cannot_be_written_fails_nothing(facts, old_files):
    channel = Silent()
    kept(replace(facts, plan_file="/nowhere/plan"), channel=channel)
    assert "is not kept" in channel.logged[0]


def test_the_template_has_marks_for_what_differs():
    text = '\\"seconds\\": "\x01'
    line = {"time": timestamp(0), "user": text, "step": 4, "seconds": 0.1}
    found = audit.template(line)
    filled = found.replace("\x01", "now").replace("\x02", "5").replace("\x03", "0.250")
    assert json.loads(filled) == {"time": "now", "user": text, "step": 5, "seconds": 0.25}
