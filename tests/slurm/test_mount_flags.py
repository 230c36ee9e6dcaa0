"""What the flags of --container-mounts do, and tmpfs: and umount:."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BUSYBOX


@pytest.fixture
def data():
    base = Path("/srv/socker-flags")
    shutil.rmtree(base, ignore_errors=True)
    (base / "dir").mkdir(parents=True)
    (base / "dir").chmod(0o777)
    (base / "dir/file").write_text("text\n")
    (base / "with space").mkdir()
    (base / "with space/file").write_text("spaced\n")
    shutil.copy("/bin/busybox", base / "dir/busybox")
    (base / "dir/below").mkdir()
    # As on a node with systemd, whose mounts are shared.
    subprocess.run(["mount", "--bind", base, base], check=True)
    subprocess.run(["mount", "--make-shared", base], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", base / "dir/below"], check=True)
    (base / "dir/below/inner").touch()
    yield base
    subprocess.run(["umount", base / "dir/below", base], check=True)
    shutil.rmtree(base)


def run(alice, mounts, *argv, **options):
    given = [f"--container-mounts={m}" for m in ([mounts] if isinstance(mounts, str) else mounts)]
    return alice.srun(f"--docker={BUSYBOX}", *given, *argv, **options)


def options_of(alice, data, flags: str) -> str:
    """The line of /proc/self/mountinfo for the mount."""
    result = run(alice, f"{data}/dir:/m:{flags}", "grep", " /m ", "/proc/self/mountinfo")
    return result.stdout


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("ro", ["ro,nosuid,nodev"]),
        ("rw", ["rw,nosuid,nodev"]),
        ("noexec", ["rw,nosuid,nodev,noexec"]),
        ("ro+noexec+nosuid+nodev", ["ro,nosuid,nodev,noexec"]),
        ("x-create=dir", ["rw,nosuid,nodev"]),
        ("slave", ["master:"]),
        ("rslave", ["master:"]),
        ("shared", ["shared:"]),
        ("rshared", ["shared:"]),
        ("unbindable", ["unbindable"]),
        ("runbindable", ["unbindable"]),
    ],
)
def test_flags(alice, data, flags, expected):
    line = options_of(alice, data, flags)
    assert all(part in line for part in expected)


def test_what_is_mounted_below(alice, data):
    assert run(alice, f"{data}/dir:/m:rbind", "ls", "/m/below").lines == ["inner"]
    result = run(alice, f"{data}/with space:/m:bind", "ls", "/m")
    assert result.lines == ["file"]


def test_what_a_mount_hides_stays_hidden(alice, data):
    result = run(alice, f"{data}/dir:/m:bind", "ls", "/m/below")
    assert f"mount {data}/dir: bind: something is mounted below it: use rbind" in result.stderr
    result = run(alice, f"{data}/dir:/m,umount:/m/below", "ls", "/m/below")
    assert "umount /m/below: it is below another mount" in result.stderr
    result = run(alice, "umount:/proc", "ls", "-A", "/proc")
    assert result.lines == []


@pytest.mark.parametrize(("flag", "recursive"), [("shared", 0), ("rshared", 1), ("runbindable", 1)])
def test_propagation_of_what_is_below(alice, data, flag, recursive):
    line = run(alice, f"{data}/dir:/m:{flag}", "grep", " /m/below ", "/proc/self/mountinfo").stdout
    assert line.count(flag.removeprefix("r")) == recursive


@pytest.mark.parametrize("flags", ["private", "rprivate"])
def test_private(alice, data, flags):
    line = options_of(alice, data, flags)
    assert line
    assert "master:" not in line
    assert "shared:" not in line


def test_noexec_holds(alice, data):
    result = run(alice, f"{data}/dir:/m:noexec", "/m/busybox", "true")
    assert "Permission denied" in result.stderr
    assert run(alice, f"{data}/dir:/m", "/m/busybox", "true").status == 0


def test_spaces(alice, data):
    result = run(alice, f"{data}/with space:/to here", "cat", "/to here/file")
    assert result.lines == ["spaced"]


def test_repeated_options_add_up(alice, data):
    result = run(
        alice, [f"{data}/dir:/a", f"{data}/dir:/b,{data}/dir:/c"], "ls", "-d", "/a", "/b", "/c"
    )
    assert result.lines == ["/a", "/b", "/c"]


def test_repeated_options_of_a_script(alice, data):
    lines = [f"#SBATCH --container-mounts={data}/dir:{target}\n" for target in ("/a", "/b")]
    script = "".join(["#!/bin/sh\n", *lines, "ls -d /a /b\n"])
    assert alice.script(script, f"--docker={BUSYBOX}").lines == ["/a", "/b"]


def test_later_entries_see_earlier_ones(alice, data):
    mounts = [f"tmpfs:/t,{data}/dir:/t/in", f"{data}/with space:/t/in/file"]
    wrong = run(alice, mounts, "true")
    assert "one of source and target /t/in/file is a directory, the other is not" in wrong.stderr
    result = run(alice, [f"tmpfs:/t,{data}/dir:/t/in"], "cat", "/t/in/file")
    assert result.lines == ["text"]


def test_a_tmpfs_over_a_mount(alice, data):
    result = run(alice, f"{data}/dir:/m,tmpfs:/m", "ls", "-A", "/m")
    assert (result.status, result.stdout) == (0, "")


def test_umount(alice, data):
    assert run(alice, "umount:/tmp", "grep", "-c", " /tmp ", "/proc/self/mounts").lines == ["0"]
    result = run(alice, f"{data}/dir:/m,tmpfs:/m,umount:/m", "cat", "/m/file")
    assert result.lines == ["text"]


def test_umount_of_no_mount(alice):
    result = run(alice, "umount:/bin", "true")
    assert "socker: umount /bin: nothing is mounted there: check the path" in result.stderr


def test_create_a_file(alice, data):
    assert run(alice, f"{data}/dir/file:/new/one:x-create=file", "cat", "/new/one").lines == [
        "text"
    ]
    result = run(alice, f"{data}/dir:/new/two:x-create=file", "true")
    assert "one of source and target /new/two is a directory" in result.stderr


def test_a_link_of_the_image_leads_nowhere_out(alice, data, make_image):
    def fill(root):
        (root / "out").symlink_to("/../../../../etc")
        (root / "up").symlink_to("/proc/1/root/tmp")

    image = make_image("links", fill)
    result = alice.srun(
        f"--docker={image}",
        f"--container-mounts={data}/dir:/out/new,tmpfs:/out/t",
        "ls",
        "/etc/new/file",
    )
    assert result.lines == ["/etc/new/file"]
    assert not Path("/etc/new").exists()
    result = alice.srun(f"--docker={image}", f"--container-mounts={data}/dir:/up/evil", "true")
    assert result.status != 0
    assert not Path("/tmp/evil").exists()


def test_a_shared_mount_shows_nothing_on_the_node(alice, data):
    mounts = f"{data}/dir:/m:rshared,tmpfs:/m/inner"
    before = mounts_of(data)
    assert len(before) == 2
    assert run(alice, mounts, "ls", "-d", "/m/inner").status == 0
    assert mounts_of(data) == before
    assert not list((data / "dir").glob("inner/*"))


def mounts_of(data: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if str(data) in line]


def test_relative_to_where_the_command_was_given(alice, data):
    result = alice.run(
        "salloc", "-Q", f"--docker={BUSYBOX}", "--container-mounts=dir:/m", "sh", "-c",
        "cd /; srun -Q ls /m/file", cwd=data,
    )  # fmt: skip
    assert result.lines == ["/m/file"]
