"""srun's own options with a container step: each as natively, or refused by name."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import BUSYBOX, DEBIAN, read

IMAGE = f"--docker={BUSYBOX}"
SHELL = ["readlink", "-f", "/bin/sh"]


def test_label(alice):
    result = alice.srun("-n2", "--label", IMAGE, *SHELL)
    assert sorted(result.lines) == ["0: /bin/busybox", "1: /bin/busybox"]


def test_output_file_per_task(alice):
    """slurmstepd opens the files, on the node."""
    names = [alice.home / f"out.{task}" for task in range(2)]
    result = alice.srun(
        "-N2", "-n2", IMAGE, "--output=/home/alice/out.%t", "--error=/home/alice/err.%t",
        "sh", "-c", "echo $SLURM_PROCID $(readlink -f /bin/sh); echo complaint >&2",
    )  # fmt: skip
    assert (result.status, result.stdout) == (0, "")
    for task, name in enumerate(names):
        assert name.read_text() == f"{task} /bin/busybox\n"
        assert name.with_name(f"err.{task}").read_text() == "complaint\n"
        assert name.owner() == "alice"
        name.unlink()
        name.with_name(f"err.{task}").unlink()


def test_output_directory_that_is_not_visible_inside(alice):
    folder = Path("/srv/socker-output")
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    try:
        alice.srun(IMAGE, f"--output={folder}/out", "ls", "-d", "/srv")
        assert "/srv: No such file" in (folder / "out").read_text()
    finally:
        read("rm", "-r", str(folder))


def test_multi_prog(alice):
    """A relative program is looked up in the image's PATH, by each task."""
    programs = alice.home / "programs.conf"
    programs.write_text("0 /bin/busybox echo %t of %o\n1 readlink -f /bin/sh\n2-3 echo many %t\n")
    result = alice.srun("-n4", "--label", IMAGE, "--multi-prog", str(programs))
    programs.unlink()
    assert result.status == 0
    assert sorted(result.lines) == ["0: 0 of 0", "1: /bin/busybox", "2: many 2", "3: many 3"]


def test_multi_prog_with_a_program_that_the_image_lacks(alice):
    programs = alice.home / "programs.conf"
    programs.write_text("0 echo here\n1 /usr/bin/apt-get moo\n")
    result = alice.srun("-n2", IMAGE, "--multi-prog", str(programs))
    programs.unlink()
    assert "here" in result.lines
    assert "execve(): /usr/bin/apt-get: No such file or directory" in result.stderr
    assert result.status == 2


@pytest.fixture
def host_program():
    """A script of the submit host, in a directory that no image shows."""
    path = Path("/srv/socker-program")
    path.write_text("#!/bin/sh\necho broadcast to $(readlink -f /bin/sh) as $0\n")
    path.chmod(0o755)
    yield path
    path.unlink()


def test_bcast_to_tmp(alice, host_program):
    result = alice.srun("-N2", IMAGE, "--bcast=/tmp/socker-bcast", str(host_program))
    Path("/tmp/socker-bcast").unlink()
    assert result.lines == ["broadcast to /bin/busybox as /tmp/socker-bcast"] * 2


def test_bcast_to_the_steps_directory(alice, host_program):
    """The default: the step's directory, which is visible inside."""
    result = alice.srun("-n1", IMAGE, "--bcast", str(host_program))
    for left in alice.home.glob("slurm_bcast_*"):
        left.unlink()
    assert result.stdout.startswith("broadcast to /bin/busybox as /home/alice/slurm_bcast_")


def test_bcast_to_a_directory_that_is_not_visible(alice, host_program):
    target = Path("/srv/socker-bcast")
    target.mkdir()
    target.chmod(0o777)
    try:
        result = alice.srun("-n1", IMAGE, f"--bcast={target}/program", str(host_program))
        assert result.status == 2
        assert f"execve(): {target}/program: No such file or directory" in result.stderr
    finally:
        read("rm", "-r", str(target))


def test_bcast_of_a_host_binary(alice):
    """Its libraries are the image's: Debian has them, busybox has none."""
    copy = "/tmp/socker-bcast-hostname"
    native = alice.srun("-wn1", "hostname")
    result = alice.srun(
        "-wn1", f"--docker={DEBIAN}", f"--bcast={copy}", "--send-libs=no", "/usr/bin/hostname"
    )
    assert result.lines == native.lines
    result = alice.srun("-wn1", IMAGE, f"--bcast={copy}", "--send-libs=no", "/usr/bin/hostname")
    assert f"execve(): {copy}: No such file or directory" in result.stderr
    Path(copy).unlink()


def test_chdir(alice, make_image):
    image = make_image("chdir", lambda root: (root / "opt/a").mkdir(parents=True), ["WORKDIR /opt"])
    for folder, inside in (
        ("/tmp", "/tmp"),  # the node's, visible inside
        ("/etc", "/etc"),  # the image's own
        ("/usr/share", "/opt"),  # of the node's system: not visible, so the WORKDIR
    ):
        result = alice.srun(f"--docker={image}", f"--chdir={folder}", "pwd")
        assert result.lines == [inside]


def test_chdir_to_a_directory_that_gets_shown(alice):
    folder = Path("/srv/socker-chdir/data")
    folder.mkdir(parents=True)
    try:
        assert alice.srun(IMAGE, f"--chdir={folder}", "pwd").lines == [str(folder)]
    finally:
        read("rm", "-r", "/srv/socker-chdir")


def test_chdir_to_nowhere_is_slurms_own_fallback(alice):
    native = alice.srun("--chdir=/nowhere", "pwd")
    result = alice.srun(IMAGE, "--chdir=/nowhere", "pwd")
    assert result.lines == native.lines == ["/tmp"]
    assert "couldn't chdir to `/nowhere'" in result.stderr


def test_sattach(alice, wait_for):
    script = "while :; do echo tick from $(readlink -f /bin/sh); sleep 0.2; done"
    step = alice.start("srun", "-Q", IMAGE, "sh", "-c", script, stdout=subprocess.PIPE)
    step.stdout.readline()
    job = read("squeue", "-h", "-o", "%A").strip()
    attached = alice.run("timeout", "6", "sattach", f"{job}.0")
    alice.run("scancel", job)
    step.communicate(timeout=30)
    assert "tick from /bin/busybox" in attached.lines


def test_x11_is_refused_where_the_site_has_it_off(alice):
    for options in ([], [IMAGE]):
        result = alice.srun(*options, "--x11", "true")
        assert result.status != 0
        assert "No DISPLAY variable set, cannot setup x11 forwarding" in result.stderr


def test_a_program_that_the_image_lacks(alice):
    result = alice.srun(IMAGE, "no-such-program")
    assert "execve(): no-such-program: No such file or directory" in result.stderr
    assert result.status == 2


def test_the_real_reason_is_shown(alice):
    """Not "task_init() failed with rc=-1", and not the bare node."""
    result = alice.srun(IMAGE, "--container-mounts=/nowhere", "echo", "ran")
    assert result.stdout == ""
    assert "socker: mount /nowhere: no such file or directory on this node" in result.stderr
    assert "task_init" not in result.stderr


def test_groups_by_name_in_an_image_that_knows_none(alice):
    """One order on the node, another in busybox: the same names and numbers."""
    inside, native = (alice.srun(*options, "id").stdout for options in ([IMAGE], []))
    assert "(lab)" in native and "(gpuusers)" in native
    assert sorted(re.split(r"[ ,=\n]", inside)) == sorted(re.split(r"[ ,=\n]", native))
