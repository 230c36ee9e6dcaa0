"""Whatever a hook does wrong: the task never runs on the bare node (DESIGN D5)."""

import os
import time

import pytest

IMAGE = "container-image=busybox"
FAILED = "task status 256"  # the task's own exit with 1

# What a hook may do, and the words that tell the user why.
FAULTS = {
    "no record at all": ("exit 0", "internal error"),
    "no last record": ("send R\ndescriptor\nexit 0", "internal error"),
    "a wrong count": ("descriptor\nsend K7\nexit 0", "cannot be read"),
    "no namespace": ("send K0\nexit 0", None),
    "an unknown record": ("send ?\nexit 0", "cannot be read"),
    "a mount without a target": ("send Mr\\0/src\nexit 0", "cannot be read"),
    "a relative mount": ("send Mr\\0src\\0/dst\nexit 0", "cannot be read"),
    "a hint without a text": ("send Hnone\\0libmpi\nsend K1\nexit 0", "cannot be read"),
    "a copy of nothing": ("send CRANK\nsend K1\nexit 0", "cannot be read"),
    "two namespaces": ("descriptor\ndescriptor\nsend K2\nexit 0", "cannot be read"),
    "a crash": ("crash", "internal error"),
    "a crash half-way": ("descriptor\ncrash", "internal error"),
    "a failure with its reason": ("send Fimage x: not there\nexit 1", "image x: not there"),
    "a failure that then says success": (
        "send Fimage x: not there\ndescriptor\nsend K2\nexit 1",
        "image x: not there",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_hook(stub, fault):
    script, words = FAULTS[fault]
    output = stub.run("remote", IMAGE, script=script)
    assert "user_init 0" in output, "a failing user_init drains the node under sbatch"
    assert FAILED in output
    assert "RAN-ON-THE-NODE" not in output
    if words:
        assert words in output


def test_hanging_hook_is_stopped(stub):
    started = time.monotonic()
    output = stub.run("remote", IMAGE, script="sleep 50")
    assert "did not finish in time" in output
    assert FAILED in output
    assert time.monotonic() - started < 20


def test_hook_may_ask_for_more_time(stub):
    output = stub.run("remote", IMAGE, script="send D30\nsleep 3\nsend Fthe end\nexit 1")
    assert "the end" in output


def test_missing_library(stub):
    output = stub.run("remote", IMAGE, args=["library=/nowhere.so"])
    assert "log: socker: hook: /nowhere.so" in output
    assert FAILED in output


def test_missing_python_argument(stub):
    output = stub.run("remote", IMAGE, args=["python="], script="exit 0")
    assert FAILED in output


def test_traceback_goes_to_the_log(stub):
    output = stub.run("remote", IMAGE, script="stderr Traceback: oh\nexit 1")
    assert "log: socker: hook: Traceback: oh" in output
    assert "user: Traceback" not in output


def test_every_task_fails_and_one_says_why(stub):
    output = stub.run("remote", IMAGE, script="send Fimage x: not there\nexit 1", tasks=4)
    assert output.count(FAILED) == 4
    assert output.count("image x: not there") == 1
    assert "RAN-ON-THE-NODE" not in output


def test_every_task_gets_the_plan(stub):
    script = "send Ta line\ndescriptor\nsend W/tmp\nsend K3\nexit 0"
    output = stub.run("remote", IMAGE, script=script, tasks=4)
    assert output.count("task status 0") == 4
    assert output.count("socker: a line") == 1


def test_a_hook_that_nobody_waits_for_is_ended(stub):
    """The task gives up at the deadline; the hook must not outlive the step."""
    started = time.monotonic()
    output = stub.run("remote", IMAGE, script="sleep 60")
    assert "exit 0" in output
    assert time.monotonic() - started < 30


STRANGE = "a child that is no task has ended"


def test_slurmstepd_sees_no_child_end_but_tasks(stub):
    """It would wait for 100 ms then (spank_plugin/child.c)."""
    script = "descriptor\nsend W/tmp\nsend K2\nexit 0"
    output = stub.run("remote", IMAGE, script=script, linger=True, tasks=2)
    assert output.count("task status 0") == 2
    assert STRANGE not in output


def test_the_hook_is_ended_with_its_child(stub):
    """Nothing that they started is left when the step has ended."""
    stub.run("remote", IMAGE, script="sleep 61")
    assert str(stub.folder) not in os.popen("ps -eo args").read()


def test_environment_is_applied(stub):
    script = "send VA=b=c\nsend UPATH\ndescriptor\nsend W/\nsend K4\nexit 0"
    output = stub.run("remote", IMAGE, script=script, env={"PATH": "/bin"})
    assert "setenv A=b=c" in output
    assert "unsetenv PATH" in output


def test_success_enters_the_container(stub):
    """The stub's namespace is the node's: the join takes a private copy of it."""
    script = "descriptor\nsend Mr\\0/proc\\0/tmp\nsend W/tmp\nsend K3\nexit 0"
    output = stub.run("remote", IMAGE, script=script)
    assert "setenv PWD=/tmp" in output
    assert "RAN-ON-THE-NODE" in output, "the task goes on to its execve, inside"
    assert "task status 0" in output


def test_unreachable_workdir_ends_the_task(stub):
    output = stub.run("remote", IMAGE, script="descriptor\nsend W/nowhere\nsend K2\nexit 0")
    assert "working directory /nowhere: No such file" in output
    assert FAILED in output


def test_missing_mount_source_ends_the_task(stub):
    script = "descriptor\nsend M\\0/nowhere\\0/tmp\nsend W/\nsend K3\nexit 0"
    output = stub.run("remote", IMAGE, script=script)
    assert "mount /nowhere: no such file" in output
    assert FAILED in output


def test_missing_optional_source_is_left_out(stub):
    script = "descriptor\nsend Mo\\0/nowhere\\0/tmp\nsend W/\nsend K3\nexit 0"
    assert "task status 0" in stub.run("remote", IMAGE, script=script)


# --- variables and hints of single tasks --------------------------------------------


def test_a_variable_of_the_tasks_own_is_copied(stub):
    script = "send CRANK=SLURM_PROCID\nsend CX=MISSING\ndescriptor\nsend W/\nsend K4\nexit 0"
    output = stub.run("remote", IMAGE, script=script, env={"SLURM_PROCID": "3"})
    assert "setenv RANK=3" in output
    assert "setenv X=" not in output
    assert "task status 0" in output


RANKS = {"SLURM_STEP_NUM_TASKS": "3"}


def hinted(stub, needle: str, path: str, mpi: str = "none", **env: str) -> int:
    """How often three tasks of the stub's command, `true`, give a hint."""
    script = f"send H{mpi}\\0{needle}\\0give this\ndescriptor\nsend W/\nsend K3\nexit 0"
    output = stub.run("remote", IMAGE, script=script, env={"PATH": path, **RANKS, **env}, tasks=3)
    assert output.count("task status 0") == 3
    return output.count("socker: give this")


def test_a_hint_is_given_once_where_the_command_holds_the_needle(stub):
    assert hinted(stub, "libc.so.", "/nowhere:/usr/bin") == 1
    assert hinted(stub, "libmpi.so.", "/usr/bin") == 0
    assert hinted(stub, "libc.so.", "/nowhere") == 0


@pytest.mark.parametrize(
    ("mpi", "env", "given"),
    [
        ("none", {"SLURM_MPI_TYPE": "none"}, 1),
        ("none", {"SLURM_MPI_TYPE": "pmi2"}, 0),
        ("none", {"SLURM_MPI_TYPE": "cray_shasta"}, 0),
        ("none", {"SLURM_STEP_NUM_TASKS": "1"}, 0),
        ("none", {"SLURM_STEP_NUM_TASKS": "x"}, 0),
        ("none", {"OMPI_COMM_WORLD_RANK": "0"}, 0),
        ("pmix", {}, 0),
        ("pmix", {"SLURM_MPI_TYPE": "pmix"}, 1),
        ("pmix", {"SLURM_MPI_TYPE": "pmix_v4"}, 1),
        ("pmix", {"SLURM_MPI_TYPE": "pmi2"}, 0),
    ],
)
def test_a_hint_is_for_ranks_of_one_kind_of_mpi(stub, mpi, env, given):
    assert hinted(stub, "libc.so.", "/usr/bin", mpi, **env) == given


def test_a_command_that_is_no_file_gives_no_hint_and_no_delay(stub, tmp_path):
    os.mkfifo(tmp_path / "true")
    os.chmod(tmp_path / "true", 0o755)
    tmp_path.chmod(0o755)
    assert hinted(stub, "libc.so.", str(tmp_path)) == 0
