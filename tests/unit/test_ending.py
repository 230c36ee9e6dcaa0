"""What is left for a job's end, and when nothing is."""

import struct

import pytest

from pycontrol import ending, reads, sound
from pycontrol.bridge import JobFacts
from pycontrol.config import Config
from pycontrol.errors import UserError
from pycontrol.image import Image
from pycontrol.state import JobState, Record

NOW = 1_700_000_000
RECORD = Record("0f" * 32, "name", 1, 2, Image("sha256:1", (), ""))


@pytest.fixture
def job(tmp_path, monkeypatch) -> JobState:
    old = (NOW - 60) * 10**9
    monkeypatch.setattr(reads, "policy_files", {"/etc/x": (1, 2, 3, old, old)})
    found = JobState(tmp_path, "n1", 7)
    found.make([])
    found.note_container("name")
    return found


def keep(job: JobState, **settings) -> dict[bytes, bytes]:
    """The entries by their kinds."""
    facts = JobFacts(7, 1001, "n1", job.folder.parents[1], ("python=/p", "timeout=2"))
    ending.keep(RECORD, job, facts, Config(**settings), NOW)
    data, found = (job.folder / "containers/name").read_bytes(), {}
    while data:
        size = struct.unpack("=I", data[1:5])[0]
        found[data[:1]], data = data[5 : 5 + size], data[6 + size :]
    return found


def test_the_record(job):
    found = keep(job, audit_log="/log", audit_syslog=True, engine="unix:///run/x.sock")
    assert (found[b"C"], found[b"S"]) == (b"0f" * 32, b"/run/x.sock")
    assert (found[b"O"], found[b"Y"]) == (b"/log", b"")
    assert found[b"A"] == b"python=/p\0timeout=2\0"
    assert found[b"F"].endswith(b"\0/etc/x")
    assert found[b"G"] == b"/var/lib/socker/.images/1"
    assert found[b"K"] == str(len(found) - 1).encode()


def test_an_engine_on_the_network(job):
    assert keep(job, engine="tcp://h:2375") == {}


@pytest.mark.parametrize("place", [3, 4])
def test_settings_that_have_just_changed(job, place):
    young = [1, 2, 3, 0, 0]
    young[place] = (NOW - 1) * 10**9
    reads.policy_files["/etc/y"] = tuple(young)
    assert keep(job) == {}


def test_a_disk_that_is_full_fails_nothing(job, monkeypatch):
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JobState, "note_end_of", full)
    assert keep(job) == {}


class Looked:
    """An engine that counts."""

    def __init__(self, mode: int = 0):
        self.paths, self.mode = [], mode

    def file_status(self, container: str, path: str) -> dict | None:
        self.paths.append(path)
        return {"size": 1, "mode": self.mode}


def test_an_image_is_looked_at_once(tmp_path):
    engine = Looked()
    for _ in range(2):
        sound.check(engine, "c", "a:1", RECORD.image, tmp_path)
    assert engine.paths == ["/etc/passwd", "/etc/group"]
    sound.check(engine, "c", "a:1", Image("sha256:2", (), ""), tmp_path)
    assert len(engine.paths) == 4


def test_one_that_cannot_be_run_is_looked_at_each_time(tmp_path):
    engine = Looked(mode=1 << 25)  # a pipe (Go's os.ModeNamedPipe)
    for _ in range(2):
        with pytest.raises(UserError, match=r"image a:1: its /etc/passwd is not"):
            sound.check(engine, "c", "a:1", RECORD.image, tmp_path)
    assert len(engine.paths) == 2


def test_the_memory_of_images_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(sound, "MOST", 3)
    for number in range(9):
        sound.check(Looked(), "c", "a:1", Image(f"sha256:{number}", (), ""), tmp_path)
    assert len(list((tmp_path / "sound").iterdir())) <= 3
