"""--container-save: a container becomes a file or an image in a registry, at the step's end."""

import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import images
import pytest
from conftest import BUSYBOX, REGISTRY, read
from locked_registry import AUTH, LOCKED, SECRET

pytestmark = pytest.mark.usefixtures("no_file_images")
CHANGE = "echo saved > /made; chmod 644 /made; mkdir -p /deep/er; ln -s /made /deep/er/link"


@pytest.fixture
def folder(alice):
    """A directory of alice's that is the same on all nodes."""
    path = alice.home / "saved"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    shutil.chown(path, "alice", "alice")
    yield path
    shutil.rmtree(path)


def save(user, target, script=CHANGE, *options, image=BUSYBOX, **more):
    return user.srun(
        f"--container-image={image}",
        "--container-writable",
        f"--container-save={target}",
        *options,
        "sh",
        "-c",
        script,
        **more,
    )


def layer_of(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as outer, tarfile.open(fileobj=outer.extractfile("layer.tar")) as tar:
        return {member.name: member for member in tar}


# --- files ---


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz", "x.sqsh", "x.squashfs"])
def test_what_was_made_is_there_when_it_is_started_again(alice, folder, name):
    result = save(alice, folder / name)
    assert result.status == 0
    assert f"socker: saved {folder / name}: " in result.stderr
    status = (folder / name).stat()
    assert (status.st_mode & 0o777, (folder / name).owner()) == (0o600, "alice")
    assert os.listdir(folder) == [name]
    again = alice.srun(
        f"--container-image={folder / name}", "sh", "-c", "cat /made /deep/er/link; echo $PATH"
    )
    assert again.lines == ["saved", "saved", "/bin"]


def test_a_relative_path(alice, folder):
    assert save(alice, "./x.tar", cwd=folder).status == 0
    assert (folder / "x.tar").exists()


def test_owners_are_the_images(alice, folder):
    """In a private container root's files appear as the user's: not so in the archive."""
    assert save(alice, folder / "x.tar").status == 0
    members = layer_of(folder / "x.tar")
    for name in ("bin/busybox", "made", "etc/passwd"):
        assert (members[name].uid, members[name].gid) == (0, 0), name
        assert (members[name].uname, members[name].gname) == ("", "")
    assert members["made"].mode == 0o644
    assert ".socker" not in members


def test_what_is_mounted_is_not_saved(alice, folder):
    (folder / "mine").write_text("on the node")
    assert save(alice, folder / "x.tar").status == 0
    names = layer_of(folder / "x.tar")
    assert not [name for name in names if name.endswith("saved/mine")]
    for name in ("proc", "sys", "dev", "tmp"):
        assert not [inner for inner in names if inner.startswith(f"{name}/")]


def test_the_account_files_are_the_images(alice, folder):
    assert save(alice, folder / "x.tar").status == 0
    with tarfile.open(folder / "x.tar") as outer:
        with tarfile.open(fileobj=outer.extractfile("layer.tar")) as tar:
            assert b"alice" not in tar.extractfile("etc/passwd").read()


def test_docker_loads_the_archive(alice, folder):
    assert save(alice, folder / "x.tar").status == 0
    image = read("docker", "load", "-qi", str(folder / "x.tar")).split()[-1]
    try:
        assert read("docker", "run", "--rm", "--network=none", image, "cat", "/made") == "saved\n"
    finally:
        read("docker", "rmi", "-f", image)


def test_an_earlier_file_is_replaced_and_keeps_its_mode(alice, folder):
    alice.run("sh", "-c", f"echo earlier > {folder}/x.tar; chmod 644 {folder}/x.tar")
    assert save(alice, folder / "x.tar").status == 0
    assert "made" in layer_of(folder / "x.tar")
    assert (folder / "x.tar").stat().st_mode & 0o777 == 0o644


def test_a_long_save_shows_progress(alice, folder):
    script = "dd if=/dev/urandom of=/noise bs=1M count=400 2>/dev/null"
    result = save(alice, folder / "x.tar.gz", script, "--mem=1500", timeout=300)
    assert result.status == 0
    assert f"socker: saving to {folder}/x.tar.gz: " in result.stderr
    assert " MB written" in result.stderr


def test_a_process_that_changes_the_tree_meanwhile(alice, folder):
    """The archive stays one, and the step ends."""
    script = (
        "dd if=/dev/zero of=/big bs=1M count=100 2>/dev/null;"
        "(while :; do mkfifo /p; rm /p; ln -s /etc /p; rm /p; : > /big; echo x >> /big; done) &"
        "sleep 1"
    )
    save(alice, folder / "x.tar", script, timeout=120)
    if (folder / "x.tar").exists():
        assert "bin/busybox" in layer_of(folder / "x.tar")


# --- what cannot be saved ---


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("x.tar", "write ./x.tar for the file"),
        ("/home/alice/x.zip", "does not say what to make"),
        ("/nowhere/x.tar", "/nowhere is no directory that the job's user can reach"),
        ("/root/x.tar", "/root: the job's user cannot write to it"),
        ("/home/bob/x.tar", "/home/bob"),
    ],
)
def test_a_wrong_target_is_told_before_the_command_runs(alice, target, words):
    result = save(alice, target, "echo ran")
    assert result.status == 1
    assert result.stdout == ""
    assert words in result.stderr


def test_a_shared_container_cannot_be_saved(alice, folder):
    result = alice.srun(
        f"--container-image={BUSYBOX}", f"--container-save={folder}/x.tar", "echo", "ran"
    )
    assert result.status == 1
    assert result.stdout == ""
    assert "--container-writable" in result.stderr


@pytest.fixture
def small(folder):
    """A file system of 1 MB: less than the image."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    shutil.chown(folder, "alice", "alice")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", ["x.tar", "x.tgz", "x.sqsh"])
def test_a_full_disk_leaves_the_earlier_file(alice, small, name):
    alice.run("sh", "-c", f"echo earlier > {small}/{name}")
    script = "dd if=/dev/urandom of=/noise bs=1M count=5 2>/dev/null; echo ran"
    result = save(alice, small / name, script)
    assert result.lines == ["ran"]
    assert f"socker: {small / name} was not written: " in result.stderr
    assert "No space left" in result.stderr
    assert (small / name).read_text() == "earlier\n"
    assert os.listdir(small) == [name]


def test_scancel_leaves_the_earlier_file(alice, folder, wait_for):
    alice.run("sh", "-c", f"echo earlier > {folder}/x.tgz")
    script = "dd if=/dev/urandom of=/noise bs=1M count=800 2>/dev/null; echo made"
    process = alice.start(
        "srun", "-Q", "--mem=2000", f"--container-image={BUSYBOX}", "--container-writable",
        f"--container-save={folder}/x.tgz", "sh", "-c", script, stdout=-1, stderr=-1,
    )  # fmt: skip
    assert process.stdout.readline() == "made\n"
    time.sleep(2)
    alice.run("scancel", "--user=alice")
    process.communicate(timeout=60)
    wait_for(lambda: read("sinfo", "-h", "-o", "%T").split() == ["idle"], 60)
    assert (folder / "x.tgz").read_bytes() == b"earlier\n"
    assert os.listdir(folder) == ["x.tgz"]


def test_a_named_container_of_two_nodes(alice, folder):
    """The first node of the step saves, and the container lives on."""
    steps = [
        f"srun -Q -N2 --docker={BUSYBOX} --container-name=work sh -c 'echo $SLURMD_NODENAME > /at'",
        f"srun -Q -N2 --container-name=work --container-save={folder}/x.tar true",
        "srun -Q -N2 --container-name=work cat /at",
        f"srun -Q -N1 --docker={folder}/x.tar cat /at",
    ]
    result = alice.run("salloc", "-Q", "-N2", "sh", "-c", "; ".join(steps))
    assert sorted(result.lines) == ["n1", "n1", "n2"]
    assert result.stderr.count(f"socker: saved {folder}/x.tar: ") == 1


# --- pushes ---


def test_a_push_and_a_step_from_it(alice):
    """The node's own images are not touched: the engine has no part in a push."""
    before = sorted(read("docker", "images", "-aq").split())
    reference = f"{REGISTRY}/saved-by-alice:1"
    result = save(alice, reference)
    assert result.status == 0
    assert f"socker: pushed {reference}: sha256:" in result.stderr
    assert sorted(read("docker", "images", "-aq").split()) == before
    try:
        assert alice.srun(f"--container-image={reference}", "cat", "/made").lines == ["saved"]
    finally:
        images.remove_from_engine(reference)


def test_a_push_with_a_password(alice, locked, login):
    login()
    result = save(alice, f"{LOCKED}/a/b:1")
    assert result.status == 0
    assert f"socker: pushed {LOCKED}/a/b:1: sha256:" in result.stderr


def test_a_push_without_or_with_a_wrong_one(alice, locked, login):
    result = save(alice, f"{LOCKED}/a/b:1")
    assert f"run `docker login {LOCKED}`, no credentials were found" in result.stderr
    login("wr0ng-word")
    result = save(alice, f"{LOCKED}/a/b:1")
    assert f"registry {LOCKED} refuses: " in result.stderr
    assert "wr0ng-word" not in result.stderr


def test_a_password_is_in_no_log(alice, locked, login):
    login()
    save(alice, f"{LOCKED}/a/b:1")
    for path in Path("/var/log/socker-cluster").glob("*.log"):
        text = path.read_text(errors="replace")
        assert SECRET not in text
        assert AUTH not in text
