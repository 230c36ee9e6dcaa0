"""The socker command on the cluster: run, pull, images, ps, explain."""

import json
import subprocess

from conftest import BUSYBOX, DEBIAN, SOCKER, read


def socker(user, *argv, **options):
    return user.run(SOCKER, *argv, **options)


def in_job(user, script, *argv, **options):
    return user.run("salloc", "-Q", *argv, "sh", "-c", script, **options)


# --- run --------------------------------------------------------------------------


def test_run(alice):
    result = socker(alice, "run", BUSYBOX, "sh", "-c", "ls /etc/debian_version; id -un; exit 7")
    assert result.status == 7
    assert result.lines == ["alice"]


def test_run_with_options(alice):
    (alice.home / "cli-data").mkdir(exist_ok=True)
    result = socker(
        alice, "run", "-n", "2", "-e", "A=1,2", "-e", "B=3", "--mount", "cli-data:/in:ro",
        "-w", "/in", BUSYBOX, "sh", "-c", "echo $A $B $PWD $SLURM_NTASKS; touch x",
    )  # fmt: skip
    (alice.home / "cli-data").rmdir()
    assert result.lines == ["1,2 3 /in 2"] * 2
    assert "Read-only file system" in result.stderr


def test_run_with_sruns_options(alice):
    words = ["--", "-N", "2", "--ntasks-per-node=1", "--label"]
    result = socker(alice, "run", *words, BUSYBOX, "sh", "-c", "echo $SLURMD_NODENAME")
    assert sorted(result.lines) == ["0: n1", "1: n2"]


def test_stdin(alice):
    assert socker(alice, "run", BUSYBOX, "wc", "-c", stdin="x" * 100_000).lines == ["100000"]


def test_the_commands_own_dashes(alice):
    assert socker(alice, "run", BUSYBOX, "echo", "--", "-N2").lines == ["-- -N2"]


def test_in_an_allocation(alice):
    script = f"{SOCKER} run {BUSYBOX} sh -c 'echo $SLURM_NTASKS $SLURM_NNODES'"
    result = in_job(alice, script, "-N2", "-n4")
    assert result.lines == ["1 1"]
    assert result.stderr == ""


def test_beside_the_batch_script_and_another_step(alice):
    text = f"#!/bin/sh\nsrun -n1 sleep 5 &\n{SOCKER} run {BUSYBOX} echo ran; wait\n"
    assert alice.script(text, "-n1").lines == ["ran"]


def test_a_terminal(alice):
    """script(1) gives it one, and one that is closed ends the shell."""
    command = f"{SOCKER} run {BUSYBOX} tty"
    result = alice.run("script", "-qec", command, "/dev/null")
    assert "/dev/pts/" in result.stdout


def test_a_signal_ends_the_command(alice, wait_for):
    step = alice.start(
        SOCKER, "run", BUSYBOX, "sleep", "300",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: "running" in read("squeue", "-h", "-t", "running", "-o", "%T").lower())
    read("scancel", "--user=alice")
    assert step.wait(30) != 0
    step.communicate()


def test_refused_before_anything_is_queued(alice):
    result = socker(alice, "run", "Debian", "true")
    assert result.status == 2
    assert result.stderr.startswith("socker: run: `Debian` is not an image name")
    assert len(result.stderr.splitlines()) == 1


# --- pull --------------------------------------------------------------------------


def test_pull_on_all_nodes(alice):
    script = f"{SOCKER} pull {BUSYBOX} && srun --docker={BUSYBOX} hostname"
    result = in_job(alice, script, "-N2", "-n2")
    assert result.status == 0, result.stderr
    assert len(result.lines) == 2


def test_pull_of_an_image_without_any_program(alice, make_image):
    import shutil

    image = make_image("empty", lambda root: shutil.rmtree(root / "bin"))
    assert in_job(alice, f"{SOCKER} pull {image}", "-N1").status == 0


def test_pull_does_not_take_the_jobs_container(alice):
    script = f"srun --container-name=work true && {SOCKER} pull {DEBIAN}"
    result = in_job(alice, script, f"--docker={BUSYBOX}")
    assert result.status == 0, result.stderr


def test_pull_of_what_is_not_there(alice):
    result = in_job(alice, f"{SOCKER} pull {BUSYBOX}nothing", "-N1")
    assert result.status != 0
    assert "cannot be pulled" in result.stderr


# --- images, ps, explain ---------------------------------------------------------------


def test_images(alice):
    assert socker(alice, "run", BUSYBOX, "true").status == 0
    found = json.loads(read(SOCKER, "images", "--json"))
    assert BUSYBOX in [image["image"] for image in found["present"]]
    assert "only root can ask its engine" in socker(alice, "images").stdout


def test_ps(alice, bob, wait_for):
    step = alice.start("srun", "-Q", "-w", "n1", f"--docker={BUSYBOX}", "sleep", "300")
    wait_for(lambda: json.loads(read(SOCKER, "ps", "--json")))
    [found] = json.loads(read(SOCKER, "ps", "--json"))
    assert (found["user"], found["node"], found["image"]) == ("alice", "n1", BUSYBOX)
    [own] = json.loads(socker(alice, "ps", "--json").stdout)
    assert (own["job"], own["steps"], own["node"], own["image"]) == (found["job"], 1, "n1", "-")
    assert json.loads(socker(bob, "ps", "--json").stdout) == []
    read("scancel", "--user=alice")
    step.wait(30)


def test_explain_says_what_happens(alice):
    words = [f"--docker={BUSYBOX}", "--container-mounts=tmpfs:/scratch", "--container-env=A=1"]
    found = json.loads(socker(alice, "explain", "--json", *words, "true").stdout)
    shown = alice.srun(*words, "sh", "-c", "cut -d' ' -f2 /proc/mounts; pwd; echo $A").lines
    assert {mount["target"] for mount in found["plan"]["mounts"]} <= set(shown)
    assert shown[-2] == found["plan"]["workdirs"][0]
    assert shown[-1] == found["plan"]["environment"]["set"]["A"]


def test_explain_in_a_job_with_options(alice):
    script = f"{SOCKER} explain --json srun --container-tmp=private true"
    found = json.loads(in_job(alice, script, f"--docker={BUSYBOX}").stdout)
    assert found["options"] == {"container-tmp": "private", "docker": BUSYBOX}
