"""--container-mounts=SRC[:DST[:ro|rw]],...: the user's own rights, nothing more."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import BUSYBOX


@pytest.fixture
def data():
    """Directories of the node: one that all may use, one of root's alone."""
    base = Path("/srv/socker-mounts")
    shutil.rmtree(base, ignore_errors=True)
    for name, mode in (("open", 0o777), ("closed", 0o700)):
        (base / name).mkdir(parents=True)
        (base / name).chmod(mode)
        (base / name / "file").write_text(f"in {name}\n")
    (base / "closed/inner").mkdir()
    yield base
    shutil.rmtree(base)


def mounted(alice, mounts: str, *command: str):
    return alice.srun(f"--docker={BUSYBOX}", f"--container-mounts={mounts}", *command)


def test_at_its_own_path(alice, data):
    assert mounted(alice, f"{data}/open", "cat", f"{data}/open/file").lines == ["in open"]


def test_at_another_path_that_the_image_lacks(alice, data):
    result = mounted(alice, f"{data}/open:/a/b/c", "cat", "/a/b/c/file")
    assert result.lines == ["in open"]


def test_a_single_file(alice, data):
    assert mounted(alice, f"{data}/open/file:/etc/one", "cat", "/etc/one").lines == ["in open"]


def test_over_a_directory_of_the_image(alice, data):
    assert mounted(alice, f"{data}/open:/root", "ls", "/root").lines == ["file"]


def test_read_only_and_writable(alice, data):
    mounts = f"{data}/open:/ro:ro,{data}/open:/rw:rw"
    result = mounted(alice, mounts, "sh", "-c", "touch /ro/x; echo made > /rw/made; ls /ro")
    assert "Read-only file system" in result.stderr
    assert result.lines == ["file", "made"]
    assert (data / "open/made").owner() == "alice"


def test_a_relative_source(alice, data):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-mounts=open:/x", "ls", "/x", cwd=data)
    assert result.lines == ["file"]


@pytest.mark.parametrize("name", ["closed", "closed/inner", "closed/file"])
def test_what_the_user_cannot_reach_is_refused_with_its_name(alice, data, name):
    result = mounted(alice, f"{data}/{name}:/x", "ls", "/x")
    assert result.status == 1
    assert f"socker: mount {data}/{name}: the job's user cannot read the source" in result.stderr
    assert result.stdout == ""


def test_what_is_closed_to_one_user_is_open_to_another(alice, bob, data):
    shutil.chown(data / "closed", "bob")
    assert mounted(bob, f"{data}/closed:/x", "ls", "/x").lines == ["file", "inner"]
    assert mounted(alice, f"{data}/closed:/x", "ls", "/x").status == 1


def test_a_missing_source_is_named(alice):
    result = mounted(alice, "/srv/nowhere:/x", "true")
    assert result.status == 1
    assert "socker: mount /srv/nowhere: no such file or directory on this node" in result.stderr


def test_file_over_directory(alice, data):
    result = mounted(alice, f"{data}/open/file:/root", "true")
    assert result.status == 1
    assert "is a directory, the other is not" in result.stderr


def test_mounted_directories_are_nosuid_and_nodev(alice, data):
    shutil.copy("/bin/busybox", data / "open/suid")
    (data / "open/suid").chmod(0o4755)
    os.mknod(data / "open/zero", 0o020666, os.makedev(1, 5))
    (data / "open/zero").chmod(0o666)
    result = mounted(
        alice,
        f"{data}/open:/x",
        "sh",
        "-c",
        "head -c 4 /x/zero; /x/suid grep ^Uid /proc/self/status",
    )
    assert "Permission denied" in result.stderr
    assert "\t0" not in result.stdout


@pytest.mark.parametrize(
    ("mounts", "words"),
    [
        ("/a:b", "b must be an absolute path"),
        ("/a:/b:rx", "`rx` is no mount flag"),
        ("/a:/b:ro:x", "too many `:`"),
        ("/a:/b/../c", "must not contain `..`"),
        ("/a:/", "the target must not be / itself"),
        (",", "an entry has no source"),
    ],
)
def test_wrong_forms(alice, mounts, words):
    result = mounted(alice, mounts, "true")
    assert result.status == 1
    assert words in result.stderr
