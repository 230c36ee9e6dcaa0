"""The end of a job on a node: without Python as a rule, with it where there is more to do.

As in test_replay.py that shows with the hooks' library out of the way.
"""

import json
import time
from pathlib import Path

import pytest
from conftest import BUSYBOX, DEBIAN, LOGS, containers, read
from test_replay import LOG, SETTLED, allocate, no_python
from test_teardown import pids_of


@pytest.fixture
def job(alice, settings):
    """On n1; its steps are started one by one."""
    time.sleep(SETTLED)
    found = allocate(alice)
    yield found
    alice.run("scancel", found.number)


def end(job, wait_for) -> None:
    """Until its epilog has run."""
    job.user.run("scancel", job.number)
    wait_for(lambda: "idle" in read("sinfo", "-h", "-n", "n1", "-o", "%T"))


def logged(job) -> list[str]:
    lines = (LOGS / "slurmd-n1.log").read_text().splitlines()
    return [line for line in lines if f"epilog of job {job.number} failed" in line]


def ends_without_python(job, wait_for) -> bool:
    with no_python():
        end(job, wait_for)
    return not job.folder.exists() and not logged(job)


def test_an_ordinary_end_needs_no_python(job, wait_for):
    LOG.parent.mkdir(exist_ok=True)
    LOG.touch()
    begin = LOG.stat().st_size
    for status in (3, 0, 5):
        assert job.step("sh", "-c", f"exit {status}").status == status
    [image] = {json.loads(path.read_text())["image"]["image_id"] for path in records(job)}
    assert containers()
    assert ends_without_python(job, wait_for)
    assert containers() == []
    lines = [json.loads(line) for line in LOG.read_text()[begin:].splitlines()]
    starts, ends = ([x for x in lines if x["event"] == event] for event in ("start", "end"))
    assert [(x["step"], x["status"]) for x in ends] == [(0, 3), (1, 0), (2, 5)]
    for name in ("node", "job", "uid", "user", "image", "digest", "image_id", "container"):
        assert {x[name] for x in starts} == {x[name] for x in ends}
    used = Path("/var/lib/socker/.images") / image.removeprefix("sha256:")
    assert used.stat().st_mtime > time.time() - 60


def records(job) -> list[Path]:
    return list(job.folder.glob("*.json"))


def test_two_images(job, wait_for):
    assert job.step("true").status == 0
    assert job.step("true", options=(f"--container-image={DEBIAN}",)).status == 0
    assert len(containers()) == 2
    assert ends_without_python(job, wait_for)


def test_an_early_start(alice, settings, wait_for):
    time.sleep(SETTLED)
    job = allocate(alice, f"--container-image={BUSYBOX}")
    wait_for(job.plans)
    assert ends_without_python(job, wait_for)


def test_a_step_that_was_refused(job, wait_for):
    assert job.step("true", options=(f"--container-image={BUSYBOX}-none",)).status != 0
    wait_for(lambda: not pids_of("slurmstepd:", f"[{job.number}.0]"))  # Slurm's own race else
    assert ends_without_python(job, wait_for)


def test_a_step_that_runs_until_the_end(job, wait_for):
    words = ("srun", "-Q", f"--jobid={job.number}", f"--container-image={BUSYBOX}", "sleep", "77")
    step = job.user.start(*words)
    wait_for(lambda: (job.folder / "steps/0").exists())
    time.sleep(0.5)
    assert ends_without_python(job, wait_for)
    step.wait(timeout=30)


def test_what_one_end_leaves_the_next_one_takes(job, alice, wait_for):
    """A root of its own is Python's; here it comes later."""
    options = (f"--container-image={BUSYBOX}", "--container-writable", "--container-name=own")
    assert job.step("true", options=options).status == 0
    assert not ends_without_python(job, wait_for)
    assert job.folder.exists() and logged(job)
    time.sleep(SETTLED)
    other = allocate(alice)
    assert other.step("true").status == 0
    end(other, wait_for)
    wait_for(lambda: not job.folder.exists() and not other.folder.exists())


def test_settings_that_have_changed_meanwhile(job, settings, wait_for):
    """Where the audit is, for one: the end is told there."""
    assert job.step("true").status == 0
    other = LOG.with_name("moved.jsonl")
    settings.write_text(f'{settings.read_text()}audit_log = "{other}"\n')
    try:
        end(job, wait_for)
        wait_for(lambda: not job.folder.exists())
        assert [json.loads(x)["event"] for x in other.read_text().splitlines()] == ["end"]
    finally:
        other.unlink(missing_ok=True)
