"""The idle first process of a container (spank_plugin/pause.c)."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from cgroup import place
from spank_plugin import build


@pytest.fixture(scope="module")
def pause(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pause")
    build.build_static(folder)
    return folder / "pause"


@pytest.fixture
def job():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def idle(process: subprocess.Popen) -> bool:
    """Whether it sleeps: it has come to its only wait."""
    for _ in range(200):
        if " (pause) S " in Path(f"/proc/{process.pid}/stat").read_text():
            return True
        time.sleep(0.01)
    return False


def child_of(process: subprocess.Popen) -> int:
    """Its leash."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(200):
        if pids := path.read_text().split():
            return int(pids[0])
        time.sleep(0.01)
    raise AssertionError("it has no child")


def has_ended(pid: int) -> bool:
    for _ in range(200):
        if place.start_time(pid) is None:
            return True
        time.sleep(0.01)
    return False


def test_both_end_with_the_job(pause, job):
    process = subprocess.Popen([pause, str(job.pid)])
    leash = child_of(process)
    job.kill()
    assert process.wait(10) == 0
    assert has_ended(leash)


def test_slurm_ends_the_leash(pause, job):
    process = subprocess.Popen([pause, str(job.pid)])
    os.kill(child_of(process), signal.SIGKILL)
    assert process.wait(10) == 0


def test_the_engine_ends_the_first_process(pause, job):
    process = subprocess.Popen([pause, str(job.pid)])
    leash = child_of(process)
    for _ in range(200):  # it has asked for its end with its parent before it sleeps
        if " (pause) S " in Path(f"/proc/{leash}/stat").read_text():
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert has_ended(leash)


def test_of_a_job_that_has_ended(pause, job):
    job.kill()
    job.wait()
    assert subprocess.run([pause, str(job.pid)], timeout=10).returncode == 0


@pytest.mark.parametrize("words", [[], ["0"], ["x"], ["99999999999999999999"]])
def test_without_a_job_a_signal_ends_it(pause, words):
    process = subprocess.Popen([pause, *words])
    if words and words[0].startswith("9"):  # whatever it is taken for, it is no crash
        process.terminate()
        assert process.wait(10) in (1, -signal.SIGTERM)
        return
    assert idle(process)
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM


def test_what_it_inherits_is_no_zombie(pause):
    """It is the first process of the pid namespace where the engine gives it one."""
    script = f"sh -c 'sleep 0.2' & exec {pause}"
    process = subprocess.Popen(["sh", "-c", script])
    assert idle(process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(200):
        if not children.read_text().strip():
            break
        time.sleep(0.01)
    assert children.read_text().strip() == ""
    process.kill()
    process.wait()


def test_its_memory(pause):
    process = subprocess.Popen([pause])
    assert idle(process)
    words = Path(f"/proc/{process.pid}/smaps_rollup").read_text().split()
    assert int(words[words.index("Rss:") + 1]) <= 100  # KiB
    process.kill()
    process.wait()


def test_nobody_looks_into_it(pause):
    """Not dumpable: its files in /proc are root's, whoever runs it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        words = [shutil.copy(pause, folder), str(os.getpid())]
        process = subprocess.Popen(words, user=65534, group=65534)
        for pid in (process.pid, child_of(process)):
            assert idle(process)
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0
        process.kill()
        process.wait()
