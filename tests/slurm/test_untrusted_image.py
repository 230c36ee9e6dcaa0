"""Images are made by anybody: what one holds gains nothing on the node."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from conftest import BUSYBOX, containers, read

SECRET = Path("/etc/shadow")


# The engine's root, and those of the job's own with the image's layers idmapped.
ROOTS = pytest.mark.parametrize(
    "options", [(), ("--container-writable",), ("--container-name=work",)], ids=str
)


@ROOTS
def test_setuid_root_binary_gains_nothing(alice, make_image, options):
    def fill(root):
        shutil.copy(root / "bin/busybox", root / "bin/busybox-setuid")
        (root / "bin/busybox-setuid").chmod(0o4755)

    image = make_image("setuid", fill)
    result = alice.srun(
        f"--docker={image}", *options, "/bin/busybox-setuid", "grep", "^Uid", "/proc/self/status"
    )
    uids = set(result.stdout.split()[1:])
    assert uids == {alice.srun("id", "-u").stdout.strip()}


@ROOTS
def test_file_capabilities_gain_nothing(alice, make_image, options):
    """cap_setuid+ep on a binary, in the kernel's own format (vfs_cap_data v2)."""

    def fill(root):
        shutil.copy(root / "bin/busybox", root / "bin/busybox-cap")
        data = bytes([1, 0, 0, 2]) + (1 << 7).to_bytes(4, "little") + bytes(12)
        os.setxattr(root / "bin/busybox-cap", "security.capability", data)
        assert os.getxattr(root / "bin/busybox-cap", "security.capability") == data

    image = make_image("filecaps", fill)
    result = alice.srun(
        f"--docker={image}", *options, "/bin/busybox-cap", "grep", "^Cap", "/proc/self/status"
    )
    assert {line.split()[1] for line in result.lines} == {"0" * 16}


@ROOTS
def test_device_node_gains_nothing(alice, make_image, options):
    disk = os.stat("/dev/vda") if Path("/dev/vda").exists() else os.stat("/dev/mem")

    def fill(root):
        kind = stat.S_IFMT(disk.st_mode)
        os.mknod(root / "disk", kind | 0o666, disk.st_rdev)
        (root / "disk").chmod(0o666)
        os.mknod(root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        (root / "zero").chmod(0o666)

    image = make_image("device", fill)
    script = (
        "head -c 16 /disk; head -c 16 /zero | wc -c;"
        'for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = pause ] && '
        "head -c 16 $p/root/zero; done"
    )
    result = alice.srun(f"--docker={image}", *options, "sh", "-c", script)
    assert result.lines[0] == "0"
    assert result.stderr.count("Permission denied") >= 3


def test_node_device_through_the_first_process(alice, make_image, wait_for):
    """Also root of the node cannot use the image's devices through /proc/PID/root."""

    def fill(root):
        os.mknod(root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))

    image = make_image("device-root", fill)
    job = alice.start("srun", "-Q", f"--docker={image}", "sleep", "4")
    container = wait_for(containers)[0]
    wait_for(lambda: list(Path("/run/socker").glob("n?/*/*.json")))
    pid = read("docker", "inspect", "-f", "{{.State.Pid}}", container).strip()
    with pytest.raises(PermissionError):
        os.open(f"/proc/{pid}/root/zero", os.O_RDONLY)
    job.wait(30)


@pytest.mark.parametrize(
    "link",
    ["/proc/1/root/etc", "../../../../../../etc", "/proc/self/root/etc", "/proc/{pid}/root/tmp"],
)
def test_mount_target_through_a_link_stays_inside(alice, make_image, tmp_path, link):
    """A mkdir for a target must never reach the node (DESIGN D3)."""
    helper = alice.start("sleep", "60")
    try:
        link = link.format(pid=helper.pid)
        image = make_image("links", lambda root: (root / "escape").symlink_to(link))
        alice.srun(
            f"--docker={image}", "--container-mounts=/home/alice:/escape/socker-made-this", "true"
        )
        assert not Path("/etc/socker-made-this").exists()
        assert not Path("/tmp/socker-made-this").exists()
    finally:
        helper.kill()
        helper.wait()


@pytest.mark.parametrize("name", ["etc", "proc", "dev", "sys", "tmp"])
@pytest.mark.parametrize("link", ["/proc/1/root/var/cache", "../../../../var/cache", "/nowhere"])
def test_a_directory_of_the_system_that_is_a_link(alice, make_image, name, link):
    """It is followed inside the image or refused; the node's directory gets nothing."""
    target = Path("/var/cache")
    before = {path: path.lstat() for path in (target, *target.iterdir())}

    def fill(root):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).symlink_to(link)

    image = make_image("strange", fill)
    result = alice.srun(f"--docker={image}", "sh", "-c", "id -u; cat /proc/self/status")
    if result.status == 0:
        assert result.lines[0] == "1001"
        assert "CapEff:\t0000000000000000" in result.lines
    else:
        assert result.said
    assert {path: path.lstat() for path in (target, *target.iterdir())} == before


def test_target_inside_a_mounted_directory_has_the_users_rights(alice):
    """/etc of the node, mounted: no directory may be made in it."""
    result = alice.srun(
        f"--docker={BUSYBOX}", "--container-mounts=/etc:/node,/home/alice:/node/made", "true"
    )
    assert result.status == 1
    assert "the target /node/made cannot be made" in result.stderr
    assert not Path("/etc/made").exists()


def test_target_lookup_tells_nothing_of_closed_directories(alice):
    """Whether a file exists in a directory that is closed to the user stays unknown."""
    there = Path("/root/socker-there")
    there.mkdir(exist_ok=True)
    try:
        texts = set()
        for name in ("there", "nowhere"):
            mounts = f"--container-mounts=/:/node,/home/alice:/node/root/socker-{name}"
            result = alice.srun(f"--docker={BUSYBOX}", mounts, "true")
            assert result.status == 1
            texts.add(tuple(line.replace(name, "X") for line in result.said))
        assert len(texts) == 1
        assert "cannot be made in the container: Permission denied" in str(texts)
        assert not Path("/root/socker-nowhere").exists()
    finally:
        there.rmdir()


@pytest.mark.parametrize("kind", ["fifo", "device", "link", "many lines", "directory"])
def test_strange_account_files(alice, make_image, kind):
    def fill(root):
        path = root / "etc/passwd"
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        elif kind == "link":
            path.symlink_to("/proc/1/root/etc/shadow")
        elif kind == "many lines":
            path.write_text("x:x:5:5::/:\n" * (1 << 16))
        else:
            path.mkdir()

    image = make_image(f"accounts-{kind.replace(' ', '-')}", fill)
    result = alice.srun(f"--docker={image}", "cat", "/etc/passwd")
    if kind in ("many lines", "link"):
        # Nothing of it is shown; a link is followed inside the image.
        assert result.stdout.startswith("alice:x:") or "/etc/passwd" in result.stderr
    else:
        # Docker itself would open a pipe or a device: refused before it starts.
        assert result.status == 1
        assert "its /etc/passwd is not a regular file" in result.stderr
    assert SECRET.read_text().splitlines()[0] not in result.stdout


def test_entrypoint_healthcheck_and_user_of_the_image_do_not_run(alice, make_image):
    image = make_image(
        "runs",
        changes=[
            'ENTRYPOINT ["/bin/touch","/tmp/socker-ran"]',
            "USER root",
            "VOLUME /data",
            'CMD ["x"]',
        ],
    )
    result = alice.srun(f"--docker={image}", "sh", "-c", "id -u; touch /data/x")
    assert result.lines == [alice.srun("id", "-u").stdout.strip()]
    assert "Read-only file system" in result.stderr
    assert not Path("/tmp/socker-ran").exists()


def test_ld_preload_of_the_image_stays_in_the_image(alice, make_image):
    """The variable reaches the task, where it names the image's own files."""
    image = make_image("preload", changes=["ENV LD_PRELOAD=/evil.so"])
    result = alice.srun(f"--docker={image}", "sh", "-c", "echo $LD_PRELOAD")
    assert result.lines == ["/evil.so"]


def test_large_account_files(alice, make_image):
    """A small layer may unpack to any size: the engine must not read it."""

    def fill(root):
        with open(root / "etc/passwd", "wb") as file:
            file.truncate(2 << 20)

    image = make_image("accounts-large", fill)
    result = alice.srun(f"--docker={image}", "true")
    assert result.status == 1
    assert "its /etc/passwd is not a regular file of less than 1 MiB" in result.stderr


def test_an_image_with_many_volumes(alice, make_image):
    image = make_image("volumes", changes=[f"VOLUME /v{i}" for i in range(40)])
    result = alice.srun(f"--docker={image}", "true")
    assert result.status == 1
    assert "it has more than 32 VOLUMEs" in result.stderr


def test_accounts_in_any_language(alice, make_image):
    def fill(root):
        (root / "etc/passwd").write_bytes(b"jos\xc3\xa9:x:5:5:\xff:/:\n")

    image = make_image("language", fill)
    result = alice.srun(f"--docker={image}", "cat", "/etc/passwd")
    names = [line.partition(":")[0] for line in result.lines]
    assert (names[0], names[-1]) == ("alice", "jos\u00e9")
