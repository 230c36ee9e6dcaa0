"""srun --container-image=IMAGE cmd: the root file system, mounts and environment."""

import shutil
from pathlib import Path

from conftest import BUSYBOX, DEBIAN, containers, without_progress


def test_command_runs_in_the_image(alice):
    result = alice.srun(f"--container-image={DEBIAN}", "cat", "/etc/os-release")
    assert result.status == 0
    assert "VERSION_CODENAME=bookworm" in result.stdout
    assert without_progress(result.stderr) == ""


def test_docker_is_the_same_option(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "ls", "/etc/debian_version")
    assert result.status == 1
    assert "No such file" in result.stderr


def test_root_is_read_only_and_home_is_not(alice):
    script = (
        "echo x > ~/written; touch /x; touch /etc/x; mkdir /tmp/x.socker && rmdir /tmp/x.socker"
    )
    result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", script)
    assert result.stderr.count("Read-only file system") == 2
    written = alice.home / "written"
    assert written.read_text() == "x\n"
    assert written.owner() == "alice"
    written.unlink()


def test_home_and_submit_directory(alice, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    # pytest keeps its directories closed; the job's user works in an open one.
    for folder in (work, *work.parents[:2]):
        folder.chmod(0o755)
    (work / "data").write_text("here\n")
    result = alice.srun(
        f"--docker={BUSYBOX}", "sh", "-c", "pwd; echo $PWD; cat data; ls -d ~", cwd=work
    )
    assert result.lines == [str(work), str(work), "here", "/home/alice"]


def test_submit_directory_outside_the_shared_ones(alice):
    work = Path("/srv/socker-test/project")
    work.mkdir(parents=True)
    try:
        (work / "data").write_text("here\n")
        result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", "pwd; cat data; ls /srv", cwd=work)
        assert result.lines == [str(work), "here", "socker-test"]
    finally:
        shutil.rmtree("/srv/socker-test")


def test_no_container_mount_home(alice):
    script = "ls -d /home/alice; pwd"
    result = alice.srun(f"--docker={BUSYBOX}", "--no-container-mount-home", "sh", "-c", script)
    assert "No such file" in result.stderr
    assert result.lines == ["/"]


def test_node_directories_are_shared(alice):
    script = (
        "test -c /dev/null && echo > /dev/null && ls -d /dev/shm /dev/pts && ls -d /proc/1 "
        "&& ls -d /sys/class"
    )
    result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", script)
    assert result.status == 0, result.stderr


def test_dev_shm_is_the_nodes(alice):
    result = alice.srun(
        f"--docker={BUSYBOX}", "sh", "-c", "stat -c %i /dev/shm/.; stat -c %i /tmp/."
    )
    native = alice.srun("sh", "-c", "stat -c %i /dev/shm/.; stat -c %i /tmp/.")
    assert result.lines == native.lines


def test_environment(alice, make_image):
    changes = [
        "ENV PATH=/bin:/opt/image/bin",
        "ENV FROM_IMAGE=image",
        "ENV BOTH=image",
        "ENV SLURM_JOB_ID=lie",
        "ENV HOME=/root",
        "ENV USER=root",
        "WORKDIR /opt/image",
    ]
    image = make_image(
        "environment", lambda root: (root / "opt/image").mkdir(parents=True), changes
    )
    env = {"BOTH": "job", "FROM_JOB": "job", "LD_LIBRARY_PATH": "/node/lib", "PMI_X": "1"}
    result = alice.srun(f"--docker={image}", "env", env=env)
    found = dict(line.split("=", 1) for line in result.lines)
    assert found["PATH"] == "/bin:/opt/image/bin"
    assert found["FROM_IMAGE"] == found["BOTH"] == "image"
    assert found["FROM_JOB"] == "job"
    assert found["SLURM_JOB_ID"].isdigit()
    assert found["HOME"] == "/home/alice"
    assert found["USER"] == found["LOGNAME"] == "alice"
    assert found["PMI_X"] == "1"
    assert "LD_LIBRARY_PATH" not in found


def test_image_workdir_when_the_submit_directory_is_not_visible(alice, make_image):
    image = make_image(
        "workdir", lambda root: (root / "opt/image").mkdir(parents=True), ["WORKDIR /opt/image"]
    )
    result = alice.srun(f"--docker={image}", "pwd", cwd="/usr")
    # /usr of the node is not shown, and this image has none.
    assert result.lines == ["/opt/image"]


def test_container_workdir(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-workdir=/etc", "pwd")
    assert result.lines == ["/etc"]


def test_missing_container_workdir(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-workdir=/nowhere", "pwd")
    assert result.status == 1
    assert "socker: working directory /nowhere: No such file or directory" in result.stderr
    assert result.stdout == ""


def test_image_none_is_a_native_step(alice):
    native = alice.srun("cat", "/etc/debian_version")
    assert alice.srun("--container-image=none", "cat", "/etc/debian_version").lines == native.lines


def test_mounts_without_an_image_are_an_error(alice):
    result = alice.srun("--container-mounts=/tmp", "hostname")
    assert result.status == 1
    assert "--container-mounts needs an image" in result.stderr
    assert result.stdout == ""


def test_stdin_reaches_the_command(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "wc", "-c", stdin="x" * 100_000)
    assert result.lines == ["100000"]


def test_one_container_per_job_and_image(alice, wait_for):
    job = alice.start("salloc", "-Q", "-N1", "sh", "-c",
                      f"srun -Q --docker={BUSYBOX} true; srun -Q --docker={BUSYBOX} true;"
                      f"srun -Q --docker={DEBIAN} true; sleep 3")  # fmt: skip
    wait_for(lambda: len(containers()) == 2)
    assert job.wait(30) == 0
