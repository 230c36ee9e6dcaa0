"""TaskProlog and TaskEpilog: the site's run on the node, a user's prolog in the image."""

import contextlib

import pytest
from conftest import BUSYBOX, read
from slurm_conf import extra_lines

IMAGE = f"--docker={BUSYBOX}"
ON_THE_NODE = "/usr/bin/dash"  # what /bin/sh is there
IN_THE_IMAGE = "/bin/busybox"


@pytest.fixture
def site():
    """site(prolog, epilog): sets the site's scripts, in a directory that no image shows."""
    read("mkdir", "-m", "755", "/srv/socker-site")
    with contextlib.ExitStack() as stack:
        stack.callback(read, "rm", "-r", "/srv/socker-site")

        def install(**scripts: str) -> None:
            lines = []
            for key, text in scripts.items():
                path = f"/srv/socker-site/{key}"
                with open(path, "w") as file:
                    file.write(f"#!/bin/bash\n{text}\n")
                read("chmod", "755", path)
                lines.append(f"{key}={path}")
            stack.enter_context(extra_lines(*lines))

        yield install


@pytest.fixture
def script(alice):
    """script(name, text): a script of the user's in the home directory."""
    made = []

    def make(name: str, text: str) -> str:
        path = alice.home / name
        path.write_text(text)
        path.chmod(0o755)
        made.append(path)
        return str(path)

    yield make
    for path in (*made, *alice.home.glob("said-*")):
        path.unlink(missing_ok=True)


# --- the site's ---------------------------------------------------------------


def test_sites_prolog_changes_the_environment(alice, site):
    """A bash script that uses the node's programs, in an image that has neither."""
    site(
        TaskProlog='echo "export FROM_SITE=$(/usr/bin/scontrol --version)"\n'
        "echo export WITH_EQUALS=a=b\necho unset FROM_JOB\necho print a word of the site"
    )
    env = {"FROM_JOB": "job"}
    inside = 'echo "$FROM_SITE/$WITH_EQUALS/$FROM_JOB/$(readlink -f /bin/sh)"'
    result = alice.srun(IMAGE, "sh", "-c", inside, env=env)
    native = alice.srun("sh", "-c", inside, env=env)
    assert native.lines[0] == "a word of the site"
    assert native.lines[1].startswith("slurm-wlm ") and "/a=b//" in native.lines[1]
    assert result.lines == [line.replace(ON_THE_NODE, IN_THE_IMAGE) for line in native.lines]


def test_sites_prolog_sees_the_task_and_is_the_user(alice, site):
    site(TaskProlog='echo "export SEEN=$(id -un):$SLURM_PROCID:$SLURM_LOCALID:$PWD"')
    command = ["sh", "-c", "echo $SEEN"]
    native = alice.srun("-n2", "--label", *command)
    assert sorted(alice.srun("-n2", "--label", IMAGE, *command).lines) == sorted(native.lines)


def test_a_failing_prolog_of_the_site_fails_the_task(alice, site):
    site(TaskProlog="exit 3")
    result = alice.srun(IMAGE, "echo", "ran")
    native = alice.srun("echo", "ran")
    assert result.stdout == native.stdout == ""
    assert result.status == native.status == 3
    assert "TaskProlog" in result.stderr


def test_sites_prolog_for_a_batch_script(alice, site):
    site(TaskProlog="echo export FROM_SITE=site")
    assert alice.script("#!/bin/sh\necho $FROM_SITE\n", IMAGE).lines == ["site"]


def test_sites_prolog_is_still_run_for_native_steps(alice, site):
    site(TaskProlog="echo export FROM_SITE=site")
    assert alice.srun("sh", "-c", "echo $FROM_SITE").lines == ["site"]
    assert alice.srun("--container-image=none", "sh", "-c", "echo $FROM_SITE").lines == ["site"]


def test_sites_epilog_runs_on_the_node(alice, site, script):
    script("said-epilog", "")
    (alice.home / "said-epilog").unlink()
    site(TaskEpilog="echo $(id -un) $(readlink -f /bin/sh) > /home/alice/said-epilog")
    assert alice.srun(IMAGE, "true").status == 0
    assert (alice.home / "said-epilog").read_text() == f"alice {ON_THE_NODE}\n"


def test_a_task_that_cannot_join_leaves_it_to_the_next(alice, site):
    """The others have failed at a mount's source when the last task makes it."""
    site(TaskProlog='[ "$SLURM_LOCALID" = 3 ] || exit 0\nsleep 5; mkdir /tmp/socker-later')
    mount = "--container-mounts=/tmp/socker-later:/mnt"
    task = ("sh", "-c", "echo $SLURM_LOCALID")
    try:
        result = alice.srun("-N1", "-n4", "--overcommit", IMAGE, mount, *task)
    finally:
        read("rm", "-r", "/tmp/socker-later")
    assert (result.lines, result.status) == (["3"], 1), result
    assert result.stderr.count("no such file or directory on this node") == 3


# --- the user's ---------------------------------------------------------------


def test_users_prolog_runs_in_the_image(alice, script):
    prolog = script(
        "prolog", '#!/bin/sh\necho "export SEEN=$(readlink -f /bin/sh)"\necho print hello\n'
    )
    command = [f"--task-prolog={prolog}", "sh", "-c", "echo $SEEN"]
    assert alice.srun(IMAGE, *command).lines == ["hello", IN_THE_IMAGE]
    assert alice.srun(*command).lines == ["hello", ON_THE_NODE]


def test_users_epilog_runs_on_the_node(alice, script):
    epilog = script("epilog", "#!/bin/sh\nreadlink -f /bin/sh > /home/alice/said-epilog\n")
    assert alice.srun(IMAGE, f"--task-epilog={epilog}", "true").status == 0
    assert (alice.home / "said-epilog").read_text() == f"{ON_THE_NODE}\n"


def test_a_failing_prolog_of_the_user_fails_the_task(alice, script):
    prolog = script("prolog", "#!/bin/sh\nexit 3\n")
    result = alice.srun(IMAGE, f"--task-prolog={prolog}", "echo", "ran")
    assert (result.status, result.stdout) == (3, "")
    assert "--task-prolog failed status=3" in result.stderr


def test_users_prolog_that_is_not_in_the_image(alice):
    result = alice.srun(IMAGE, "--task-prolog=/usr/bin/env", "echo", "ran")
    assert (result.status, result.stdout) == (1, "")
    assert "user task_prolog can not be executed (/usr/bin/env) No such file" in result.stderr


def test_users_prolog_whose_interpreter_is_not_in_the_image(alice, script):
    prolog = script("prolog", "#!/bin/bash\necho export A=B\n")
    result = alice.srun(IMAGE, f"--task-prolog={prolog}", "echo", "ran")
    assert (result.status, result.stdout) == (127, "")
    assert "--task-prolog failed status=127" in result.stderr
