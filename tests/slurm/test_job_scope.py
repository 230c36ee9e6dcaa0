"""A job's parts: script, array, allocation, interactive step, several steps at once."""

import time

import pytest
from conftest import BUSYBOX, DEBIAN, containers, without_progress
from slurm_conf import extra_lines

SHELL = "readlink -f /bin/sh"  # busybox there, dash in Debian
IN_BUSYBOX = "/bin/busybox"


# --- scripts and arrays -------------------------------------------------------


def test_each_task_of_an_array(alice):
    """All four run in the image, each with its own id."""
    folder = alice.home / "array"
    alice.run("mkdir", "-p", str(folder))
    try:
        script = f"#!/bin/sh\necho $SLURM_ARRAY_TASK_ID $SLURM_ARRAY_TASK_COUNT $({SHELL})\n"
        result = alice.script(script, "--array=0-3", f"--docker={BUSYBOX}", f"--output={folder}/%a")
        assert result.status == 0
        for task in range(4):
            assert without_progress((folder / str(task)).read_text()) == f"{task} 4 {IN_BUSYBOX}\n"
    finally:
        alice.run("rm", "-r", str(folder))


@pytest.mark.parametrize("export", ["NONE", "NIL", "X=y", "ALL,X=y"])
def test_export_of_a_batch_script(alice, export):
    """Whatever of the environment goes along, the script runs in the image."""
    script = f'#!/bin/sh\n{SHELL}\necho "$X" "$FROM_SUBMIT"\n'
    env = {"FROM_SUBMIT": "here"}
    result = alice.script(script, f"--export={export}", f"--docker={BUSYBOX}", env=env)
    native = alice.script(script, f"--export={export}", env=env)
    assert result.lines == [IN_BUSYBOX, native.lines[1]]
    if export == "ALL,X=y":
        assert native.lines[1] == "y here"


def test_export_keeps_the_other_options(alice):
    script = "#!/bin/sh\npwd; ls /node-etc/debian_version; ls -d /home/alice\n"
    options = ["--container-workdir=/bin", "--container-mounts=/etc:/node-etc"]
    options += ["--no-container-mount-home", f"--container-image={BUSYBOX}"]
    result = alice.script(script, "--export=NONE", *options)
    assert result.lines[:2] == ["/bin", "/node-etc/debian_version"]
    assert "/home/alice: No such file" in result.stdout


@pytest.mark.parametrize("export", ["NONE", "X=y", "ALL,X=y"])
def test_export_of_a_step(alice, export):
    command = ["/bin/sh", "-c", f'{SHELL}; echo "$X" "$FROM_SUBMIT"']  # natively there is no PATH
    env = {"FROM_SUBMIT": "here"}
    result = alice.srun(f"--export={export}", f"--docker={BUSYBOX}", *command, env=env)
    native = alice.srun(f"--export={export}", *command, env=env)
    assert result.lines == [IN_BUSYBOX, native.lines[1]]


def test_export_of_a_step_in_an_allocation(alice):
    inner = f"srun -Q --export=NONE {SHELL}; SLURM_EXPORT_ENV=NONE srun -Q {SHELL}"
    result = alice.run("salloc", "-Q", f"--docker={BUSYBOX}", "sh", "-c", inner)
    assert result.lines == [IN_BUSYBOX] * 2


def variables(printed: str) -> dict[str, str]:
    """The job's own and those that Slurm makes, or the shell, are not compared."""
    pairs = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    mine = {name: value for name, value in pairs.items() if not name.startswith("SLURM")}
    for name in ("_", "SHLVL", "OLDPWD", "HOSTNAME", "ENVIRONMENT", "SRUN_DEBUG"):
        mine.pop(name, None)
    return mine


def test_one_environment_for_srun_and_sbatch(alice, make_image):
    image = make_image("one-rule", changes=["ENV PATH=/bin:/opt/x", "ENV BOTH=image"])
    env = {"BOTH": "job", "FROM_JOB": "job", "LD_LIBRARY_PATH": "/node/lib", "TERM": "vt100"}
    step = alice.srun(f"--docker={image}", "env", env=env)
    script = alice.script("#!/bin/sh\nexec env\n", f"--docker={image}", env=env)
    of_step, of_script = variables(step.stdout), variables(script.stdout)
    assert of_script.pop("PATH") == f"{of_step['PATH']}:/.socker/bin"  # Slurm's commands
    assert of_step.pop("PATH") == "/bin:/opt/x"
    assert of_step == of_script
    assert of_step["BOTH"] == "image"


# --- allocations --------------------------------------------------------------


def test_two_steps_at_once(alice):
    """They overlap in time, share one container a node, and both run in the image."""
    # Each waits for the other's file.
    meet = "touch ~/met-$0; until test -e ~/met-$1; do sleep 0.1; done"
    step = f"srun -Q --overlap -n1 sh -c '{SHELL}; {meet}'"
    result = alice.run(
        "salloc",
        "-Q",
        "-N1",
        f"--docker={BUSYBOX}",
        "sh",
        "-c",
        f"rm -f met-?; {step} a b >o1 & {step} b a; wait; cat o1; rm met-?",
    )
    (alice.home / "o1").unlink()
    assert result.lines == [IN_BUSYBOX] * 2


def test_many_steps_share_a_container(alice):
    inner = "for i in 1 2 3 4 5 6 7 8 9 10; do srun -Q true || exit 1; done"
    job = alice.start("salloc", "-Q", "-N1", f"--docker={BUSYBOX}", "sh", "-c", inner)
    seen = 0
    while job.poll() is None:
        seen = max(seen, len(containers()))
        time.sleep(0.1)
    assert job.returncode == 0
    assert seen == 1


@pytest.fixture
def interactive_step():
    with extra_lines("LaunchParameters=use_interactive_step"):
        yield


def typed(user, words: str, *options: str, shell: str = "/bin/sh"):
    """What a user types in the shell that salloc opens on a terminal."""
    command = " ".join(["salloc", "-Q", "-n1", *options])
    return user.run("script", "-qec", command, "/dev/null", stdin=words, env={"SHELL": shell})


def test_interactive_step_in_the_image(alice, interactive_step):
    words = f"echo in=$({SHELL}) step=$SLURM_STEP_ID $(tty); exit 5\n"
    result = typed(alice, words, f"--docker={BUSYBOX}")
    assert f"in={IN_BUSYBOX} step=4294967290 /dev/pts/" in result.stdout
    assert result.status == 5
    native = typed(alice, words)
    assert f"in={IN_BUSYBOX}" not in native.stdout
    assert native.status == 5


def test_interactive_step_with_a_shell_that_the_image_lacks(alice, interactive_step):
    """salloc asks for $SHELL of the submit host."""
    result = typed(alice, "exit 0\n", f"--docker={BUSYBOX}", shell="/bin/bash")
    assert "execve(): /bin/bash: No such file or directory" in result.stdout
    assert result.status == 2
    result = typed(alice, f"echo in=$({SHELL})\nexit 0\n", f"--docker={DEBIAN}", shell="/bin/bash")
    assert "in=/usr/bin/dash" in result.stdout


def test_salloc_without_an_interactive_step_stays_on_the_submit_host(alice):
    words = f"echo in=$({SHELL}) step=$SLURM_STEP_ID.\nsrun -Q {SHELL} </dev/null\nexit 0\n"
    result = typed(alice, words, f"--docker={BUSYBOX}")
    assert "in=/usr/bin/dash step=." in result.stdout
    assert f"\n{IN_BUSYBOX}" in result.stdout
