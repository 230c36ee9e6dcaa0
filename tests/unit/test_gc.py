"""What says that a job lives, what bears our mark, and what becomes of it."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from cgroup import stepd
from pycontrol import gc, leftovers, living, locks, slurmjob, state
from pycontrol.gc import GOES, STAYS
from pycontrol.leftovers import Thing
from pycontrol.living import Verdict
from pycontrol.slurmjob import Told

OVER, RUNS, SILENT = Told(True, "over"), Told(False, "runs"), Told(None, "no answer")


@pytest.mark.parametrize(
    ("title", "job"),
    [
        ("slurmstepd: [12.0]\0", 12),
        ("slurmstepd: [12.extern]\0\0\0", 12),
        ("slurmstepd: [12.0+1 stepmgr]", 12),
        ("slurmstepd: [7:namespace]", 7),
        ("slurmstepd: [s029M7ABCDE.0]", None),
    ],
)
def test_titles(title, job):
    assert stepd.job_of(title) == job


@pytest.mark.parametrize("title", ["/usr/sbin/slurmstepd\0infinity", "slurmstepd", ""])
def test_titles_of_no_step(title):
    with pytest.raises(LookupError):
        stepd.job_of(title)


@pytest.mark.parametrize(
    ("stepds", "groups_gone", "told", "lives"),
    [
        # a slurmstepd outweighs every word
        ({12: 5}, True, OVER, True),
        ({13: 5}, None, OVER, False),
        ({}, None, OVER, False),
        ({}, False, OVER, False),
        # slurmctld says it lives: also COMPLETING, whose epilog is to come
        ({}, True, RUNS, True),
        ({}, None, RUNS, True),
        # slurmctld is away: only cgroups that are gone are a proof
        ({}, True, SILENT, False),
        ({}, False, SILENT, None),
        ({}, None, SILENT, None),
        ({}, None, None, None),
        # a slurmstepd of nobody knows which job
        ({None: 5}, None, OVER, None),
        ({None: 5}, False, OVER, None),
        ({None: 5}, True, OVER, False),
    ],
)
def test_who_lives(stepds, groups_gone, told, lives):
    assert living.judge(12, stepds, groups_gone, told).lives is lives


@pytest.mark.parametrize(
    ("printed", "over"),
    [
        ("77|77|RUNNING\n", False),
        ("77|77|COMPLETING\n", False),
        ("77|77|PENDING\n", False),
        ("77|77|SOMETHING_NEW\n", False),
        ("77|77|COMPLETED\n", True),
        ("77|77|NODE_FAIL\n", True),
        ("", True),  # Slurm has it, but not on this node
        ("77|77_1|COMPLETED\n78|77_2|RUNNING\n", True),  # another of the array
        ("77|77+0|COMPLETED\n78|77+1|RUNNING\n", False),  # another component
        ("77|77|\n", False),
        ("slurm_load_jobs error\n", None),
    ],
)
def test_states(printed, over):
    assert slurmjob.read_states(printed, 77).over is over


class Fixed:
    def __init__(self, lives):
        self.lives = lives

    def verdict(self, node, job):
        return Verdict(self.lives, "why")


@pytest.mark.parametrize(
    ("job", "doubt", "lives", "what"),
    [
        (12, "", True, STAYS),
        (12, "", None, STAYS),
        (12, "", False, GOES),
        (12, "odd", False, STAYS),
        (None, "", False, GOES),
        (None, "odd", False, STAYS),
    ],
)
def test_rule(job, doubt, lives, what):
    ruling = gc.rule(Thing("state", "/x", "n1", job, doubt), Fixed(lives))
    assert ruling.what == what
    assert ruling.why


# --- what is found -----------------------------------------------------------------


def found(root: Path, writable: Path | None = None) -> dict[str, Thing]:
    things = leftovers.files(root, writable or root / "none")
    return {Path(thing.name).name: thing for thing in things}


def test_states_and_notes(tmp_path):
    for name in ("n1/12", "n2/13", "n1/notes", "pulls", "native", "images"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("native/a.b.14", "native/odd", "n1/15", "pulls/0a.lock"):
        (tmp_path / name).touch()
    (tmp_path / "n1/16").symlink_to("/etc")
    things = found(tmp_path)
    assert {name: (t.kind, t.node, t.job) for name, t in things.items()} == {
        "12": ("state", "n1", 12),
        "13": ("state", "n2", 13),
        "a.b.14": ("note", "a.b", 14),
    }
    assert not any(thing.doubt for thing in things.values())


def test_roots_where_others_may_write_stay(tmp_path):
    (tmp_path / "w/n1/12").mkdir(parents=True)
    (tmp_path / "w/n1").chmod(0o777)
    doubt = found(tmp_path / "none", tmp_path / "w")["12"].doubt
    assert doubt == f"others than root may write to {tmp_path}/w/n1: chown root and chmod go-w it"
    (tmp_path / "w/n1").chmod(0o755)
    thing = found(tmp_path / "none", tmp_path / "w")["12"]
    assert (thing.kind, thing.doubt) == ("writable root", "")


def test_drafts_and_locks(tmp_path):
    for name in ("n1/.new-abc", "files/1-a.lock", "files/1-b.lock", "files/young.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "files/a.json.12.new").touch()
    (tmp_path / "files/a.json").touch()
    long_ago = time.time() - 2 * leftovers.OLD
    for name in ("n1/.new-abc", "files/1-a.lock", "files/1-b.lock", "files/a.json.12.new"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    with open(tmp_path / "files/1-a.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        doubts = {name: thing.doubt for name, thing in found(tmp_path).items()}
    assert doubts == {
        ".new-abc": "",
        "a.json.12.new": "",
        "1-a.lock": "a process holds it",
        "1-b.lock": "",
        "young.lock": "it is 0 s old",
    }


def test_labels():
    listed = [
        {"Id": "a", "Labels": {"socker.job": "12", "socker.node": "n1"}},
        {"Id": "b", "Labels": {"socker.job": "12"}},
        {"Id": "c", "Labels": {"socker.job": "-1", "socker.node": "n1"}},
    ]
    things = list(leftovers.containers(listed))
    assert [(t.job, bool(t.doubt)) for t in things] == [(12, False), (None, True), (None, True)]


def test_mounts(tmp_path):
    lines = [
        f"{number} 1 0:5 / {point} rw - tmpfs none rw"
        for number, point in enumerate(
            ["/", "/w", "/w/n1", "/w/n1/12/a", "/w/n1/12/a/b", "/w/n1/x/a", "/other/n1/12/a"]
        )
    ]
    things = list(leftovers.mounts("\n".join(lines), [Path("/w"), Path("/run/socker")]))
    assert [(t.name, t.job) for t in things] == [("/w/n1/12/a/b", 12), ("/w/n1/12/a", 12)]


@pytest.mark.parametrize("character", ["\r", "\x0b", "\x1c", "\x1f", "\x85", "\u2028", "\xa0"])
def test_mount_points_of_users_are_no_others(character):
    """The kernel escapes blanks and line feeds in them, and nothing else."""
    point = character.join(["/home/bob/x", "1", "1", "0:5", "/", "/w/n1/12/a"])
    line = f"1 1 0:5 / {point} rw - fuse.x x rw\n"
    assert list(leftovers.mounts(f"{line}{line}", [Path("/w")])) == []


# --- locks that are removed ------------------------------------------------------------


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path):
    """gc removes a lock while it holds it; who waited must not hold one that nobody sees."""
    path = tmp_path / "x.lock"
    path.touch()
    waited = []

    with open(path) as gc_has:
        fcntl.flock(gc_has, fcntl.LOCK_EX)

        def waiting():
            waited.append(1)
            if path.exists() and len(waited) == 1:
                path.unlink()
                fcntl.flock(gc_has, fcntl.LOCK_UN)

        with locks.locked(path, waiting, 5) as descriptor:
            assert waited
            assert os.path.sameopenfile(descriptor, os.open(path, os.O_RDONLY))


def test_groups_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(state.trusted, "problem_with", lambda status: None)
    job = state.JobState(tmp_path, "n1", 7)
    assert living.groups_gone(job) is None
    job.make([tmp_path / "a", tmp_path / "b"])
    assert living.groups_gone(job) is True
    (tmp_path / "b").mkdir()
    assert living.groups_gone(job) is False
