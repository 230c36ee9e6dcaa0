"""What the options do in srun (local), sbatch (allocator) and slurmstepd (remote)."""

import os
import sys

import pytest

JOB = "SLURM_SPANK__SLURM_SPANK_OPTION_socker_"
OPTION = "_SLURM_SPANK_OPTION_socker_"


def test_without_options_nothing_happens(stub):
    output = stub.run("remote", script="send Tcalled\nexit 0")
    assert "called" not in output
    assert "RAN-ON-THE-NODE" in output
    assert "libpython" not in output


def test_image_none_is_no_container(stub):
    output = stub.run("remote", "container-image=none", "container-mounts=/a", script="exit 0")
    assert "RAN-ON-THE-NODE" in output


def test_docker_none_takes_back_the_jobs_image(stub):
    output = stub.run("remote", "container-image=a", "docker=none", script="exit 0")
    assert "RAN-ON-THE-NODE" in output


def test_any_container_option_asks_for_a_container(stub):
    output = stub.run("remote", "container-mounts=/a", script="exit 1")
    assert "RAN-ON-THE-NODE" not in output


def test_request_holds_what_slurm_says(stub):
    output = stub.run(
        "remote", "container-image=a:1", "container-mount-home", script="show\nexit 1"
    )
    assert "job 42 uid 1000 groups 2:7,8 node n7 euid 0 umask 022" in output
    assert "option container-image=a:1" in output
    assert "option container-mount-home=" in output


SENT = "env SLURM_SOCKER_OPTIONS="


def sent(output: str) -> dict[str, str]:
    """What goes to the node with the step."""
    lines = [line for line in output.splitlines() if line.startswith(SENT)]
    entries = lines[0].removeprefix(SENT).split("\x1f") if lines else []
    return dict(entry.split("=", 1) for entry in entries)


# A relative path as the stub sees it.
HERE = os.getcwd()


def test_srun_may_replace_the_jobs_docker_image(stub):
    env = {JOB + "docker": "job", OPTION + "docker": "job"}
    output = stub.run("local", "docker=job", "container-image=own", env=env)
    assert sent(output) == {"container-image": "own"}


def test_srun_may_replace_the_jobs_image_by_docker(stub):
    env = {JOB + "container_image": "job"}
    output = stub.run("local", "container-image=job", "docker=own", env=env)
    assert sent(output) == {"docker": "own"}


def test_what_the_job_says_holds_for_its_sruns(stub):
    env = {JOB + "docker": "job", JOB + "container_mounts": "/a"}
    output = stub.run("local", "docker=job", "container-mounts=/a", env=env)
    assert sent(output) == {"docker": "job", "container-mounts": "/a"}


def test_the_opposite_of_what_the_job_says(stub):
    env = {JOB + "docker": "a", JOB + "container_writable": ""}
    output = stub.run("local", "docker=a", "container-writable=", "container-readonly=", env=env)
    assert sent(output) == {"docker": "a", "container-readonly": ""}


def test_repeated_lists_add_up_and_replace_the_jobs(stub):
    env = {JOB + "docker": "a", JOB + "container_mounts": "/j"}
    options = ["docker=a", "container-mounts=/j", "container-mounts=/a,/b", "container-mounts=/c"]
    assert sent(stub.run("local", *options, env=env))["container-mounts"] == "/a,/b,/c"
    options = ["docker=a", "container-env=A", "container-env=B=1"]
    assert sent(stub.run("allocator", *options))["container-env"] == "A,B=1"


def test_of_other_options_the_last_holds(stub):
    options = ["docker=a", "container-workdir=/a", "container-workdir=/b"]
    assert sent(stub.run("local", *options))["container-workdir"] == "/b"


def test_relative_paths_start_where_they_were_typed(stub):
    output = stub.run(
        "local",
        "docker=./a.tar",
        "container-mounts=data:/d,/abs,tmpfs:/t,umount:/tmp,./x",
        "container-env-file=vars",
    )
    assert sent(output) == {
        "docker": f"{HERE}/./a.tar",
        "container-mounts": f"{HERE}/data:/d,/abs,tmpfs:/t,umount:/tmp,{HERE}/./x",
        "container-env-file": f"{HERE}/vars",
    }


def test_the_environment_gives_options_too(stub):
    env = {"SOCKER_CONTAINER_IMAGE": "a", "SOCKER_CONTAINER_MOUNTS": "/m"}
    output = stub.run("local", env=env)
    assert f"env {JOB}container_image=a" in output, "Slurm then gives it to the plugin"
    assert "env SOCKER_" not in output, "heard once: nothing inside shall hear it again"


@pytest.mark.parametrize("value", ["1", "true", "yes", ""])
def test_a_switch_is_on(stub, value):
    output = stub.run("local", env={"SOCKER_CONTAINER_WRITABLE": value})
    assert f"env {JOB}container_writable=" in output.splitlines()


@pytest.mark.parametrize("value", ["0", "false", "No"])
def test_a_switch_is_off(stub, value):
    output = stub.run("local", env={"SOCKER_CONTAINER_MOUNT_HOME": value})
    assert f"env {JOB}no_container_mount_home=" in output.splitlines()
    assert "socker" not in stub.run("local", env={"SOCKER_CONTAINER_ENTRYPOINT_LOG": value})


def test_the_environment_wins_over_the_job(stub):
    env = {JOB + "docker": "job", "SOCKER_CONTAINER_IMAGE": "own"}
    output = stub.run("local", "container-image=own", env=env)
    assert sent(output) == {"container-image": "own"}
    assert f"{JOB}docker" not in output


def test_the_command_line_wins_over_the_environment(stub):
    env = {"SOCKER_CONTAINER_IMAGE": "a", "SOCKER_CONTAINER_MOUNTS": "/m"}
    options = ["container-image=a", "container-mounts=/m", "docker=b", "container-mounts=/n"]
    assert sent(stub.run("local", *options, env=env)) == {"docker": "b", "container-mounts": "/n"}


def test_a_new_job_starts_without_the_outer_jobs_options(stub):
    env = {JOB + "docker": "a", OPTION + "docker": "a", JOB + "container_mounts": "/x"}
    env |= {"SLURM_SOCKER_OPTIONS": "docker=a"}
    output = stub.run("allocator", env=env)
    assert "docker" not in output
    assert "SLURM_SOCKER_OPTIONS" not in output


def test_sbatch_hands_the_settled_options_to_the_sruns_in_the_job(stub):
    output = stub.run("allocator", "docker=a", "container-mounts=x", "container-mounts=/y")
    assert f"job {OPTION}container_mounts={HERE}/x,/y" in output
    assert f"env {OPTION}container_mounts={HERE}/x,/y" in output


def test_what_is_to_be_saved_is_the_steps_own(stub):
    output = stub.run("allocator", "docker=a", "container-save=/x.tar", "container-writable=")
    assert "container-save" in sent(output)
    assert f"job {OPTION}container_save" not in output


def test_an_outer_steps_options_do_not_reach_an_srun_without(stub):
    assert "SLURM_SOCKER" not in stub.run("local", env={"SLURM_SOCKER_OPTIONS": "docker=a"})


def test_the_command_runs_nowhere_without_the_plugin(stub):
    output = stub.run("local", "docker=a")
    assert "command /socker-plugin-is-missing-on-this-node/true" in output
    assert "command true" in stub.run("local")
    assert "command true" in stub.run("local", "docker=none")


def test_the_node_believes_the_list_that_came_along(stub):
    env = {"SLURM_SOCKER_OPTIONS": "docker=b\x1fcontainer-mounts=/a,/b"}
    output = stub.run("remote", "docker=a", "container-workdir=/x", script="show\nexit 1", env=env)
    assert "option docker=b" in output
    assert "option container-mounts=/a,/b" in output
    assert "container-workdir" not in output


def test_stages_are_asked_for(stub):
    env = {"SOCKER_VERBOSE": "1"}
    assert sent(stub.run("local", "docker=a", env=env))["verbose"] == "1"


def test_options_may_have_a_prefix(stub):
    output = stub.run("local", "socker-container-image=a", args=["prefix=socker-"])
    assert sent(output) == {"container-image": "a"}
    env = {JOB + "socker_container_image": "job"}
    args = ["prefix=socker-"]
    output = stub.run(
        "local", "socker-container-image=job", "socker-docker=own", env=env, args=args
    )
    assert sent(output) == {"docker": "own"}


# --- the check before anything is queued -----------------------------------------------

PYTHON = [f"python={sys.executable}", "resolve_tags=node"]


def test_wrong_options_end_the_command(stub):
    output = stub.run("local", "docker=A", args=PYTHON, status=1, python=True)
    assert "socker: --docker: `A` is not an image name: names have no capital letters" in output
    assert "post_opt" not in output


def test_right_options_pass(stub):
    assert "post_opt 0" in stub.run("local", "docker=a", args=PYTHON, python=True)


def test_what_the_job_says_was_checked_at_its_submission(stub):
    env = {JOB + "docker": "A"}
    assert "post_opt 0" in stub.run("local", "docker=A", args=PYTHON, env=env, python=True)


def test_a_host_without_python_leaves_the_check_to_the_node(stub):
    assert "post_opt 0" in stub.run("local", "docker=A", args=["python=/nowhere"])


def test_pyxis_variables_count_only_where_the_site_says_so(stub):
    env = {"PYXIS_CONTAINER_IMAGE": "a"}
    assert sent(stub.run("local", args=PYTHON, env=env, python=True)) == {}


def test_messages_name_options_as_the_site_does(stub):
    options, args = ["socker-docker=a", "socker-container-tmp=x"], ["python=", "prefix=socker-"]
    output = stub.run("local", *options, args=args, status=1, python=True)
    assert "socker: --socker-container-tmp: `x` is none of host, private" in output
