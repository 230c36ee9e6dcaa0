"""The audit's lines, written to files of a temporary directory."""

import json
from pathlib import Path

import pytest

from pycontrol import audit
from pycontrol.bridge import JobFacts, StepFacts
from pycontrol.config import Config
from pycontrol.errors import JobEnded, UserError
from pycontrol.state import JobState


class Log:
    """A channel of which only the log is used."""

    def __init__(self):
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def facts(tmp_path, monkeypatch):
    JobState(tmp_path, "n1", 7).make([])
    settings = Config(audit_log=f"{tmp_path}/audit", audit_syslog=False)
    monkeypatch.setattr(audit, "settings_of", lambda facts: settings)
    of_job = {"job_id": 7, "uid": 1001, "node": "n1", "state_root": tmp_path, "plugin_args": ()}
    of_step = {"step_id": 3, "node_index": 0, "local_tasks": 1, "gid": 100, "groups": ()}
    slurms = {"cwd": "/", "tmp_fs": "/tmp", "pmix_server": "", "env": {}}
    return StepFacts(**of_job, **of_step, **slurms, argv=("true",), options=())


def config(facts) -> Config:
    return audit.settings_of(facts)


def lines(facts) -> list[dict]:
    return [json.loads(line) for line in (facts.state_root / "audit").read_text().splitlines()]


def start(facts) -> None:
    with audit.step(facts, Log()) as seen:
        seen.config = config(facts)


def test_start_and_end(facts):
    start(facts)
    job = JobState(facts.state_root, "n1", 7)
    (job.folder / "ended").write_text("3 130 1700000000250\n")
    audit.end_job(JobFacts(7, 1001, "n1", facts.state_root, facts.plugin_args), job, Log())
    begun, ended = lines(facts)
    assert (begun["event"], begun["job"], begun["step"], begun["uid"]) == ("start", 7, 3, 1001)
    assert (ended["event"], ended["status"]) == ("end", 130)
    assert ended["time"] == "2023-11-14T22:13:20.250Z"


def test_an_end_that_nobody_saw(facts):
    start(facts)
    job = JobState(facts.state_root, "n1", 7)
    audit.end_job(facts, job, Log())
    assert lines(facts)[1]["status"] is None


def test_damaged_records_do_not_stop_the_epilog(facts):
    start(facts)
    job, log = JobState(facts.state_root, "n1", 7), Log()
    (job.folder / "steps" / "4.new").write_text("half")
    (job.folder / "ended").write_text("3 0")
    audit.end_job(facts, job, log)
    assert "its end is lost" in log.lines[0]


def test_a_damaged_start_is_its_steps_loss_alone(facts):
    start(facts)
    job, log = JobState(facts.state_root, "n1", 7), Log()
    (job.folder / "steps" / "2").touch()
    audit.end_job(facts, job, log)
    assert "7.2: " in log.lines[0]
    assert [line["event"] for line in lines(facts)] == ["start", "end"]


@pytest.mark.parametrize(
    ("error", "event", "reason"),
    [
        (UserError("no\nsuch image"), "refused", "no such image"),
        (JobEnded("x"), "cancelled", None),
    ],
)
def test_a_step_that_does_not_start(facts, error, event, reason):
    with pytest.raises(type(error)), audit.step(facts, Log()) as seen:
        seen.config = config(facts)
        raise error
    [line] = lines(facts)
    assert (line["event"], line.get("reason")) == (event, reason)
    assert not (JobState(facts.state_root, "n1", 7).folder / "steps").exists()


def test_what_cannot_be_written_is_told_and_stops_nobody(facts, tmp_path):
    (tmp_path / "audit").symlink_to("/etc/motd")
    log = Log()
    audit.write(config(facts), log, {"event": "start"})
    assert "audit: " in log.lines[0]
    assert '{"event": "start"}' in log.lines[0]


def test_lines_are_added(facts, tmp_path):
    for number in range(2):
        audit.write(config(facts), Log(), {"n": number})
    assert [line["n"] for line in lines(facts)] == [0, 1]
    assert Path(tmp_path / "audit").stat().st_mode & 0o777 == 0o600


def test_a_step_whose_start_cannot_be_noted_runs(facts, monkeypatch):
    def full(*args, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit.state, "write", full)
    log = Log()
    with audit.step(facts, log):
        pass
    assert "No space left on device: the step's end will be lost" in log.lines[-1]


def test_a_step_that_an_older_release_has_started(facts):
    """It left the whole line of the start."""
    start(facts)
    job = JobState(facts.state_root, "n1", 7)
    (job.folder / "steps/3").write_text((facts.state_root / "audit").read_text())
    (job.folder / "ended").write_text("3 130 1700000000250\n")
    audit.end_job(facts, job, Log())
    ended = lines(facts)[1]
    assert (ended["event"], ended["step"], ended["status"]) == ("end", 3, 130)
    assert ended["time"] == "2023-11-14T22:13:20.250Z" and "mounts" not in ended
