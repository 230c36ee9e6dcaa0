"""The digest in a job's comment: added to what is there, with a stand-in for Slurm's commands."""

import pytest

from pycontrol import jobcomment
from pycontrol.errors import NodeError

NAME = "r.org/a:1@sha256:" + "a" * 64


@pytest.fixture
def slurm(tmp_path):
    """slurm(text): commands that show this comment; the file has what scontrol was called with."""

    def make(shown: str):
        (tmp_path / "shown").write_text(shown)
        (tmp_path / "squeue").write_text(f"#!/bin/sh\ncat {tmp_path}/shown\n")
        (tmp_path / "scontrol").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/called\n')
        for name in ("squeue", "scontrol"):
            (tmp_path / name).chmod(0o755)
        return tmp_path / "called"

    return make


def added(slurm, tmp_path, shown: str, field: str = "comment") -> str | None:
    called = slurm(shown)
    jobcomment.add(str(tmp_path), 7, field, NAME)
    return called.read_text() if called.exists() else None


@pytest.mark.parametrize("shown", ["(null)", "", "   \n"])
def test_where_there_is_none(slurm, tmp_path, shown):
    assert added(slurm, tmp_path, shown) == f"update\njobid=7\ncomment={NAME}\n"


def test_behind_what_is_there(slurm, tmp_path):
    text = added(slurm, tmp_path, "my own; $(word)   ", "admin_comment")
    assert text == f"update\njobid=7\nadmincomment=my own; $(word) {NAME}\n"


def test_once(slurm, tmp_path):
    assert added(slurm, tmp_path, f"x {NAME} y") is None


def test_one_that_would_get_too_long_stays(slurm, tmp_path):
    with pytest.raises(NodeError, match="more than 1024 characters"):
        added(slurm, tmp_path, "x" * 1000)


def test_slurm_does_not_answer(slurm, tmp_path):
    slurm("")
    (tmp_path / "squeue").write_text("#!/bin/sh\necho no >&2; exit 1\n")
    with pytest.raises(NodeError, match=r"Slurm does not answer \(no\)"):
        jobcomment.add(str(tmp_path), 7, "comment", NAME)
