"""The socker command on the cluster: run, pull, images, ps, explain."""

import json
import re
import subprocess

from conftest import BUSYBOX, DEBIAN, SOCKER, read, without_progress

from tests.terminal import Terminal


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


def test_the_commands_own_dashes(alice):
    assert socker(alice, "run", BUSYBOX, "echo", "--", "-N2").lines == ["-- -N2"]


def test_in_an_allocation(alice):
    script = f"{SOCKER} run {BUSYBOX} sh -c 'echo $SLURM_NTASKS $SLURM_NNODES'"
    result = in_job(alice, script, "-N2", "-n4")
    assert result.lines == ["1 1"]
    assert without_progress(result.stderr) == ""


def test_beside_the_batch_script_and_another_step(alice):
    text = f"#!/bin/sh\nsrun -n1 sleep 5 &\n{SOCKER} run {BUSYBOX} echo ran; wait\n"
    assert alice.script(text, "-n1").lines == ["ran"]


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


def images_of(user):
    """By name, as the user sees them."""
    found = json.loads(socker(user, "images", "--json").stdout)["present"]
    return {image["image"]: image for image in found}


def test_images(alice, bob, make_image):
    """Users see what they have run, with what root sees of it, and nothing of others."""
    private = make_image("alices-own")
    assert socker(alice, "run", private, "true").status == 0
    assert socker(bob, "run", BUSYBOX, "true").status == 0
    everything = {i["image"]: i for i in json.loads(read(SOCKER, "images", "--json"))["present"]}
    for user, name in ((alice, private), (bob, BUSYBOX)):
        shown, known = images_of(user)[name], everything[name]
        for part in ("digest", "image_id", "size"):
            assert shown[part] == known[part]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", shown["digest"])
    assert private not in images_of(bob)
    assert "alices-own" not in socker(bob, "images").stdout
    assert private in socker(alice, "images").stdout


def test_the_files_behind_it_are_the_users_alone(alice, bob):
    assert socker(alice, "run", BUSYBOX, "true").status == 0
    mine = "/run/socker/images/$(id -u alice).shown"
    assert alice.run("sh", "-c", f"cat {mine}").status == 0
    for path in (mine, mine.replace(".shown", ".json")):
        assert "Permission denied" in bob.run("sh", "-c", f"cat {path}").stderr
    assert "Permission denied" in bob.run("ls", "/run/socker/images").stderr


def containers_of(*argv):
    return json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout)


def test_ps(alice, bob, wait_for):
    """Two images in one job, and a step that has none."""
    script = (
        f"srun -Q --overlap -n1 sleep 100 & srun -Q --overlap -n1 --docker={DEBIAN} sleep 100 &"
        "srun -Q --overlap -n1 --docker=none sleep 100 & wait"
    )
    argv = ["salloc", "-Q", "-w", "n1", f"--docker={BUSYBOX}", "sh", "-c", script]
    job = alice.start(*argv, stdout=-1, stderr=-1)

    def both():
        found = json.loads(socker(alice, "ps", "--json").stdout)
        return found if sum(len(c["steps"]) for c in found) == 2 else None

    own = wait_for(both)
    assert {c["image"] for c in own} == {BUSYBOX, DEBIAN}
    assert {(c["user"], c["node"]) for c in own} == {("alice", "n1")}
    assert {step for c in own for step in c["steps"]} <= {"0", "1", "2"}
    everybodys = containers_of(SOCKER, "ps", "--json")
    key = ("job", "image", "node", "user", "steps")
    assert sorted([c[k] for k in key] for c in own) == sorted(
        [c[k] for k in key] for c in everybodys
    )
    assert json.loads(socker(bob, "ps", "--json").stdout) == []
    inside = alice.run("sh", "-c", f"cat /run/socker/n1/{own[0]['job']}/shown")
    assert inside.status == 0
    assert bob.run("sh", "-c", f"cat /run/socker/n1/{own[0]['job']}/shown").status == 1
    read("scancel", "--user=alice")
    job.communicate(timeout=30)


def test_ps_between_steps_and_behind_a_steps_own_container(alice):
    script = (
        f"srun true; sleep 1; {SOCKER} ps; srun --container-writable true; {SOCKER} ps --json;"
        f"sleep 1; {SOCKER} ps"
    )
    result = in_job(alice, script, "-n1", f"--docker={BUSYBOX}")
    lines = [line.split() for line in result.lines if BUSYBOX in line and '"' not in line]
    assert [(line[1], line[2]) for line in lines] == [("-", BUSYBOX)] * 2


def test_ps_of_a_batch_script(alice):
    text = f"#!/bin/sh\n#SBATCH --docker={BUSYBOX}\nsleep 8\n"
    (alice.home / "ps.sh").write_text(text)
    alice.run("sbatch", "-o", "/dev/null", "ps.sh")
    try:
        steps = []
        for _ in range(100):
            steps = [c["steps"] for c in json.loads(socker(alice, "ps", "--json").stdout)]
            if steps == [["batch"]]:
                break
        assert steps == [["batch"]]
    finally:
        read("scancel", "--user=alice")
        (alice.home / "ps.sh").unlink()


def test_tables_on_a_terminal(alice):
    """rich's, no wider than it; plain columns elsewhere."""
    assert socker(alice, "run", BUSYBOX, "true").status == 0
    env = alice.environment({"TERM": "xterm"})
    terminal = Terminal(*alice.command(SOCKER, "images"), env=env, columns=60)
    assert terminal.end() == 0
    table = [line for line in terminal.lines() if not line.startswith("socker: ")]
    assert max(map(len, table)) <= 60
    assert any("\u2500" in line for line in table)
    plain = socker(alice, "images").stdout
    assert plain.isascii()
    assert plain.splitlines()[0].split() == ["IMAGE", "DIGEST", "ID", "SIZE", "USED"]


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
