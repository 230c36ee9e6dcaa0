"""What the audit says of real steps (docs/admin/audit.md)."""

import json
import socket
from pathlib import Path

import pytest
from conftest import BUSYBOX

LOG = Path("/var/log/socker/audit.jsonl")


@pytest.fixture
def audited():
    """audited(job): the job's lines, once there is one more than `count`."""
    LOG.parent.mkdir(exist_ok=True)
    LOG.touch()
    begin = LOG.stat().st_size

    def read() -> list[dict]:
        with LOG.open() as file:
            file.seek(begin)
            return [json.loads(line) for line in file]

    return read


def test_start_and_end_of_steps(alice, audited, wait_for):
    script = (
        f"srun -Q --docker={BUSYBOX} --container-mounts=/etc:/in:ro sh -c 'sleep 1; exit 3';"
        f"srun -Q --docker={BUSYBOX} --container-env=SECRET=word sh -c 'kill -9 $$'"
    )
    alice.run("salloc", "-Q", "-n1", "sh", "-c", script)
    found = wait_for(lambda: lines if len(lines := audited()) == 4 else None)
    one, two, end_of_one, end_of_two = found
    assert [line["event"] for line in found] == ["start", "start", "end", "end"]
    assert one["user"] == "alice"
    assert one["image"] == one["made_of"] == BUSYBOX
    assert one["image_id"].startswith("sha256:")
    assert one["mounts"] == ["/etc:/in:ro"]
    assert (one["step"], two["step"]) == (0, 1)
    assert (end_of_one["status"], end_of_two["status"]) == (3, 137)
    assert end_of_one["seconds"] >= 1
    assert end_of_one["container"] == one["container"]
    assert "word" not in json.dumps(found)


def test_refusals(alice, audited):
    alice.srun(f"--docker={BUSYBOX}-not-there", "true")
    [line] = audited()
    assert line["event"] == "refused"
    assert line["image"] == f"{BUSYBOX}-not-there"
    assert f"image {BUSYBOX}-not-there" in line["reason"]


def test_a_step_whose_end_nobody_saw(alice, audited, wait_for):
    step = alice.start("srun", "-Q", f"--docker={BUSYBOX}", "sleep", "60")
    wait_for(audited)
    alice.run("scancel", "--user=alice")
    step.wait(timeout=30)
    found = wait_for(lambda: lines if len(lines := audited()) == 2 else None)
    assert found[1]["event"] == "end"
    assert found[1]["status"] in (None, 143, 137)


def test_the_log_may_be_rotated_at_any_time(alice, audited, wait_for):
    alice.srun(f"--docker={BUSYBOX}", "true")
    wait_for(lambda: len(audited()) == 2)
    rotated = LOG.with_suffix(".1")
    LOG.rename(rotated)
    try:
        alice.srun(f"--docker={BUSYBOX}", "true")
        wait_for(lambda: LOG.exists() and LOG.read_text().count("\n") == 2)
        assert LOG.stat().st_mode & 0o777 == 0o600
    finally:
        rotated.unlink()


@pytest.fixture
def syslog():
    """Takes the place of the machine's; read(prefix) gives the next message like that."""
    path, saved = Path("/dev/log"), Path("/dev/log.saved")
    if path.exists():
        path.rename(saved)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(path))
        daemon.settimeout(30)

        def read(prefix: str) -> str:
            while not (text := daemon.recv(65536).decode()).startswith(prefix):
                pass
            return text.removeprefix(prefix)

        yield read
    path.unlink()
    if saved.exists():
        saved.rename(path)


def test_syslog_gets_the_same_lines(alice, audited, syslog):
    alice.srun(f"--docker={BUSYBOX}", "true")
    assert json.loads(syslog("<86>socker: ")) == audited()[0]
