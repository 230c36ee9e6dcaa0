"""A job's end needs no Python only where all is as its hooks have left it (job_end.c).

The scripted hook says NEEDED-PYTHON where it is called at all.
"""

import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from pycontrol import bridge
from tests.recorded import entry, identity

NEEDED = "NEEDED-PYTHON"
HOOK = f"stderr {NEEDED}\nsend K0"
ID = "0123456789abcdef" * 4
REMOVE = f"DELETE /containers/{ID}?force=1&v=1 HTTP/1.0"
END = '{"time": "\1", "event": "end", "step": 3, "seconds": \3, "status": \4}'


class Engine:
    """A socket that gives these answers, one after the other."""

    def __init__(self, path: Path):
        self.path, self.answers, self.asked = path, ["204 No Content"], []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                self.asked.append(connection.recv(4096).decode().splitlines()[0])
                answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
                head, _, body = answer.partition("\n")
                connection.sendall(f"HTTP/1.0 {head}\r\n\r\n{body}".encode())


class Job:
    """The state of the stub's job, with one container that has run."""

    def __init__(self, stub, folder: Path):
        self.stub, self.state = stub, stub.state / "n7/42"
        self.engine = Engine(folder / "engine")
        self.log, self.image, self.settings = (folder / n for n in ("log", "image", "settings"))
        for path in (self.settings, self.image):
            path.write_text("x\n")
            os.utime(path, (1, 1))
        for name in ("containers", "steps", "0123"):
            (self.state / name).mkdir(parents=True)
        self.write("groups", f"{folder}/gone/1\n{folder}/gone/2\n")
        self.write("0123.lock", "")
        self.write("0123.json", "{}")
        self.write("0123/passwd", "x")
        self.write("steps/3", END)
        self.write("ended", "2 0 5\n3 130 1700000000250\n")
        self.record()

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.state / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        return path

    def entries(self) -> list[bytes]:
        return [
            entry("B", str(bridge.ABI)),
            entry("A", b"".join(f"{word}\0".encode() for word in self.words())),
            entry("F", f"{identity(self.settings)}\0{self.settings}"),
            entry("S", str(self.engine.path)),
            entry("C", ID),
            entry("G", str(self.image)),
            entry("O", str(self.log)),
        ]

    def words(self) -> list[str]:
        folder = self.stub.folder
        return [f"library={self.stub.library}", f"python={folder / 'script'}", "timeout=2"]

    def record(self, *entries: bytes) -> Path:
        entries = entries or tuple(self.entries())
        return self.write("containers/c", b"".join(entries) + entry("K", str(len(entries))))

    def ends(self) -> bool:
        """Without Python, which would be asked once."""
        output = self.stub.run("epilog", script=HOOK)
        assert "epilog 0" in output, "a failing epilog drains the node"
        needed = output.count(NEEDED)
        assert needed == (1 if self.state.exists() else 0), output
        return not needed

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def job(stub, tmp_path):
    for path in sorted(stub.state.glob("n7/**/*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return Job(stub, tmp_path)


def test_all_is_done(job):
    assert job.ends()
    assert job.engine.asked == [REMOVE]
    [line] = job.lines()
    assert (line["time"], line["status"]) == ("2023-11-14T22:13:20.250Z", 130)
    assert job.image.stat().st_mtime > time.time() - 60
    assert list(job.state.parent.iterdir()) == []


def test_steps_in_their_order_and_one_whose_end_nobody_saw(job):
    for number in (10, 9):
        job.write(f"steps/{number}", END.replace(" 3,", f" {number},"))
    assert job.ends()
    assert [(line["step"], line["status"]) for line in job.lines()] == [
        (3, 130),
        (9, None),
        (10, None),
    ]


@pytest.mark.parametrize("answer", ["404 Not Found", "409 Conflict"])
def test_a_container_that_is_gone_or_going(job, answer):
    job.engine.answers = [answer, '200 OK\n{"StatusCode": 137}', "404 Not Found"]
    assert job.ends()
    waited = [f"POST /containers/{ID}/wait?condition=removed HTTP/1.0", REMOVE]
    assert job.engine.asked == [REMOVE] + (waited if answer.startswith("409") else [])


@pytest.mark.parametrize(
    "answers",
    [
        ["500 Internal Server Error"],
        ["what?"],
        [""],
        [
            "409 Conflict",
            '200 OK\n{"StatusCode": 137, "Error": {"Message": "busy"}}',
            "409 Conflict",
        ],
        ["409 Conflict", "200 OK", "500 Internal Server Error"],
        ["409 Conflict", "", "409 Conflict"],
    ],
)
def test_a_container_that_stays(job, answers):
    job.engine.answers = answers
    assert not job.ends()
    assert not job.log.exists() and (job.state / "steps/3").exists()


def test_no_engine_there(job):
    job.engine.path.unlink()
    assert not job.ends()


def test_a_container_that_was_asked_for_only(job):
    job.write("containers/d", "")
    assert not job.ends()
    assert job.engine.asked == []


def test_a_job_without_a_container(job):
    """Its step was refused."""
    (job.state / "containers/c").unlink()
    (job.state / "steps/3").unlink()
    (job.state / "steps").rmdir()
    assert job.ends()


def test_steps_without_a_container(job):
    (job.state / "containers/c").unlink()
    assert not job.ends()


@pytest.mark.parametrize("missing", "BAFSCGO")
def test_a_part_is_missing(job, missing):
    job.record(*[e for e in job.entries() if e[:1] != missing.encode()])
    assert not job.ends()


@pytest.mark.parametrize("identifier", ["", "x", ID[:-1], f"{ID}0", f"{ID[:-1]}/", "../" + ID[3:]])
def test_what_is_no_container(job, identifier):
    parts = [e for e in job.entries() if e[:1] != b"C"]
    job.record(*parts, entry("C", identifier))
    assert not job.ends()
    assert job.engine.asked == []


def test_settings_that_have_changed(job):
    job.settings.write_text("y\n")
    assert not job.ends()


@pytest.mark.parametrize("words", [[], ["library=x"], ["", ""]])
def test_another_plugstack_line(job, words):
    parts = [e for e in job.entries() if e[:1] != b"A"]
    lines = b"".join(f"{word}\0".encode() for word in [*job.words(), *words])
    job.record(*parts, entry("A", lines))
    assert job.ends() == (words == [])
    if words:
        job.record(*parts, entry("A", "".join(f"{word}\0" for word in job.words()[1:])))
        assert not job.ends()


@pytest.mark.parametrize("name", ["0123.lock", "removal"])
def test_somebody_is_at_work(job, name):
    with job.write(name, "").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not job.ends()
    assert job.ends()


@pytest.mark.parametrize("name", ["step-3", "roots"])
def test_what_is_pythons(job, name):
    job.write(name, "")
    assert not job.ends()


@pytest.mark.parametrize("groups", ["", "relative\n", "/\n", "/gone/1\n" * 9000])
def test_groups_that_slurm_has_left_or_that_nobody_knows(job, groups):
    job.write("groups", groups)
    assert not job.ends()


@pytest.mark.parametrize("text", ["", '{"event": "start"}', END[:-1], END[:20]])
def test_a_damaged_line_is_pythons(job, text):
    """The rest, too."""
    job.write("steps/2", text)
    assert not job.ends()
    assert job.engine.asked == [REMOVE]
    assert (job.state / "steps/2").exists() and (job.state / "steps/3").exists()
    assert job.log.read_text() == ""


@pytest.mark.parametrize("text", ["3\n", "3 0\n", "3 0 5 6\n", "x 0 5\n", "3 0 5\nhalf"])
def test_ends_that_cannot_be_understood(job, text):
    job.write("ended", text)
    assert not job.ends()
    assert (job.state / "steps/3").exists()


def test_of_two_ends_of_a_step_the_last_counts(job):
    """Or of many steps; none of them needs the others' lines."""
    for number in range(1000, 6000):
        job.write(f"steps/{number}", END.replace(" 3,", f" {number},"))
    ended = "".join(f"{number} {number % 7} {number}000\n" for number in range(1000, 6000))
    job.write("ended", f"3 1 5\n{ended}3 0 1700000000250\n")
    assert job.ends()
    lines = job.lines()
    assert [(x["step"], x["status"]) for x in lines[:3]] == [(3, 0), (1000, 6), (1001, 0)]
    assert len(lines) == 5001


def test_no_end_is_known(job):
    (job.state / "ended").unlink()
    assert job.ends()
    assert [line["status"] for line in job.lines()] == [None]


def test_a_log_that_cannot_be_written(job):
    job.log.mkdir()
    assert not job.ends()
    assert (job.state / "steps/3").exists()


@pytest.mark.parametrize("held", [True, False])
def test_another_job_that_was_forgotten(job, held):
    """Or whose end is being worked on."""
    other = job.state.parent / "41"
    other.mkdir()
    (other / "groups").write_text("/gone/1\n")
    with (other / "removal").open("w") as file:
        if held:
            fcntl.flock(file, fcntl.LOCK_EX)
        assert job.ends() == held


def test_another_job_that_lives(job, tmp_path):
    other = job.state.parent / "41"
    other.mkdir()
    (other / "groups").write_text(f"{tmp_path}\n")
    assert job.ends()


@pytest.mark.parametrize("cut", [0, 1, 5, 40, -1, -2, -7, -8, -30])
def test_a_record_that_is_cut_off(job, cut):
    path = job.record()
    job.write("containers/c", path.read_bytes()[:cut])
    assert not job.ends()


def test_a_record_that_is_not_roots_alone(job):
    path = job.record()
    path.chmod(0o644)
    assert not job.ends()
    path.chmod(0o600)
    os.chown(path, 1, 0)
    assert not job.ends()
