"""`container = "required"`, forged variables, and a policy file that is not there or wrong."""

import contextlib
import time
from pathlib import Path

import pytest
from conftest import BUSYBOX, SETTINGS, STATE, read

REQUIRED = """
[[rule]]
name = "free"
users = ["bob"]
container = "optional"
[[rule]]
name = "containers here"
partitions = ["gated"]
container = "required"
"""
REFUSED = (
    "socker: no container: rule 2 `containers here` requires one in partition gated: "
    "add --container-image=IMAGE\n"
)


@pytest.fixture
def checked(plugstack):
    plugstack(lambda text: text.replace("socker.so python=", "socker.so native=check python="))


def test_without_the_word_in_plugstack_native_steps_are_not_asked(alice, settings, gated):
    settings.write_text(REQUIRED)
    assert alice.srun("-p", gated, "echo", "ran").lines == ["ran"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--container-image=none"],
        ["-n4", "--overcommit"],
        ["--export=ALL,SLURM_JOB_PARTITION=all,SLURM_JOB_ACCOUNT=x,SLURM_JOB_UID=0"],
        ["--export=NONE"],
        ["--multi-prog"],
    ],
)
def test_a_step_without_a_container_is_refused(alice, settings, gated, checked, words):
    settings.write_text(REQUIRED)
    command = ["echo", "ran"]
    if "--multi-prog" in words:
        (alice.home / "multi").write_text("* /bin/echo ran\n")
        command = [str(alice.home / "multi")]
    result = alice.srun("-p", gated, *words, *command)
    assert result.status != 0
    assert result.stdout == ""
    assert result.stderr.count(REFUSED) == 1
    assert alice.srun("-p", gated, f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"]


def test_elsewhere_native_steps_run(alice, bob, settings, gated, checked):
    settings.write_text(REQUIRED)
    assert alice.srun("echo", "ran").lines == ["ran"]
    assert bob.srun("-p", gated, "echo", "ran").lines == ["ran"]


def test_a_batch_script_on_the_bare_node_counts(alice, settings, gated, checked):
    settings.write_text(REQUIRED)
    script = "#!/bin/sh\necho ran\n"
    result = alice.script(script, "-p", gated)
    assert result.status != 0
    assert result.stdout == REFUSED
    assert alice.script(script, "-p", gated, f"--docker={BUSYBOX}").lines == ["ran"]
    assert alice.script(script).lines == ["ran"]


def test_steps_of_a_job_are_asked_about_once(alice, settings, gated, checked, wait_for):
    """The note is the job's on its node, root's, and gone with the job."""
    settings.write_text(REQUIRED)
    script = (
        "srun -Q true; ls -A /run/socker/native 2>&1; srun -Q echo ran;"
        f"srun -Q --docker={BUSYBOX} echo inside"
    )
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script)
    assert result.lines[-2:] == ["ran", "inside"]
    assert "Permission denied" in result.stdout
    wait_for(lambda: not list(STATE.glob("native/*")))


def test_a_heterogeneous_job(alice, settings, gated, checked):
    settings.write_text(REQUIRED)
    for first, second in ((gated, "all"), ("all", gated)):
        result = alice.srun(
            "-n1", "-p", first, "echo", first, ":", "-n1", "-p", second, "echo", second
        )
        assert gated not in result.lines
        assert REFUSED in result.stderr


def test_when_slurm_does_not_tell_nothing_runs(alice, settings, gated, checked):
    """squeue of this cluster is made to fail, for root in the hook alone."""
    settings.write_text(REQUIRED)
    with broken_squeue():
        native = alice.srun("echo", "ran")
        settings.write_text('[[rule]]\npartitions = ["all"]\nallow_images = ["*"]\n')
        inside = alice.srun(f"--docker={BUSYBOX}", "echo", "ran")
    for result in (native, inside):
        assert result.stdout == ""
        assert "rules of this site depend on the job's account or partition: " in result.stderr


@contextlib.contextmanager
def broken_squeue():
    squeue = Path("/usr/bin/squeue")
    kept = squeue.with_name("squeue.kept")
    squeue.rename(kept)
    try:
        squeue.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
        squeue.chmod(0o755)
        yield
    finally:
        kept.rename(squeue)


# --- forged variables --------------------------------------------------------------------


def test_forged_variables_change_nothing_of_another_job(alice, bob, settings, wait_for):
    """Neither do prolog and epilog believe them."""
    settings.write_text('[[rule]]\nusers = ["bob"]\ndeny_images = ["debian"]\n')
    step = bob.start("srun", "-Q", f"--docker={BUSYBOX}", "sleep", "60")
    [victim] = wait_for(lambda: read("squeue", "-h", "-u", "bob", "-t", "R", "-o", "%A").split())
    for name in ("*.steps", "steps/0"):
        wait_for(lambda name=name: list(STATE.glob(f"n?/{victim}/{name}")))
    time.sleep(1)  # the rest of what its start writes
    before = sorted(STATE.glob(f"n?/{victim}/**/*"))
    lies = {
        "SLURM_JOB_ID": victim,
        "SLURM_JOBID": victim,
        "SLURM_JOB_UID": "1002",
        "SLURM_JOB_USER": "bob",
        "SLURMD_NODENAME": "n1/../n2",
        "SPANK_SLURM_JOB_ID": victim,
        "SPANK__SLURM_SPANK_OPTION_socker_container_name": "x",
        "_SLURM_SPANK_OPTION_socker_docker": "none",
        "_SLURM_SPANK_OPTION_socker_container_image": "none",
    }
    exported = ",".join(f"{name}={value}" for name, value in lies.items())
    result = alice.srun(
        f"--export=ALL,{exported}", f"--docker={BUSYBOX}", "readlink", "-f", "/bin/sh"
    )
    assert result.lines == ["/bin/busybox"]
    result = alice.run("srun", f"--docker={BUSYBOX}", "true", env=lies)
    assert result.status != 0, "Slurm gives no step of a job to another user"
    script = alice.script("#!/bin/sh\nid -un\n", f"--docker={BUSYBOX}",
                          env={n: v for n, v in lies.items() if "SPANK" in n})  # fmt: skip
    assert script.lines == ["alice"]
    assert sorted(STATE.glob(f"n?/{victim}/**/*")) == before
    assert read("docker", "ps", "-q", "--filter", f"label=socker.job={victim}").split()
    assert step.poll() is None
    read("scancel", victim)
    step.wait(30)


# --- the policy file ----------------------------------------------------------------------


def missing():
    SETTINGS.unlink()


def invalid():
    SETTINGS.write_text("[[rule]]\nallow_image = ['x']\n")


def world_writable():
    SETTINGS.chmod(0o666)


def in_a_writable_folder():
    SETTINGS.parent.chmod(0o777)


def unreadable():
    SETTINGS.chmod(0)


def a_folder():
    SETTINGS.unlink()
    SETTINGS.mkdir()


def a_dangling_link():
    SETTINGS.unlink()
    SETTINGS.symlink_to("/nowhere")


FAULTS = {
    missing: "there is no such file, and without it no container runs: make it by `socker install`",
    invalid: "rule 1: allow_image is not a key of a rule: did you mean allow_images?",
    world_writable: "others than root may write to it: chmod go-w it",
    in_a_writable_folder: "others than root may write to /etc/socker: chown root and chmod go-w it",
    unreadable: "its mode lets nobody read it: chmod u+r it",
    a_folder: "Is a directory",
    a_dangling_link: "there is no such file",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_policy_no_container_runs_and_all_else_does(alice, settings, checked, fault):
    fault()
    for words in ([f"--docker={BUSYBOX}"], [f"--docker={BUSYBOX}", "--container-name=x"]):
        result = alice.srun(*words, "echo", "ran")
        assert result.status == 1
        assert result.stdout == ""
        assert f"socker: {SETTINGS}: {FAULTS[fault]}" in result.stderr
    assert alice.srun("echo", "native").lines == ["native"]
    assert alice.script("#!/bin/sh\necho script\n").lines == ["script"]


def test_a_policy_that_breaks_while_a_job_runs(alice, settings, wait_for):
    """Its containers go all the same (the fixture looks), and its next step is refused."""
    script = f"srun -Q --docker={BUSYBOX} echo one; read line; srun -Q --docker={BUSYBOX} echo two"
    job = alice.start("salloc", "-Q", "-n1", "sh", "-c", script, stdin=-1, stdout=-1, stderr=-1)
    assert job.stdout.readline() == "one\n"
    settings.write_text("broken")
    output, errors = job.communicate("\n", timeout=60)
    assert output == ""
    assert f"socker: {SETTINGS}: it is not valid TOML" in errors
