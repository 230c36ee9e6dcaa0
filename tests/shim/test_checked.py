"""srun remembers what the check of the same options has said in the same job."""

import os
import time

import pytest

IMAGE = "container-image=busybox"
DIGEST = "sha256:" + "5" * 64
WORD = "0123456789abcdef" * 2


class Srun:
    """The stub's srun in a job, with a check that counts how often it is asked."""

    def __init__(self, stub, folder):
        self.stub, self.folder = stub, folder
        self.asked = folder / "asked"
        self.check = folder / "check"
        self.answer(f"printf 'digest={DIGEST}\\0'")
        self.env = {"HOME": str(folder), "SLURM_SOCKER_JOB": WORD, "SLURM_JOB_ID": "7"}

    def answer(self, command: str) -> None:
        self.check.write_text(f"#!/bin/sh\necho x >> {self.asked}\ncat > /dev/null\n{command}\n")
        self.check.chmod(0o755)

    def run(self, *options, status=0, **env) -> str:
        options = options or (IMAGE,)
        words = [f"python={self.check}"]
        return self.stub.run("local", *options, args=words, env=self.env | env, status=status)

    def count(self) -> int:
        return len(self.asked.read_text().split()) if self.asked.exists() else 0

    def kept(self):
        return list(self.folder.glob(".cache/socker/*.checked-*"))


@pytest.fixture
def srun(stub, tmp_path):
    return Srun(stub, tmp_path)


def test_the_same_is_asked_once(srun):
    first, later = srun.run(), srun.run()
    assert srun.count() == 1
    assert first == later and DIGEST in later
    [kept] = srun.kept()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_another_question_is_asked(srun):
    srun.run()
    srun.run(IMAGE, "container-readonly")
    srun.run(PYXIS_CONTAINER_MOUNTS="/a:/b")
    srun.run(SLURM_JOB_ID="8")
    srun.run(SLURM_SOCKER_JOB="f" * 32)
    assert srun.count() == 5


def test_the_tasks_of_an_array_are_one_job(srun):
    for job in ("7", "8"):
        srun.run(SLURM_JOB_ID=job, SLURM_ARRAY_JOB_ID="5")
    assert srun.count() == 1
    srun.run(SLURM_ARRAY_JOB_ID="")
    assert srun.count() == 2
    srun.run(SLURM_ARRAY_JOB_ID="5", SLURM_JOB_ID="")
    assert srun.count() == 3


def test_an_answer_without_a_digest_is_for_one_task(srun):
    """Of a registry that gave none: to the next it may."""
    srun.answer("true")
    for job in ("7", "8", "8"):
        srun.run(SLURM_JOB_ID=job, SLURM_ARRAY_JOB_ID="5")
    assert srun.count() == 2


def test_nothing_is_kept_outside_of_a_job(srun):
    srun.env.pop("SLURM_JOB_ID")
    srun.run()
    srun.run()
    assert srun.count() == 2 and not srun.kept()


@pytest.mark.parametrize("word", ["", "../../x", "A" * 32])
def test_words_of_a_job_that_are_none(srun, word):
    srun.run(SLURM_SOCKER_JOB=word)
    srun.run(SLURM_SOCKER_JOB=word)
    assert srun.count() == 2 or word == ""
    assert not [p for p in srun.folder.rglob("*x.checked*")]


def test_refusals_are_not_kept(srun):
    srun.answer("echo 'no such image' >&2; exit 2")
    for _ in range(2):
        assert "no such image" in srun.run(status=1)
    assert srun.count() == 2 and not srun.kept()


def test_an_answer_of_somebody_else_does_not_count(srun):
    srun.run()
    [kept] = srun.kept()
    for change in (
        lambda: os.chown(kept, 1000, -1),
        lambda: kept.chmod(0o666),
        lambda: os.utime(kept, (time.time() - 400,) * 2),
        lambda: kept.write_bytes(kept.read_bytes()[:20]),
        lambda: (kept.rename(kept.with_name("x")), kept.symlink_to("x")),
    ):
        before = srun.count()
        change()
        srun.run()
        assert srun.count() == before + 1
        assert srun.kept() == [kept]


def test_without_a_place_to_keep_it(srun):
    srun.env["HOME"] = "/nowhere/at/all"
    srun.run()
    srun.run()
    assert srun.count() == 2
