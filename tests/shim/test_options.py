"""What the options do in srun (local), sbatch (allocator) and slurmstepd (remote)."""

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


def test_contradicting_images_are_refused_at_submission(stub):
    for context in ("local", "allocator"):
        output = stub.run(context, "docker=a", "container-image=b")
        assert "--container-image=b and --docker=a contradict each other" in output
        assert "option -1" in output


def test_the_same_image_twice_is_fine(stub):
    assert "option -1" not in stub.run("local", "docker=a", "container-image=a")


def test_srun_may_replace_the_jobs_docker_image(stub):
    env = {JOB + "docker": "job", OPTION + "docker": "job"}
    output = stub.run("local", "container-image=job", "container-image=own", env=env)
    assert "option -1" not in output
    assert f"env {JOB}container_image=job" in output
    assert f"{OPTION}docker" not in output, "slurmstepd would take it for srun's own"


def test_srun_may_replace_the_jobs_image_by_docker(stub):
    env = {JOB + "container_image": "job"}
    output = stub.run("local", "container-image=job", "docker=own", env=env)
    assert "option -1" not in output


def test_a_new_job_starts_without_the_outer_jobs_options(stub):
    env = {JOB + "docker": "a", OPTION + "docker": "a", JOB + "container_mounts": "/x"}
    assert "socker" not in stub.run("allocator", env=env)
