"""What srun remembers of tags for the later steps of a job."""

import os
import time

import pytest

from pycontrol import digests
from pycontrol.image import Reference
from tests import registry_server

WORD = "0123456789abcdef" * 2
IMAGE = Reference("r.org/a:1")
DIGEST = "sha256:" + "b" * 64


@pytest.fixture
def env(tmp_path):
    return {digests.JOB: WORD, "SLURM_JOB_ID": "7", "XDG_CACHE_HOME": str(tmp_path)}


@pytest.fixture
def answer(monkeypatch):
    monkeypatch.setattr(digests, "_ask", lambda reference, env: answer.says)
    answer.says = DIGEST
    return answer


def test_the_first_answer_holds_for_the_job(answer, env):
    assert digests.remembered(IMAGE, env) is None
    assert digests.resolve(IMAGE, env) == DIGEST
    answer.says = "sha256:" + "c" * 64
    assert digests.remembered(IMAGE, env) == DIGEST
    assert digests.resolve(IMAGE, env) == DIGEST, "two that ask at once"
    assert digests.remembered(Reference("r.org/a:2"), env) is None
    assert digests.remembered(IMAGE, env | {"SLURM_JOB_ID": "8"}) is None
    assert digests.remembered(IMAGE, env | {digests.JOB: "f" * 32}) is None


def test_the_tasks_of_an_array_are_one_job(answer, env):
    array = env | {"SLURM_ARRAY_JOB_ID": "5"}
    assert digests.resolve(IMAGE, array) == DIGEST
    assert digests.remembered(IMAGE, array | {"SLURM_JOB_ID": "8"}) == DIGEST
    assert digests.remembered(IMAGE, env) is None
    assert digests.remembered(IMAGE, array | {"SLURM_ARRAY_JOB_ID": "../5"}) is None
    assert digests.remembered(IMAGE, array | {"SLURM_JOB_ID": ""}) is None


@pytest.mark.parametrize("first", ["5", "6"])
def test_a_task_whose_registry_was_silent_speaks_for_itself_alone(answer, env, first):
    """Number 5 is the task with its array's number."""
    array = env | {"SLURM_ARRAY_JOB_ID": "5"}
    answer.says = ""
    assert digests.resolve(IMAGE, array | {"SLURM_JOB_ID": first}) == ""
    assert digests.remembered(IMAGE, array | {"SLURM_JOB_ID": first}) == ""
    answer.says = DIGEST
    assert digests.remembered(IMAGE, array) is None
    assert digests.resolve(IMAGE, array) == DIGEST


def test_a_registry_that_was_silent_is_not_asked_again(answer, env):
    answer.says = ""
    assert digests.resolve(IMAGE, env) == ""
    assert digests.remembered(IMAGE, env) == ""


def test_one_that_refused_is(answer, env):
    answer.says = None
    assert digests.resolve(IMAGE, env) == ""
    assert digests.remembered(IMAGE, env) is None


@pytest.mark.parametrize("changed", [{digests.JOB: ""}, {digests.JOB: "../x"},
                                     {"SLURM_JOB_ID": ""}, {"SLURM_JOB_ID": "../7"}])  # fmt: skip
def test_nothing_is_kept_outside_of_a_job(answer, env, tmp_path, changed):
    assert digests.resolve(IMAGE, env | changed) == DIGEST
    assert not list(tmp_path.iterdir())


def test_a_home_that_cannot_be_written_to_is_no_matter(answer, env):
    assert digests.resolve(IMAGE, env | {"XDG_CACHE_HOME": "/proc/nowhere"}) == DIGEST


def test_what_is_damaged_counts_for_nothing(answer, env, tmp_path):
    digests.resolve(IMAGE, env)
    (record,) = (tmp_path / "socker").iterdir()
    record.write_text("x" * 100)
    assert digests.remembered(IMAGE, env) == ""


@pytest.mark.parametrize("used", [False, True])
def test_old_ones_are_forgotten(answer, env, tmp_path, used):
    digests.resolve(IMAGE, env)
    (record,) = (tmp_path / "socker").iterdir()
    old = time.time() - digests.KEPT - 1
    os.utime(record, (old, old))
    if used:
        assert digests.remembered(IMAGE, env) == DIGEST
    digests.resolve(Reference("r.org/b:1"), env)
    assert record.exists() == used


@pytest.mark.parametrize(
    ("reference", "is_open"),
    [
        (IMAGE, True),
        (Reference(f"r.org/a@{DIGEST}"), False),
        (Reference(f"r.org/a:1@{DIGEST}"), False),
        (Reference("a:1", "engine"), False),
        (Reference("/a", "file"), False),
    ],
)
def test_what_a_name_leaves_open(reference, is_open):
    assert digests.is_open(reference) == is_open


def test_a_slow_registry_is_waited_for_a_moment(monkeypatch, capsys):
    monkeypatch.setattr(digests, "PATIENCE", 1)
    monkeypatch.setattr("pycontrol.registry.names", lambda *args: time.sleep(60))
    with registry_server.running() as server:
        assert digests._ask(Reference(f"{server.name}/a:1"), {}) == ""
    assert "no answer within 1 s): each node asks by itself" in capsys.readouterr().err
