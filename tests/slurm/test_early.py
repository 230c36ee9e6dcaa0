"""A job that names an image gets it, and its container, while it starts: before any step asks."""

import json
import shutil
import time

import images
import pytest
from conftest import BUSYBOX, SOCKER, STATE, containers, read
from test_images import slow_image as slow_image


@pytest.fixture
def waiting_job(alice):
    """waiting_job(*options): a job without a step, until .go() makes it run one."""
    started = []

    class Job:
        def __init__(self, *options: str):
            (alice.home / "go").unlink(missing_ok=True)
            script = "while [ ! -e go ]; do sleep 0.1; done; srun -Q sh -c 'echo ran'"
            words = ["salloc", "-Q", *options, "sh", "-c", script]
            self.process = alice.start(*words, stdout=-1, stderr=-1)
            started.append(self)

        def go(self) -> tuple[str, str]:
            (alice.home / "go").touch()
            return self.process.communicate(timeout=60)

    yield Job
    alice.run("scancel", "--user=alice")
    for job in started:
        job.process.communicate(timeout=60)
    (alice.home / "go").unlink(missing_ok=True)


def created(since: float) -> list[str]:
    """The images of the containers that the engine has made from then on."""
    words = ["docker", "events", f"--since={since:.3f}", f"--until={time.time():.3f}"]
    words += ["--filter=type=container", "--filter=event=create", "--format={{json .Actor}}"]
    found = [json.loads(line)["Attributes"] for line in read(*words).splitlines()]
    return [one["socker.image"] for one in found if "socker.image" in one]


def test_the_first_step_joins_what_runs_already(waiting_job, wait_for):
    since = time.time()
    job = waiting_job("-N2", f"--docker={BUSYBOX}")
    before = wait_for(lambda: found if len(found := containers()) == 2 else None)
    wait_for(lambda: not list(STATE.glob("n?/*/progress")))
    output, _ = job.go()
    assert output == "ran\nran\n"
    assert created(since) == [BUSYBOX] * 2
    assert len(before) == 2


def test_the_first_job_after_a_boot(alice):
    """Its early start makes the directory in which `socker ps` looks for the node's part."""
    shutil.rmtree(STATE)
    (alice.home / "up").unlink(missing_ok=True)
    script = "srun -Q --overlap sh -c 'touch up; sleep 10' & until test -e up; do sleep 0.1; done;"
    words = ["-Q", f"--docker={BUSYBOX}", "sh", "-c"]
    found = alice.run("salloc", *words, f"{script} {SOCKER} ps --json; rm up; wait")
    (own,) = json.loads(found.stdout)
    assert (own["image"], own["steps"]) == (BUSYBOX, ["0"])
    assert STATE.stat().st_mode & 0o777 == 0o755


def test_an_image_comes_before_a_step_asks(waiting_job, make_image, wait_for):
    image = make_image("early")
    images.remove_from_engine(image)
    job = waiting_job("-n1", f"--docker={image}")
    wait_for(lambda: containers())
    assert read("docker", "image", "inspect", "-f", "{{.Id}}", image)
    assert job.go()[0] == "ran\n"


def test_one_pull_whose_progress_the_first_step_shows(waiting_job, slow_image, wait_for):
    since = time.time()
    job = waiting_job("-n1", f"--docker={slow_image}")
    wait_for(lambda: list(STATE.glob("n?/*/progress")))
    output, errors = job.go()
    assert output == "ran\n"
    assert f"socker: pulling {slow_image}: " in errors
    assert created(since) == [slow_image]


def test_the_job_ends_during_its_pull(alice, waiting_job, slow_image, wait_for):
    """The engine stops pulling, and nothing is left (the fixture looks)."""
    since = time.time()
    job = waiting_job("-n1", f"--docker={slow_image}")
    wait_for(lambda: list(STATE.glob("n?/*/progress")))
    alice.run("scancel", "--user=alice")
    job.process.communicate(timeout=30)
    wait_for(lambda: set(read("sinfo", "-hNo", "%T").split()) == {"idle"}, 30)
    assert not list(STATE.glob("n?/*"))
    assert created(since) == []
    assert not read("docker", "images", "-q", slow_image)


def test_a_step_of_its_own_gets_the_image_only(waiting_job, make_image, wait_for):
    since = time.time()
    image = make_image("early")
    images.remove_from_engine(image)
    job = waiting_job("-n1", f"--docker={image}", "--container-writable")
    wait_for(lambda: read("docker", "images", "-q", image))
    assert created(since) == []
    assert job.go()[0] == "ran\n"
    assert created(since) == [image]


def test_what_fails_is_the_steps_to_tell(alice, waiting_job, settings):
    """A job without a step is none the worse, and the node stays."""
    settings.write_text('engine = "unix:///run/no-engine.sock"\n')
    assert alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "echo", "fine").lines == ["fine"]
    output, errors = waiting_job("-n1", f"--docker={BUSYBOX}").go()
    assert output == ""
    assert errors.count("engine unix:///run/no-engine.sock cannot be reached on this node") == 1


def test_another_image_of_a_step_is_that_steps_alone(alice, make_image):
    other = make_image("other", lambda root: (root / "which").write_text("other\n"))
    script = f"srun -Q --docker={other} cat /which; srun -Q test ! -e /which && echo the jobs"
    result = alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "sh", "-c", script)
    assert result.lines == ["other", "the jobs"]


def test_the_site_does_without(alice, settings):
    settings.write_text("early_start = false\n")
    since = time.time()
    script = "sleep 2; srun -Q echo ran"
    job = alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "sleep", "2")
    assert (job.status, created(since)) == (0, [])
    assert alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "sh", "-c", script).lines == [
        "ran"
    ]


@pytest.mark.parametrize("options", [[], ["--docker=none"]])
def test_a_native_job_has_none(alice, options):
    since = time.time()
    script = f"ls -d {STATE}/n1/* 2>&1; srun -Q echo native"
    result = alice.run("salloc", "-Q", "-wn1", "-n1", *options, "sh", "-c", script)
    assert "native" in result.lines
    assert "No such file" in result.stdout
    assert created(since) == []


def test_a_batch_script(alice):
    """Its options are in the script; one container for the script and its steps."""
    since = time.time()
    text = f"#!/bin/sh\n#SBATCH --docker={BUSYBOX}\nsrun -Q echo ran\n"
    assert "ran" in alice.script(text).stdout
    assert created(since) == [BUSYBOX]


def test_the_way_of_the_options_is_not_shown_to_programs(alice):
    script = (
        "#!/bin/sh\nenv | grep -a SOCKER_OPTIONS; srun -Q env | grep -a SOCKER_OPTIONS; echo end\n"
    )
    assert alice.script(script, f"--docker={BUSYBOX}").lines[-1:] == ["end"]
    assert "SOCKER_OPTIONS" not in alice.script(script, f"--docker={BUSYBOX}").stdout
    inner = "srun -Q env | grep SOCKER_OPTIONS; srun -Q --docker=none env | grep SOCKER_OPTIONS"
    result = alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "sh", "-c", inner)
    assert "SOCKER_OPTIONS" not in result.stdout
