"""`socker gc`: what ended jobs have left goes; what lives, or may, or is not ours, stays."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import BUSYBOX, SOCKER, STATE, containers, read, without_progress
from test_teardown import pids_of, sleeper

ROOTS = Path("/var/lib/socker")
NO_JOB = 9_999_001  # and those behind it: numbers that this cluster does not reach
LONG_AGO = 3600


def gc(*options: str) -> dict:
    done = subprocess.run(
        [SOCKER, "gc", "--json", *options], capture_output=True, text=True, timeout=120
    )
    print(done.stdout, done.stderr)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def of(answer: dict, name: str | Path) -> tuple[str, str]:
    """What became of a thing, and why."""
    found = [t for t in answer["things"] if t["name"] == str(name)]
    assert len(found) == 1, f"{name} is there {len(found)} times"
    return found[0]["what"], found[0]["why"]


def make_container(*labels: str) -> str:
    options = [f"--label={label}" for label in labels]
    made = read("docker", "create", *options, BUSYBOX, "true").strip()
    assert made
    return made


@pytest.fixture
def made():
    """Containers to be taken away by their ids, whatever becomes of the test."""
    ids: list[str] = []
    yield ids
    for container in ids:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True, timeout=60)


@pytest.fixture(autouse=True)
def have_busybox():
    read("docker", "pull", "-q", BUSYBOX)


def state_of(job: int, groups: str = "/sys/fs/cgroup/freezer/slurm_n1/uid_1/job_9999001\n") -> Path:
    folder = STATE / "n1" / str(job)
    folder.mkdir(parents=True)
    folder.chmod(0o711)
    (folder / "groups").write_text(groups)
    return folder


@contextlib.contextmanager
def stopped(program: str):
    """A daemon that does not answer."""
    pids = [int(pid) for pid in read("pgrep", "-x", program).split()]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


# --- whose it is ------------------------------------------------------------------


def test_by_label_alone(alice, wait_for, made):
    process, job = sleeper(alice, wait_for)
    living = containers()
    dead = make_container(f"socker.job={NO_JOB}", "socker.node=n1")
    foreign, odd = make_container("team=ours"), make_container("socker.job=mine")
    made += [dead, foreign, odd]
    for options in (("--dry-run",), ()):
        answer = gc(*options)
        what = "goes" if options else "removed"
        assert of(answer, dead) == (what, "Slurm does not know it any more")
        assert of(answer, odd) == (
            "stays",
            "its labels name no job and node: it is not of our making",
        )
        assert foreign not in json.dumps(answer)
        for container in living:
            full = read("docker", "inspect", "-f", "{{.Id}}", container).strip()
            what, why = of(answer, full)
            assert what == "stays"
            assert why.startswith("its slurmstepd runs (pid ")
        assert of(answer, STATE / "n1" / job)[0] == "stays"
        there = read("docker", "ps", "-aqf", f"id={dead}")
        assert bool(there) == bool(options), "a dry run removes nothing"
    assert read("docker", "ps", "-aqf", f"id={foreign}")
    alice.run("scancel", job)
    process.communicate(timeout=60)
    read("docker", "rm", "-f", odd)


def test_a_living_job_whose_state_was_lost_keeps_its_container(alice, wait_for):
    process, job = sleeper(alice, wait_for)
    before = containers()
    read("rm", "-rf", str(STATE / "n1" / job))
    answer = gc()
    assert {t["what"] for t in answer["things"] if t["job"] == int(job)} == {"stays"}
    assert containers() == before
    alice.run("scancel", job)
    process.communicate(timeout=60)
    wait_for(lambda: not containers())


def test_a_job_that_slurm_has_and_that_ended(alice, made, wait_for):
    """Slurm knows it for MinJobAge: it says so itself."""
    job = alice.run("salloc", "-Q", "-n1", "sh", "-c", "echo $SLURM_JOB_ID").lines[0]
    dead = make_container(f"socker.job={job}", "socker.node=n1")
    made.append(dead)
    wait_for(
        lambda: read("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip() == "COMPLETED"
    )
    assert of(gc(), dead) == ("removed", "Slurm: COMPLETED")


def test_a_job_that_runs_elsewhere(alice, made, wait_for):
    """As after a requeue: the node that it left may forget it."""
    process = alice.start(
        "salloc", "-Q", "-wn2", "sh", "-c", "echo $SLURM_JOB_ID; sleep 10", stdout=-1
    )
    job = process.stdout.readline().strip()
    dead = make_container(f"socker.job={job}", "socker.node=n1")
    made.append(dead)
    what, why = of(gc(), dead)
    # All four nodes are on this host: there is a slurmstepd of the job's, and gc is careful.
    assert (what, why[:19]) == ("stays", "its slurmstepd runs")
    alice.run("scancel", job)
    process.communicate(timeout=60)
    wait_for(lambda: not pids_of("slurmstepd:", f"[{job}."))
    assert of(gc(), dead)[0] == "removed"


def test_users_are_told_to_be_root(alice):
    done = alice.run(SOCKER, "gc")
    assert done.status == 2
    assert done.stderr == "socker: gc: it changes the node: run it as root\n"


# --- what is left ---------------------------------------------------------------------


def test_all_that_a_job_can_leave(made):
    folder = state_of(NO_JOB)
    root = ROOTS / "n1" / str(NO_JOB) / "abcdef123456"
    (root / "upper/deep").mkdir(parents=True)
    (folder / "roots").mkdir()
    (folder / "roots" / root.name).write_text(str(root))
    note = STATE / "native" / f"n1.{NO_JOB}"
    note.parent.mkdir(mode=0o700, exist_ok=True)
    note.touch()
    abandoned = ROOTS / "n1" / str(NO_JOB + 1)  # its state went at a boot
    (abandoned / "1/upper").mkdir(parents=True)
    mount = abandoned / "1/mnt"
    mount.mkdir()
    read("mount", "-t", "tmpfs", "none", str(mount))
    answer = gc("--dry-run")
    for thing in (folder, root.parent, note, abandoned, mount):
        assert of(answer, thing)[0] == "goes", thing
        assert thing.exists()
    assert mount.is_mount()
    answer = gc()
    for thing in (folder, root.parent, note, abandoned, mount):
        assert of(answer, thing)[0] == "removed", thing
        assert not thing.exists()
    assert not [t for t in gc()["things"] if t["what"] != "stays"]


def test_broken_state(made):
    """Nothing in it is believed, nothing of it stays."""
    folder = state_of(NO_JOB, "/etc\n/sys/fs/cgroup\n/sys/fs/cgroup/memory\n\0\n")
    for name, text in (("a.json", "{"), ("b.json", "[]"), ("ended", "x"), ("places", "?")):
        (folder / name).write_text(text)
    for name in ("steps", "containers"):
        (folder / name).mkdir()
        (folder / name / "0").write_text("{")
    without = STATE / "n1" / str(NO_JOB + 1)
    (without / "groups").mkdir(parents=True)  # a directory where a file must be
    link = STATE / "n1" / str(NO_JOB + 2)
    link.symlink_to("/etc")
    try:
        answer = gc()
        assert not folder.exists()
        assert not without.exists()
        assert of(answer, folder)[0] == "removed"
        assert of(answer, without)[0] == "removed"
        assert Path("/etc/passwd").exists()
        assert str(link) not in json.dumps(answer)
        assert Path("/sys/fs/cgroup/memory/cgroup.procs").exists()
    finally:
        link.unlink()


def test_drafts_and_locks():
    drafts = [STATE / "n1/.new-abc123", STATE / "images/1001.json.77.new"]
    drafts[0].mkdir(parents=True)
    (drafts[0] / "groups").touch()
    drafts[1].touch()
    folder = STATE / "files"
    folder.mkdir(mode=0o700, exist_ok=True)
    free, held, young = (folder / f"1001-{name}.lock" for name in ("free", "held", "young"))
    for path in (free, held, young):
        path.touch()
    for path in (*drafts, free, held):
        os.utime(path, (time.time() - LONG_AGO,) * 2)
    with open(held) as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        answer = gc()
        assert of(answer, held) == ("stays", "a process holds it")
    assert of(answer, young)[0] == "stays"
    for path in (*drafts, free):
        assert of(answer, path) == ("removed", "nobody uses it")
        assert not path.exists()
    for path in (held, young):
        path.unlink()


def test_an_epilog_that_did_not_come(alice, wait_for):
    """The job's state stays while its step runs, and goes when Slurm says that it is over."""
    process, job = sleeper(alice, wait_for)
    state = STATE / "n1" / job
    kept = Path("/run/test-gc-state")
    read("rm", "-rf", str(kept))
    read("cp", "-a", str(state), str(kept))
    running = wait_for(lambda: pids_of("sleep 77", ""))
    assert of(gc(), state)[0] == "stays"
    assert pids_of("sleep 77", "") == running
    alice.run("scancel", job)
    process.communicate(timeout=60)
    wait_for(lambda: not state.exists())
    told = ("squeue", "-h", "-t", "all", "-j", job, "-o", "%T")
    wait_for(lambda: read(*told).strip() == "CANCELLED")
    read("cp", "-a", str(kept), str(state))  # as if the epilog had not come
    read("rm", "-rf", str(kept))
    assert of(gc(), state) == ("removed", "Slurm: CANCELLED")


# --- when a daemon is away ---------------------------------------------------------------


def test_slurmctld_away(alice, wait_for, made):
    """What the kernel shows to be over goes; what it cannot tell stays, with the reason."""
    process, job = sleeper(alice, wait_for)
    before = containers()
    ended = state_of(NO_JOB)  # its cgroups are gone
    dead = make_container(f"socker.job={NO_JOB + 1}", "socker.node=n1")
    made.append(dead)
    with stopped("slurmctld"):
        answer = gc()
    assert of(answer, ended) == ("removed", "Slurm has removed its cgroups")
    what, why = of(answer, dead)
    assert what == "stays"
    assert why.startswith("whether its job lives is not known: ")
    assert of(answer, STATE / "n1" / job)[0] == "stays"
    assert set(before) <= set(containers())
    assert of(gc(), dead)[0] == "removed"
    alice.run("scancel", job)
    process.communicate(timeout=60)


def test_dockerd_away(settings, made, wait_for):
    """The rest goes on; and what needed it goes when it is back."""
    settings.write_text(f"{settings.read_text()}\nengine_timeout = 3\n")
    folder = state_of(NO_JOB)
    (folder / "containers").mkdir()
    (folder / "containers/socker-x").touch()
    note = STATE / "native" / f"n1.{NO_JOB}"
    note.parent.mkdir(mode=0o700, exist_ok=True)
    note.touch()
    began = time.monotonic()
    with stopped("dockerd"):
        answer = gc()
    assert time.monotonic() - began < 30
    assert any("no answer in time" in text for text in answer["troubles"])
    assert of(answer, note)[0] == "removed"
    what, why = of(answer, folder)
    assert what == "failed"
    assert "no answer in time" in why
    assert of(gc(), folder)[0] == "removed"


def test_an_epilog_that_could_not_reach_dockerd(alice, settings, wait_for):
    """Its job's state stays for gc; the node is not drained."""
    settings.write_text(f"{settings.read_text()}\nengine_timeout = 3\n")
    process, job = sleeper(alice, wait_for)
    state = STATE / "n1" / job
    with stopped("dockerd"):
        alice.run("scancel", job)
        process.communicate(timeout=60)
        wait_for(lambda: "idle" in read("sinfo", "-h", "-n", "n1", "-o", "%T"), 60)
        assert state.exists()
    wait_for(lambda: not containers())
    assert of(gc(), state)[0] == "removed"


def test_broken_settings_do_not_keep_what_is_left(settings):
    folder = state_of(NO_JOB)
    settings.write_text("engine = 1\n")
    answer = gc()
    assert of(answer, folder)[0] == "removed"
    assert any("it goes on with the defaults" in text for text in answer["troubles"])


# --- beside jobs -----------------------------------------------------------------------


def test_an_epilog_takes_what_forgotten_jobs_left(alice, wait_for):
    """By their cgroups alone, which are gone; another's whose groups are there stays."""
    gone = state_of(NO_JOB)
    there = state_of(NO_JOB + 1, "/sys/fs/cgroup/freezer\n")
    assert alice.srun("-wn1", f"--docker={BUSYBOX}", "true").status == 0
    wait_for(lambda: not gone.exists())
    assert there.exists()
    assert of(gc(), there)[0] == "removed"


def test_jobs_start_and_end_while_gc_works(alice):
    jobs = [
        alice.start("srun", "-Q", f"--docker={BUSYBOX}", *more, "true", stderr=-1)
        for more in ([], ["--container-writable"], ["--container-name=x"]) * 3
    ]
    while any(job.poll() is None for job in jobs):
        gc()
    told = [without_progress(job.communicate(timeout=5)[1]) for job in jobs]
    assert told == [""] * len(jobs)
    assert [job.returncode for job in jobs] == [0] * len(jobs)


def test_for_people(made):
    dead = make_container(f"socker.job={NO_JOB}", "socker.node=n1")
    made.append(dead)
    heads = ["WHAT", "KIND", "JOB", "NODE", "NAME", "WHY"]
    dry = read(SOCKER, "gc", "--dry-run").splitlines()
    assert dry[0].split() == heads
    row = f"container {NO_JOB} n1 {dead[:12]} Slurm does not know it any more"
    assert f"goes {row}" in [" ".join(line.split()) for line in dry]
    done = [" ".join(line.split()) for line in read(SOCKER, "gc").splitlines()]
    assert done == [" ".join(heads), f"removed {row}"]
    assert read(SOCKER, "gc") == "", "nothing to tell, nothing to mail"
