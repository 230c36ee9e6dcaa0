"""Steps of a job that ask what has been asked: they get that plan, without Python.

Whether they do shows with the hooks' library out of the way: a step that needs
Python fails then.
"""

import json
import os
import re
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import BUSYBOX, DEBIAN, STATE

LIBRARY = Path("/usr/lib/socker/socker_python.so")
LOG = Path("/var/log/socker/audit.jsonl")
IMAGE = f"--container-image={BUSYBOX}"
SETTLED = 2.2  # seconds: what has just changed makes no plan
# Of one step alone; the rest of an environment is the same in the next.
OF_A_STEP = re.compile(r"SLURM_(STEP_?ID|.*PORTS?|TASK_PID|CPU_BIND.*)|SLURMD_.*|SRUN_.*")


@contextmanager
def no_python():
    hidden = LIBRARY.with_suffix(".hidden")
    LIBRARY.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(LIBRARY)


class Job:
    """An allocation on n1 whose steps are started one by one."""

    def __init__(self, user, number: str):
        self.user = user
        self.number = number
        self.folder = STATE / "n1" / number

    def step(self, *argv: str, options=(IMAGE,), **more):
        return self.user.srun(f"--jobid={self.number}", "-n1", *options, *argv, **more)

    def replays(self, *argv: str, **more) -> bool:
        with no_python():
            return self.step(*(argv or ("true",)), **more).status == 0

    def plans(self) -> list[Path]:
        return sorted(self.folder.glob("plan-*"))


def allocate(user, *options: str) -> Job:
    words = ["salloc", "--no-shell", "-n1", "--nodelist=n1", "--mem=300", *options]
    return Job(user, re.search(r"allocation (\d+)", user.run(*words).stderr)[1])


@pytest.fixture
def job(alice, wait_for, settings):
    settled = time.monotonic() + SETTLED
    found = allocate(alice)
    time.sleep(max(0, settled - time.monotonic()))
    yield found
    alice.run("scancel", found.number)


@pytest.fixture
def with_image(alice, wait_for, settings):
    """A job that has named its image, and whose early start is done; no step has run."""
    time.sleep(SETTLED)
    found = allocate(alice, IMAGE)
    wait_for(found.plans)
    yield found
    alice.run("scancel", found.number)


@pytest.fixture
def planned(job):
    """The job, when its first step has left a plan that works."""
    assert job.step("true").status == 0
    assert len(job.plans()) == 1
    assert job.replays()
    return job


def test_the_second_step_needs_no_python(planned):
    assert not planned.replays(options=(f"--container-image={DEBIAN}",)), "the proof itself works"


LOOK = """env; pwd; id; umask; ulimit -a; cat /etc/passwd /etc/group /proc/self/mountinfo
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Sig)' /proc/self/status"""


def seen_by(result) -> list[str]:
    """What a step saw, without numbers of mounts and steps."""
    assert result.status == 0
    found = [line for line in result.lines if not OF_A_STEP.fullmatch(line.partition("=")[0])]
    return [re.sub(r"^\d+ \d+ (\d+:\d+ /)", r"\1", line) for line in found]


def test_a_replayed_step_sees_what_the_first_one_saw(alice, planned):
    options = (
        IMAGE,
        "--container-mounts=/etc:/in:ro",
        "--container-env=A=b",
        "--container-workdir=/in",
    )
    first = planned.step("sh", "-c", LOOK, options=options)
    with no_python():
        later = planned.step("sh", "-c", LOOK, options=options)
    assert seen_by(later) == seen_by(first)
    assert "A=b" in seen_by(later)


def test_the_audit_has_the_same_lines(planned, wait_for):
    begin = LOG.stat().st_size
    planned.step("true", options=(IMAGE, "--container-env=A=b"))
    with no_python():
        planned.step("false", options=(IMAGE, "--container-env=A=b"))
    kept = sorted((planned.folder / "steps").iterdir(), key=lambda path: int(path.name))
    numbers = [int(path.name) for path in kept]
    planned.user.run("scancel", planned.number)
    wait_for(lambda: not planned.folder.exists())
    with LOG.open() as file:
        file.seek(begin)
        lines = [json.loads(line) for line in file]
    one, two = [line for line in lines if line["event"] == "start"]
    ends = {line["step"]: line for line in lines if line["event"] == "end"}
    own = ("time", "step", "seconds")
    assert {k: v for k, v in one.items() if k not in own} == {
        k: v for k, v in two.items() if k not in own
    }
    assert two["step"] == one["step"] + 1 and two["time"] > one["time"]
    assert 0 <= two["seconds"] < 1
    assert sorted(ends) == numbers
    assert (ends[one["step"]]["status"], ends[two["step"]]["status"]) == (0, 1)


def test_socker_ps_counts_replayed_steps(planned):
    [listed] = planned.folder.glob("*.steps")
    assert listed.read_text().split() == ["0", "1"]


def test_each_task_gets_the_plan(job):
    assert job.step("true", options=(IMAGE, "-n4", "--overcommit")).status == 0
    assert job.replays("true", options=(IMAGE, "-n4", "--overcommit"))


def test_any_number_of_tasks(planned):
    assert planned.replays(options=(IMAGE, "-n2", "--overcommit"))


def test_the_image_and_the_job_say_what_becomes_of_variables(planned):
    with no_python():
        seen = planned.step("env", env={"LD_LIBRARY_PATH": "/opt/lib", "PATH": "/bin", "A": "b"})
    assert seen.status == 0 and "A=b" in seen.lines
    assert not [line for line in seen.lines if line.startswith("LD_LIBRARY_PATH=")]


# --- the first step of a job with an image ----------------------------------------------


def test_the_first_step_replays_what_the_early_start_has_left(with_image):
    assert with_image.replays()
    assert not with_image.replays(options=(f"--container-image={DEBIAN}",)), "the proof works"
    [listed] = with_image.folder.glob("*.steps")
    assert listed.read_text() == "0\n"


def test_it_sees_what_python_shows(with_image):
    with no_python():
        first = with_image.step("sh", "-c", LOOK, options=(IMAGE, "-n1"))
    for plan in with_image.plans():
        plan.unlink()
    assert seen_by(with_image.step("sh", "-c", LOOK)) == seen_by(first)
    assert len(with_image.plans()) == 1


def test_one_that_asks_for_more_needs_python(with_image):
    for more in ("--chdir=/tmp", "--container-mounts=/etc:/in", "--container-tmp=private"):
        assert not with_image.replays(options=(IMAGE, more)), more
        assert with_image.step("true", options=(IMAGE, more)).status == 0


@pytest.mark.parametrize("tasks", ["1", "2"])
def test_in_the_jobs_script(alice, settings, wait_for, tasks):
    time.sleep(SETTLED)
    planned = alice.home / "planned"
    planned.unlink(missing_ok=True)
    script = "until test -e planned; do sleep 0.1; done;"
    script += f"SOCKER_TRACE=1 srun -Q --overcommit -n{tasks} true"
    words = ["salloc", "-Q", "-n1", "--mem=300", IMAGE, "sh", "-c", script]
    job = alice.start(*words, stderr=-1)
    wait_for(lambda: list(STATE.glob("n?/*/plan-*")))
    planned.touch()
    errors = job.communicate(timeout=60)[1]
    planned.unlink()
    assert job.returncode == 0
    assert "a recorded plan was replayed" in errors


# --- what ends a plan -----------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        (IMAGE, "--container-mounts=/etc:/in"),
        (IMAGE, "--chdir=/tmp"),
        (IMAGE, "--container-writable"),
    ],
)
def test_another_question(planned, options):
    assert not planned.replays(options=options)


def test_a_variable_that_the_plan_looked_at(planned):
    assert planned.replays(env={"SOMETHING": "else"})
    kept = (IMAGE, "--container-env=COLOUR")
    assert planned.step("true", options=kept).status == 0
    assert planned.replays(options=kept)
    assert not planned.replays(options=kept, env={"COLOUR": "red"})
    assert planned.replays() and not planned.replays(env={"PMIX_SERVER_TMPDIR": "/tmp"})


def test_settings_that_were_touched(planned, settings):
    os.utime(settings)
    assert not planned.replays()


def test_a_list_of_images_that_has_changed(job, configure, settings):
    listed = settings.parent / "images"
    try:
        listed.write_text(f"{BUSYBOX}\n")
        configure(f'image_list = "{listed}"\n')
        time.sleep(2.2)
        assert job.step("true").status == 0
        assert job.replays()
        listed.write_text(f"{DEBIAN}\n")
        assert not job.replays()
        assert "no rule of this site allows it" in job.step("true").stderr
    finally:
        listed.unlink()


def test_accounts_that_were_touched(planned):
    os.utime("/etc/group")
    assert not planned.replays()


def test_a_container_that_has_ended(planned, wait_for):
    [record] = planned.folder.glob("*.json")
    pid = json.loads(record.read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert not planned.replays()
    assert planned.step("true").status == 0, "Python makes another one"


def test_age(job, configure, settings):
    configure("plan_time = 1\n")
    time.sleep(2.2)
    assert job.step("true").status == 0
    assert len(job.plans()) == 1
    time.sleep(1.2)
    assert not job.replays()


def test_a_site_without_plans(job, configure):
    configure("plan_time = 0\n")
    time.sleep(2.2)
    assert job.step("true").status == 0
    assert not job.plans()


def test_young_settings_make_no_plan(job, settings):
    os.utime(settings, (time.time() + 60,) * 2)
    assert job.step("true").status == 0
    assert not job.plans()


@pytest.mark.parametrize("harm", ["cut", "grown", "others", "not root's", "a link"])
def test_a_damaged_plan(planned, harm):
    [plan] = planned.plans()
    data = plan.read_bytes()
    if harm == "cut":
        plan.write_bytes(data[:-20])
    elif harm == "grown":
        plan.write_bytes(data + b"K\0\0\0\0\0")
    elif harm == "others":
        plan.chmod(0o644)
    elif harm == "not root's":
        os.chown(plan, 1001, 0)
    else:
        plan.rename(plan.with_name("moved"))
        plan.symlink_to("moved")
    assert not planned.replays()
    assert planned.step("true").status == 0


def test_what_is_made_for_a_step_alone_makes_no_plan(job):
    for options in (
        ("--container-tmp=private",), ("--container-unshare=net",), ("--container-entrypoint",),
        ("--container-slurm",), ("--container-name=x",),
    ):  # fmt: skip
        assert job.step("true", options=(IMAGE, *options)).status == 0
    assert not job.plans()


def test_the_check_in_srun_is_asked_once(alice):
    """Within a job the answer is remembered, in a file of the user's own."""
    shown = f"srun -Q -n1 {IMAGE} true; ls ~/.cache/socker | grep -c $SLURM_JOB_ID.checked"
    for path in (alice.home / ".cache/socker").glob("*.checked-*"):
        path.unlink()
    done = alice.run(
        "salloc", "-Q", "-n1", "sh", "-c", f"{shown}; {shown}; srun -Q --docker=%% true"
    )
    assert done.lines == ["1", "1"]
    assert done.status and "is not an image name" in done.stderr
