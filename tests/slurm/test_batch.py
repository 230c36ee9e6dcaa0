"""#SBATCH --docker=IMAGE: the script and its steps run in the image (DESIGN D11)."""

from conftest import BUSYBOX, DEBIAN


def test_script_runs_in_the_image(alice):
    script = f"""#!/bin/bash
#SBATCH --docker={DEBIAN}
. /etc/os-release
echo "$VERSION_CODENAME $(whoami) $SLURM_JOB_ID $# $1"
pwd
cat > out-of-a-batch-script <<< written
"""
    (alice.home / "out-of-a-batch-script").unlink(missing_ok=True)
    result = alice.script(script)
    assert result.status == 0
    assert result.lines[0].startswith("bookworm alice ")
    assert result.lines[1] == "/home/alice"
    written = alice.home / "out-of-a-batch-script"
    assert written.read_text() == "written\n"
    written.unlink()


def test_script_for_a_tiny_shell(alice):
    result = alice.script(
        f"#!/bin/sh\n#SBATCH --container-image={BUSYBOX}\nls /etc/debian_version\nexit 9\n"
    )
    assert "No such file" in result.stdout
    assert result.status == 9


def test_script_options_on_the_command_line(alice):
    result = alice.script(
        "#!/bin/sh\necho $0; pwd\n", f"--docker={BUSYBOX}", "--container-workdir=/etc"
    )
    assert result.lines[0].endswith("/slurm_script")
    assert result.lines[1] == "/etc"


def test_steps_of_an_allocation_inherit_the_image(alice):
    script = "srun -Q sh -c 'ls /etc/debian_version 2>&1; hostname >/dev/null'"
    result = alice.run("salloc", "-Q", "-N2", f"--docker={BUSYBOX}", "sh", "-c", script)
    assert result.stdout.count("No such file") == 2


def test_inner_srun_opts_out_or_takes_another_image(alice):
    script = (
        "srun -Q --container-image=none cat /etc/debian_version;"
        f"srun -Q --container-image={DEBIAN} ls /bin/bash;"
        f"srun -Q --docker={DEBIAN} ls /bin/bash;"
        "srun -Q ls /bin/bash"
    )
    for option in ("--docker", "--container-image"):
        result = alice.run("salloc", "-Q", "-N1", f"{option}={BUSYBOX}", "sh", "-c", script)
        with open("/etc/debian_version") as file:
            assert result.lines == [file.read().strip(), "/bin/bash", "/bin/bash"]
        assert "/bin/bash: No such file" in result.stderr


def test_mounts_are_inherited_too(alice):
    script = "srun -Q ls /node-etc/debian_version"
    result = alice.run(
        "salloc",
        "-Q",
        f"--docker={BUSYBOX}",
        "--container-mounts=/etc:/node-etc:ro",
        "sh",
        "-c",
        script,
    )
    assert result.lines == ["/node-etc/debian_version"]


def test_a_job_submitted_from_a_job_starts_afresh(alice):
    script = "sbatch --wait --output=/home/alice/inner.out --wrap='cat /etc/debian_version'"
    (alice.home / "inner.out").unlink(missing_ok=True)
    alice.run("salloc", "-Q", f"--docker={BUSYBOX}", "sh", "-c", script)
    assert (alice.home / "inner.out").read_text().strip()


def test_a_wrong_image_fails_the_batch_job_and_keeps_the_node(alice):
    result = alice.script("#!/bin/sh\necho ran on $(hostname)\n", "--docker=127.0.0.1:5000/nope:1")
    assert result.status == 1
    assert "127.0.0.1:5000/nope:1 cannot be pulled" in result.stdout
    assert "ran on" not in result.stdout
