"""socker images and ps: what the engine lists, and what users are shown without it."""

import io
import json
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from pycontrol import authorised, cli, cli_shows, engine, present, shown, state, tables
from pycontrol.config import Config
from pycontrol.errors import NodeError
from pycontrol.image import Image
from pycontrol.origin import digest_of
from pycontrol.state import JobState, Record

IMAGES = [
    {"Id": "sha256:" + "a" * 64, "RepoTags": ["r:5/x:1", "r:5/x:2"],
     "RepoDigests": ["r:5/x@sha256:" + "d" * 64], "Size": 1_980_000, "Created": 1000},
    {"Id": "sha256:" + "b" * 64, "RepoTags": ["<none>:<none>"],
     "RepoDigests": ["<none>@<none>"], "Size": 5, "Created": 1000},
    {"Id": "sha256:" + "c" * 64, "RepoTags": None, "RepoDigests": None, "Size": 5, "Created": 9},
    {"Id": "sha256:" + "e" * 64, "RepoTags": None, "RepoDigests": ["y@sha256:f"], "Size": 5,
     "Created": 9},
]  # fmt: skip
CONTAINERS = [
    {"Id": "c9", "Created": 100,
     "Labels": {"socker.job": "9", "socker.node": "n1", "socker.user": "0", "socker.image": "a"}},
    {"Id": "c8", "Created": 100, "Labels": {"socker.job": "8"}},
]  # fmt: skip
SQUEUE = {"--format=%i %A": "7 7\n8 8\n", "--format=%i": "7.0\n7.5\n7.extern\n8.batch\n"}
DIGEST = "sha256:" + "d" * 64
NOBODY = pwd.getpwnam("nobody").pw_uid  # some user that every node knows
D1, D2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def columns(text):
    return [line.split() for line in text.splitlines()]


# --- root's view ------------------------------------------------------------------


def test_images():
    found = present.images_of(IMAGES)
    assert [i.image for i in found] == ["r:5/x:1", "r:5/x:2", "-", "-", "-"]
    assert [i.digest[:10] for i in found] == ["sha256:ddd", "sha256:ddd", "-", "-", "sha256:f"]
    [row] = tables.image_rows(found[:1], now=1000 + 3 * 3600)
    assert row == ("r:5/x:1", "sha256:" + "d" * 12, "a" * 12, "1.98 MB", "3 h")


@pytest.mark.parametrize(
    ("name", "digest"),
    [("r:5/x:1", D1), ("x:1", D2), ("docker.io/library/x", D2), ("r:5/y:1", ""), ("-", "")],
)
def test_the_digest_is_that_of_the_images_own_registry(name, digest):
    assert digest_of(name, [f"r:5/x@{D1}", f"x@{D2}", "odd@1", "<none>@<none>"]) == digest


def test_containers(tmp_path):
    folder = tmp_path / "n1/9"
    folder.mkdir(parents=True)
    (folder / "k.json").write_text('{"container": "c9"}')
    (folder / "k.steps").write_text("0\n3\nbatch\n3\n")
    running = {9: {"3", "batch", "extern"}}
    found = present.containers_of(CONTAINERS, running, tmp_path)
    assert [(c.job, c.steps, c.image, c.node, c.user) for c in found] == [
        (8, (), "-", "-", "-"),
        (9, ("3", "batch"), "a", "n1", "root"),
    ]
    assert [c.steps for c in present.containers_of(CONTAINERS, None, tmp_path)] == [None, None]
    rows = tables.container_rows(found, now=130)
    assert rows[0] == ("8", "-", "-", "-", "-", "30 s")
    assert rows[1][1] == "3,batch"


def test_steps_of_arrays_and_het_jobs_are_those_of_their_job():
    numbers = present.job_numbers("7 7\n12_3 15\n20+1 21\n")
    assert numbers == {"7": 7, "12_3": 15, "20+1": 21}
    steps = "7.batch\n7.0\n12_3.0\n12_4.0\n20+1.extern\n"
    assert present.running_steps(steps, numbers) == {7: {"batch", "0"}, 15: {"0"}, 21: {"extern"}}


# --- what hooks write down for users ----------------------------------------------


IMAGE = Image("sha256:" + "a" * 64, (), "", digests=(f"x@{DIGEST}",), size=5_000_000)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A job's state on a node, which the test's own user may write."""
    monkeypatch.setattr(state.trusted, "problem_with", lambda status: None)
    job = JobState(tmp_path, "n1", 7)
    job.make([])
    facts = SimpleNamespace(
        state_root=tmp_path, node="n1", job_id=7, uid=os.getuid(), step_id=0xFFFFFFFB
    )
    return SimpleNamespace(job=job, facts=facts, root=tmp_path)


def join(node, name, step, made=True):
    spec = SimpleNamespace(key=name)
    record = Record("c", "n", 1, 2, IMAGE, name)
    if made:
        node.job.save(name, record)
    node.facts.step_id = step
    shown.joined(spec, node.facts, record, made)


def test_a_users_containers(node):
    join(node, "x:1", 0xFFFFFFFB)
    join(node, "x:1", 0, made=False)
    join(node, "y:1", 1)
    running = {7: {"batch", "0", "1"}, 9: {"0"}}
    found = present.own_containers(running, os.getuid(), node.root)
    assert {(c.job, c.image, c.steps, c.node) for c in found} == {
        (7, "x:1", ("batch", "0"), "n1"),
        (7, "y:1", ("1",), "n1"),
    }
    node.job.forget("y:1")
    shown.containers(node.job, os.getuid())
    assert [c.image for c in present.own_containers(running, 0, node.root)] == ["x:1"]
    assert present.own_containers({8: {"0"}}, 0, node.root) == []
    assert present.own_containers(running, 0, node.root / "none") == []


def test_a_users_images(node, monkeypatch):
    now = [100]
    monkeypatch.setattr(shown.time, "time", lambda: now[0])
    for now[0], name in enumerate(["x:1", "y:1", "x:1"], start=100):
        shown.used(node.root, os.getuid(), name, IMAGE)
    first, second = present.own_images(os.getuid(), node.root)
    assert (first.image, first.digest, first.size, first.used) == ("x:1", DIGEST, 5_000_000, 102)
    assert (second.image, second.digest, second.used) == ("y:1", "-", 101)
    assert present.own_images(os.getuid() + 1, node.root) == []


def test_the_number_of_images_is_bounded(node, monkeypatch):
    monkeypatch.setattr(shown, "MOST_IMAGES", 2)
    for name in "abc":
        shown.used(node.root, os.getuid(), name, IMAGE)
    assert [i.image for i in present.own_images(os.getuid(), node.root)] == ["b", "c"]


def test_others_can_read_neither(node):
    join(node, "x:1", 0)
    modes = {path.name: path.stat().st_mode & 0o777 for path in node.root.glob("*/*")}
    modes |= {path.name: path.stat().st_mode & 0o777 for path in node.root.glob("*/*/*")}
    uid = os.getuid()
    assert modes[f"{uid}.shown"] == modes["shown"] == 0o400
    assert modes[f"{uid}.json"] == modes[f"{uid}.lock"] == 0o600
    assert (node.root / "images").stat().st_mode & 0o777 == 0o711


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_they_belong_to_the_user_and_his_words_are_not_believed(node):
    node.facts.uid = 1001
    join(node, "x:1", 0)
    path = node.root / "images/1001.shown"
    assert path.stat().st_uid == (node.job.folder / "shown").stat().st_uid == 1001
    path.write_text('[{"image": "forged"}]')
    shown.used(node.root, 1001, "y:1", IMAGE)
    assert [i.image for i in present.own_images(1001, node.root)] == ["x:1", "y:1"]


def test_no_failure_of_it_fails_a_step(node):
    images = node.root / "images"
    images.mkdir()
    (images / f"{os.getuid()}.json").write_text("{damaged")
    join(node, "x:1", 0)
    assert [i.image for i in present.own_images(os.getuid(), node.root)] == ["x:1"]
    (images / f"{os.getuid()}.json").write_text('{"of": "another form"}')
    join(node, "x:1", 0)
    node.facts.state_root = Path("/proc/none")
    join(node, "x:1", 0)


def test_what_is_damaged_is_not_shown(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.shown").write_text("{")
    assert present.own_images(1, tmp_path) == []


@pytest.mark.parametrize(
    ("size", "text"), [(5, "5 B"), (1_500, "1.5 kB"), (167_000_000, "167 MB"), (2e9, "2 GB")]
)
def test_sizes(size, text):
    assert tables.size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e5, "2 d")]
)
def test_ages(seconds, text):
    assert tables.age_text(0, now=seconds) == text


def test_the_labels_are_the_engines():
    for name in ("JOB", "NODE", "USER", "IMAGE"):
        assert getattr(present, name) == getattr(engine, name)


class FakeEngine:
    def images(self):
        return IMAGES

    def containers(self, labels):
        assert labels == ["socker.job"]
        return CONTAINERS


@pytest.fixture
def root(monkeypatch, tmp_path):
    import contextlib

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(present, "STATE", tmp_path)
    monkeypatch.setattr(cli_shows, "engine", lambda: contextlib.nullcontext(FakeEngine()))


@pytest.fixture
def user(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    for function in (present.own_images, present.own_containers):
        monkeypatch.setattr(function, "__defaults__", (tmp_path,))
    return tmp_path


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setattr(cli_shows.cli_group, "settings", Config)


def invoke(*words):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    return result


def test_images_for_root(root):
    assert "r:5/x:1" in invoke("images").stdout
    answer = json.loads(invoke("images", "--json").stdout)
    assert answer["allowed"] == "all"
    assert answer["present"][0] == {
        "image": "r:5/x:1", "digest": DIGEST, "image_id": "sha256:" + "a" * 64,
        "size": 1_980_000, "created": 1000,
    }  # fmt: skip


def entry(name, **more):
    return {"image": name, "digest": "-", "image_id": "sha256:" + "1" * 64, "size": 1000, **more}


def test_images_for_users(user):
    assert columns(invoke("images").stdout) == [["IMAGE", "DIGEST", "ID", "SIZE", "USED"]]
    (user / "images").mkdir()
    (user / f"images/{NOBODY}.shown").write_text(json.dumps([entry("mine", used=5)]))
    result = invoke("images")
    assert columns(result.stdout)[1][:5] == ["mine", "-", "1" * 12, "1", "kB"]
    assert "every image is allowed here" in result.stderr
    assert "root alone can see" in result.stderr
    answer = json.loads(invoke("images", "--json").stdout)
    assert answer["present"] == [entry("mine", created=None, used=5)]


def test_a_list_of_images(user, monkeypatch):
    monkeypatch.setattr(authorised, "names", lambda settings: ("a:1", "r:5/x:1"))
    (user / "images").mkdir()
    (user / f"images/{NOBODY}.shown").write_text(json.dumps([entry("not:allowed", used=5)]))
    (user / "images/listed.shown").write_text(json.dumps([entry("a:1", created=5)]))
    result = invoke("images")
    assert [line[0] for line in columns(result.stdout)] == ["IMAGE", "a:1", "r:5/x:1"]
    assert columns(result.stdout)[2][1:] == ["-"] * 4
    assert result.stderr == ""
    answer = json.loads(invoke("images", "--json").stdout)
    assert answer["allowed"] == ["a:1", "r:5/x:1"]
    assert [image["image"] for image in answer["present"]] == ["a:1"]


def test_root_tells_users_what_of_the_list_is_here(root, monkeypatch, tmp_path):
    monkeypatch.setattr(authorised, "names", lambda settings: ("a:1", "r:5/x:1"))
    result = invoke("images")
    assert [line[0] for line in columns(result.stdout)][-1] == "a:1"
    assert [i.image for i in present.own_images(1001, tmp_path)] == ["r:5/x:1"]


def test_ps_for_root_does_without_slurm(root, monkeypatch):
    def no_answer(*argv):
        raise NodeError("squeue: Slurm does not answer (x): try again")

    monkeypatch.setattr(cli_shows.askslurm, "ask", no_answer)
    result = invoke("ps")
    assert [line[1] for line in columns(result.stdout)] == ["STEPS", "?", "?"]
    assert "steps are not shown" in result.stderr
    assert json.loads(invoke("ps", "--json").stdout)[1]["steps"] is None


def test_ps_for_users(user, monkeypatch):
    folder = user / "n1/7"
    folder.mkdir(parents=True)
    entries = [{"key": "k", "image": "x:1", "since": 5}, {"key": "l", "image": "y:1", "since": 5}]
    (folder / "shown").write_text(json.dumps(entries))
    (folder / "k.steps").write_text("0\n4\n5\n")
    asked = []

    def squeue(*argv):
        asked.append(argv)
        return SQUEUE[argv[-1]]

    monkeypatch.setattr(cli_shows.askslurm, "ask", squeue)
    result = invoke("ps", "-v")
    assert [line[:4] for line in columns(result.stdout)[1:]] == [
        ["7", "0,5", "x:1", "n1"],
        ["7", "-", "y:1", "n1"],
    ]
    assert all("--me" in argv for argv in asked)
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [["socker:", "squeue"]] * 2
    monkeypatch.setattr(cli_shows.askslurm, "ask", lambda *argv: "")
    assert "no container of yours is on" in invoke("ps").stderr


# --- on the screen ----------------------------------------------------------------


HEADS, ROWS = ("IMAGE", "ID"), [("r/" + "x" * 90, "1"), ("[bold]a\x1b[31m", "2")]


def test_plain_columns(capsys):
    tables.show(HEADS, ROWS, drawn=False)
    out = capsys.readouterr().out
    assert out.splitlines()[1] == "r/" + "x" * 90 + "  1"
    assert columns(out)[2] == ["[bold]a?[31m", "2"]
    assert "\x1b" not in out


@pytest.mark.parametrize("colour", [True, False])
def test_a_table_on_a_terminal(monkeypatch, colour):
    """Nothing is lost on a narrow one; NO_COLOR leaves out colours."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    tables.show(HEADS, ROWS, drawn=True)
    text = screen.getvalue()
    assert text.count("x") == 90
    assert "[bold]a?[31m" in text
    assert not any(code in text for code in ("\x1b[31m", "\x1b[32m", "\x1b[36m"))
