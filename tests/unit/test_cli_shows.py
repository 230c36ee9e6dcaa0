"""socker images and ps: what the engine lists, and what users can know without it."""

import json
import os

import pytest
from click.testing import CliRunner

from pycontrol import cli, cli_shows, engine, present
from pycontrol.errors import NodeError

IMAGES = [
    {"Id": "sha256:" + "a" * 64, "RepoTags": ["r:5/x:1", "r:5/x:2"],
     "RepoDigests": ["r:5/x@sha256:" + "d" * 64], "Size": 1_980_000, "Created": 1000},
    {"Id": "sha256:" + "b" * 64, "RepoTags": ["<none>:<none>"],
     "RepoDigests": ["<none>@<none>"], "Size": 5, "Created": 1000},
    {"Id": "sha256:" + "c" * 64, "RepoTags": None, "RepoDigests": None, "Size": 5, "Created": 9},
]  # fmt: skip
CONTAINERS = [
    {"Labels": {"socker.job": "9", "socker.node": "n1", "socker.user": "0", "socker.image": "a"},
     "Created": 100},
    {"Labels": {"socker.job": "8"}, "Created": 100},
]  # fmt: skip


def test_images():
    found = present.images_of(IMAGES)
    assert [i.image for i in found] == ["r:5/x:1", "r:5/x:2", "-", "-"]
    assert [i.digest[:10] for i in found] == ["sha256:ddd", "sha256:ddd", "-", "-"]
    lines = present.image_table(found[:1], now=1000 + 3 * 3600).splitlines()
    assert lines[0].split() == ["IMAGE", "DIGEST", "ID", "SIZE", "AGE"]
    assert lines[1].split() == ["r:5/x:1", "sha256:" + "d" * 12, "a" * 12, "1.98", "MB", "3", "h"]


def test_containers():
    found = present.containers_of(CONTAINERS, {9: 2})
    assert [(c.job, c.steps, c.image, c.node, c.user) for c in found] == [
        (8, None, "-", "-", "-"),
        (9, 2, "a", "n1", "root"),
    ]
    assert present.container_table(found, now=130).splitlines()[1].split() == [
        "8", "-", "-", "-", "-", "30", "s",
    ]  # fmt: skip


def test_steps_of_arrays_and_het_jobs_count_for_their_job():
    numbers = present.job_numbers("7 7\n12_3 15\n20+1 21\n")
    assert numbers == {"7": 7, "12_3": 15, "20+1": 21}
    steps = "7.batch\n7.extern\n7.0\n12_3.0\n12_4.0\n20+1.extern\n"
    assert present.count_steps(steps, numbers) == {7: 2, 15: 1, 21: 0}


def test_what_a_user_can_know(tmp_path):
    for job in ("7", "8"):
        (tmp_path / "n1" / job).mkdir(parents=True)
        (tmp_path / "n1" / job / "groups").write_text("")
    (tmp_path / "pulls/7").mkdir(parents=True)
    (tmp_path / "pulls/7/groups").write_text("")
    found = present.own_containers({7: 3, 9: 1}, 0, tmp_path)
    assert [(c.job, c.steps, c.node, c.user) for c in found] == [(7, 3, "n1", "root")]
    assert present.own_containers({7: 3}, 0, tmp_path / "none") == []


@pytest.mark.parametrize(
    ("size", "text"), [(5, "5 B"), (1_500, "1.5 kB"), (167_000_000, "167 MB"), (2e9, "2 GB")]
)
def test_sizes(size, text):
    assert present.size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e5, "2 d")]
)
def test_ages(seconds, text):
    assert present.age_text(0, now=seconds) == text


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
def root(monkeypatch):
    import contextlib

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cli_shows, "engine", lambda: contextlib.nullcontext(FakeEngine()))


@pytest.fixture
def user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1001)


def invoke(*words):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    return result


def test_images_for_root(root):
    assert "r:5/x:1" in invoke("images").stdout
    answer = json.loads(invoke("images", "--json").stdout)
    assert answer["allowed"] == "all"
    assert answer["present"][0]["image"] == "r:5/x:1"


def test_images_for_users_say_what_is_not_known(user):
    assert "only root can ask its engine" in invoke("images").stdout
    answer = json.loads(invoke("images", "--json").stdout)
    assert answer["present"] is None
    assert "only root" in answer["note"]


def test_ps_for_root_does_without_slurm(root, monkeypatch):
    def no_answer(*options):
        raise NodeError("squeue: Slurm does not answer (x): try again")

    monkeypatch.setattr(present, "squeue", no_answer)
    result = invoke("ps")
    assert len(result.stdout.splitlines()) == 3
    assert "steps are not counted" in result.stderr
    assert json.loads(invoke("ps", "--json").stdout)[1]["steps"] is None


def test_ps_for_users(user, monkeypatch, tmp_path):
    (tmp_path / "n1/7").mkdir(parents=True)
    (tmp_path / "n1/7/groups").write_text("")
    answers = {"--format=%i %A": "7 7\n8 8\n", "--format=%i": "7.0\n8.0\n"}
    monkeypatch.setattr(present, "squeue", lambda *options: answers[options[-1]])
    folders = present._folders
    monkeypatch.setattr(present, "_folders", lambda state: folders(tmp_path))
    result = invoke("ps")
    assert [line.split()[:4] for line in result.stdout.splitlines()[1:]] == [["7", "1", "-", "n1"]]
    assert "images, only root can see" in result.stderr
