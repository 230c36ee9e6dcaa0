"""Records, locks and the bridge's records on the wire."""

import errno
import json
import os
import socket
import time
from pathlib import Path

import pytest

from pycontrol import bridge, errors, firstprocess, locks, patience, state
from pycontrol.bridge import Channel
from pycontrol.errors import JobEnded, NodeError, printable
from pycontrol.image import Image, Reference
from pycontrol.pull import Progress
from pycontrol.state import JobState, Record

IMAGE = Image("sha256:1", ("A=b",), "/w")
REFERENCE = Reference("a:1")


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(state.trusted, "problem_with", lambda status: None)
    job = JobState(tmp_path, "n1", 7)
    job.make([Path("/g/job_7"), Path("/h/job_7")])
    return job


def test_record_survives(job):
    record = Record("abc", "n", 12, 34, IMAGE)
    job.save("a:1", record)
    assert job.load("a:1") == record
    assert job.load("other:1") is None


def test_damaged_record(job):
    job.save("a:1", Record("abc", "n", 12, 34, IMAGE))
    path = next(job.folder.glob("*.json"))
    path.write_text("{")
    with pytest.raises(NodeError, match="damaged"):
        job.load("a:1")


def test_what_a_killed_hook_had_begun(job):
    assert job.groups() == [Path("/g/job_7"), Path("/h/job_7")]
    assert job.noted_containers() == 0
    job.note_container("a")
    job.note_container("b")
    assert (job.noted_containers(), job.recorded_containers()) == (2, 0)


def test_the_second_step_finds_the_folder_made(job):
    job.note_container("a")
    job.make([Path("/other")])
    assert job.groups()[0] == Path("/g/job_7")
    assert job.noted_containers() == 1
    assert [p.name for p in job.folder.parent.iterdir()] == ["7"]


def test_users_may_pass_but_not_list(job):
    assert job.folder.stat().st_mode & 0o777 == 0o711


def test_remove_is_repeatable(job):
    job.remove()
    job.remove()
    assert not job.folder.exists()


def test_own_process_is_alive_and_another_start_is_not():
    from cgroup import place

    started = place.start_time(os.getpid())
    assert firstprocess.is_alive(Record("", "n", os.getpid(), started, IMAGE))
    assert not firstprocess.is_alive(Record("", "n", os.getpid(), started + 1, IMAGE))


def test_a_process_with_an_evil_name(tmp_path):
    """The name in /proc/PID/stat may hold spaces and brackets."""
    from cgroup import files, place

    (tmp_path / "5").mkdir()
    fields = " ".join(["S", *map(str, range(4, 40))])
    (tmp_path / "5/stat").write_text(f"5 (a) S 1 (b) {fields}")
    original = files.PROC
    files.read_proc.__defaults__ = (tmp_path,)
    try:
        assert place.start_time(5) == 22
    finally:
        files.read_proc.__defaults__ = (original,)


def test_lock_waits_and_gives_up(tmp_path):
    path = tmp_path / "lock"
    waited = []
    with locks.locked(path, lambda: None, 1):
        started = time.monotonic()
        with pytest.raises(NodeError, match="was not free"):
            with locks.locked(path, lambda: waited.append(1), 0.2):
                pass
        assert 0.2 <= time.monotonic() - started < 5
    assert waited
    with locks.locked(path, lambda: None, 1):
        pass


def test_lock_does_not_follow_links(tmp_path):
    (tmp_path / "lock").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="symbolic"):
        with locks.locked(tmp_path / "lock", lambda: None, 1):
            pass


def test_records_on_the_wire():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel([ours])
    channel.mount("r", "/a", "/b")
    channel.set_variable("A", "b\udcff")
    channel.tell("two\nlines\x1b[31m")
    channel.succeed()
    assert [theirs.recv(100) for _ in range(4)] == [
        b"Mr\0/a\0/b",
        b"VA=b\xff",
        b"Ttwo lines?[31m",
        b"K3",
    ]


def test_each_task_gets_each_record_and_ended_ones_are_left_out():
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    channel = Channel([ours for ours, _ in pairs])
    pairs[1][1].close()
    channel.tell("a")
    channel.succeed()
    for task in (pairs[0][1], pairs[2][1]):
        assert [task.recv(100) for _ in range(2)] == [b"Ta", b"K1"]
        task.close()
    with pytest.raises(JobEnded):
        channel.tell("b")


def test_a_task_that_does_not_read_is_left_out(monkeypatch):
    monkeypatch.setattr(bridge, "SEND_TIMEOUT", 0.1)
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    channel = Channel([ours for ours, _ in pairs])
    for number in range(2000):
        channel.tell("x" * 100)
        assert pairs[1][1].recv(200) == b"T" + b"x" * 100, number


def test_names_in_any_language(tmp_path):
    state.write(tmp_path / "passwd", "jos\xe9 \udcff\n", mode=0o644)
    assert (tmp_path / "passwd").read_bytes() == "jos\xe9 ".encode() + b"\xff\n"


def test_pull_locks_do_not_grow_with_names(tmp_path):
    locks = {state.pull_lock(tmp_path, f"a:{i}") for i in range(5000)}
    assert len(locks) <= 256


def test_texts_are_bounded():
    long = printable("x" * 1_000_000 + ": the fix")
    assert len(long) < errors.LONGEST_TEXT
    assert long.endswith("x: the fix")


def test_printable():
    assert printable("a\tb\x07c\u202ed") == "a?b?c?d"


def test_progress_adds_up_layers():
    progress = Progress()
    for event in (
        {"status": "Pulling from debian", "id": "bookworm"},
        {"status": "Pulling fs layer", "id": "l1"},
        {"status": "Already exists", "id": "l0"},
        {"status": "Downloading", "id": "l1", "progressDetail": {"current": 3e6, "total": 9e6}},
        {"status": "Downloading", "id": "l1", "progressDetail": {"current": 6e6, "total": 9e6}},
    ):
        progress.add(event)
    assert progress.amount() == ("pulling", 6e6, 9e6)
    assert progress.note() == "1 of 2 layers complete"
    progress.add({"status": "Pull complete", "id": "l1"})
    assert progress.amount() == ("unpacking", 9e6, 9e6)
    assert progress.note() == "2 of 2 layers complete"


def test_progress_of_layers_of_which_little_is_known():
    progress = Progress()
    for event in (
        {"status": "Pulling fs layer", "id": "l1"},
        {"status": "Waiting", "id": "l2"},
        {"status": "Downloading", "id": "l1", "progressDetail": {"current": 9e6, "total": 9e6}},
        {"status": "Verifying Checksum", "id": "l1"},
        {"status": "Extracting", "id": "l1", "progressDetail": {"current": 1e6, "total": 9e6}},
    ):
        progress.add(event)
    assert progress.amount() == ("pulling", 9e6, 9e6)
    assert progress.note() == "0 of 2 layers complete, the size of 1 not known yet"
    progress.add({"status": "Download complete", "id": "l2"})
    assert progress.amount() == ("unpacking", 1e6, 9e6)
    assert progress.note() == "0 of 2 layers complete"


def test_what_goes_on_in_words_or_for_a_bar():
    class Told:
        bars = False

        def __init__(self):
            self.lines = []

        def tell(self, text):
            self.lines.append(text)

        report = Channel.report

    words, data = Told(), Told()
    data.bars = True
    for told in (words, data):
        teller = patience.Teller(told, 5)
        teller._next = 0
        teller.tell("pulling", "a:1", "1 of 2 layers complete", 3_000_000, 9_000_000)
        teller.tell("pulling", "a:1", "too early for another")
    assert words.lines == ["pulling a:1: 3 of 9 MB, 1 of 2 layers complete"]
    assert [json.loads(line) for line in data.lines] == [
        {"doing": "pulling", "note": "1 of 2 layers complete", "done": 3e6, "total": 9e6}
    ]


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [(0, 0, ""), (3_000_000, 0, "3 MB"), (0, 9_000_000, "0 of 9 MB")],
)
def test_counts(done, total, text):
    assert patience.counts(done, total) == text


def full(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_no_draft_and_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fchown", full)
    with pytest.raises(OSError, match=r"No space left on device.*file"):
        state.write(tmp_path / "file", "text", mode=0o600)
    with pytest.raises(OSError, match="groups"):
        JobState(tmp_path, "n1", 7).make([])
    assert list((tmp_path / "n1").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["n1"]


def test_a_disk_that_is_full_is_the_nodes_fault():
    with pytest.raises(NodeError) as told, errors.disk_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "/run/x")
    assert str(told.value) == (
        "/run/x: No space left on device: the admin must see to this node's disk"
    )
    with pytest.raises(FileNotFoundError), errors.disk_errors():
        raise FileNotFoundError(errno.ENOENT, "a bug", "/x")


def test_a_lock_of_a_job_does_not_bring_its_folder_back(tmp_path):
    with pytest.raises(JobEnded), locks.locked(tmp_path / "7/a.lock", lambda: None, 1, in_job=True):
        pass
    assert not (tmp_path / "7").exists()
