"""Images in files that the user names: every form, once per content, never root's business."""

import json
import subprocess
import time
from pathlib import Path

import images
import pytest
from conftest import BUSYBOX, DEBIAN, file_images, read

from tests import image_files

pytestmark = pytest.mark.usefixtures("no_file_images")


def engine_imports(since: float) -> int:
    """How often the engine loaded or imported an image since then (seconds, epoch)."""
    events = read(
        "docker", "events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}",
        "--filter", "event=load", "--filter", "event=import", "--format", "{{.Action}}",
    )  # fmt: skip
    return len(events.split())


@pytest.fixture
def files(alice) -> Path:
    """A directory of alice's for image files."""
    folder = alice.home / "image-files"
    subprocess.run(["rm", "-rf", folder], check=True)
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def give(user, path: Path) -> Path:
    """Make it the user's, and old enough to be remembered."""
    subprocess.run(["chown", "-R", user.name, path.parent], check=True)
    time.sleep(2.1)
    return path


@pytest.fixture
def layer(tmp_path) -> bytes:
    root = tmp_path / "busybox"
    images.busybox_root(root)
    path = tmp_path / "layer.tar"
    subprocess.run(["tar", "-C", root, "--owner=0", "--group=0", "-cf", path, "."], check=True)
    return path.read_bytes()


def configuration(layers, **settings) -> bytes:
    return image_files.config(layers, config={"Env": ["PATH=/bin", "FROM_IMAGE=yes"]} | settings)


ASK = ("/bin/sh", "-c", 'echo "$FROM_IMAGE"; ls /bin/busybox')
ANSWER = ["yes", "/bin/busybox"]


def test_what_docker_save_wrote(alice, files):
    subprocess.run(["docker", "pull", "-q", BUSYBOX], check=True)
    path = files / "busybox.tar"
    subprocess.run(["docker", "save", "-o", path, BUSYBOX], check=True)
    result = alice.srun(f"--container-image={give(alice, path)}", "ls", "/bin/busybox")
    assert result.lines == ["/bin/busybox"]


def test_a_docker_archive_that_the_engine_never_saw(alice, files, layer):
    path = files / "image.tar"
    members = image_files.docker_members([layer], None, configuration([layer]))
    path.write_bytes(image_files.tar(members))
    assert alice.srun(f"--container-image={give(alice, path)}", *ASK).lines == ANSWER


def test_a_compressed_archive(alice, files, layer):
    path = files / "image"
    members = image_files.docker_members([layer], None, configuration([layer]))
    path.write_bytes(image_files.tar(members, "w:gz"))
    assert alice.srun(f"--container-image={give(alice, path)}", *ASK).lines == ANSWER


def test_an_oci_archive(alice, files, layer):
    path = files / "image.oci"
    members = image_files.oci_members([(configuration([layer]), [layer], {})])
    path.write_bytes(image_files.tar(members))
    assert alice.srun(f"--container-image={give(alice, path)}", *ASK).lines == ANSWER


def test_an_oci_layout(alice, files, layer):
    members = image_files.oci_members([(configuration([layer]), [layer], {})])
    folder = image_files.write_layout(files / "layout", members)
    assert alice.srun(f"--container-image={give(alice, folder)}", *ASK).lines == ANSWER


@pytest.fixture
def squashfs(alice, files, tmp_path) -> Path:
    """An image as enroot makes them."""
    root = tmp_path / "root"
    images.busybox_root(root)
    (root / "work").mkdir()
    (root / "etc/environment").write_text('PATH=/bin\nFROM_IMAGE=yes\nUGLY=a "$b" \\c\n')
    (root / "etc/rc").write_text(
        'mkdir -p "/work" 2> /dev/null\ncd "/work" && unset OLDPWD || exit 1\n\nexec "$@"\n'
    )
    path = files / "image.sqsh"
    command = ["mksquashfs", root, path, "-all-root", "-quiet", "-no-progress"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return give(alice, path)


def test_squashfs(alice, squashfs):
    result = alice.srun(
        f"--container-image={squashfs}", *ASK[:2], f'{ASK[2]}; echo "$UGLY"', cwd="/"
    )
    assert result.lines == [*ANSWER, 'a "$b" \\c']


def test_once_per_content(alice, squashfs, files):
    since = time.time()
    for _ in range(2):
        assert alice.srun(f"--container-image={squashfs}", *ASK).lines == ANSWER
    copy = files / "copy"
    copy.write_bytes(squashfs.read_bytes())
    assert alice.srun(f"--container-image={give(alice, copy)}", *ASK).lines == ANSWER
    assert engine_imports(since) == 1
    assert len(file_images()) == 1


def test_steps_at_once_import_once(alice, squashfs):
    since = time.time()
    script = (
        "for i in $(seq 8); do srun -Q --overlap -n1 -N1 --mem=0 "
        f"--container-image={squashfs} echo ran-$i & done; wait"
    )
    result = alice.run("salloc", "-Q", "-N2", "-n2", "--mem=2000", "sh", "-c", script, timeout=300)
    assert sorted(result.lines) == sorted(f"ran-{i}" for i in range(1, 9))
    assert engine_imports(since) == 1


def test_a_changed_file_is_another_image(alice, files, layer):
    for answer in ("one", "two"):
        path = files / "image.tar"
        made = configuration([layer], Env=["PATH=/bin", f"FROM_IMAGE={answer}"])
        path.write_bytes(image_files.tar(image_files.docker_members([layer], None, made)))
        result = alice.srun(f"--container-image={give(alice, path)}", *ASK)
        assert result.lines == [answer, "/bin/busybox"]


def test_a_files_tags_replace_no_image_of_the_node(alice, files, layer):
    subprocess.run(["docker", "pull", "-q", DEBIAN], check=True)
    before = read("docker", "inspect", "-f", "{{.Id}}", DEBIAN)
    path = files / "image.tar"
    members = image_files.docker_members([layer], [DEBIAN], configuration([layer]))
    path.write_bytes(image_files.tar(members))
    assert alice.srun(f"--container-image={give(alice, path)}", *ASK).lines == ANSWER
    assert read("docker", "inspect", "-f", "{{.Id}}", DEBIAN) == before


def test_a_claimed_layer_must_be_in_the_file(alice, files, layer):
    """Else a hash alone would give somebody else's layer, which the engine has."""
    subprocess.run(["docker", "pull", "-q", DEBIAN], check=True)
    theirs = json.loads(read("docker", "inspect", DEBIAN))[0]["RootFS"]["Layers"]
    rootfs = {"type": "layers", "diff_ids": theirs}
    members = image_files.docker_members([layer], None, image_files.config([], rootfs=rootfs))
    path = files / "image.tar"
    path.write_bytes(image_files.tar(members))
    result = alice.srun(f"--container-image={give(alice, path)}", "cat", "/etc/debian_version")
    assert result.status == 1
    assert result.stdout == ""
    assert f"socker: image {path}: layer 1 is not the one" in result.stderr
    assert not file_images()


def test_what_the_user_cannot_read(alice, bob, squashfs):
    """The image is on the node already: that gives bob nothing."""
    squashfs.chmod(0o600)
    assert alice.srun(f"--container-image={squashfs}", *ASK).lines == ANSWER
    result = bob.srun(f"--container-image={squashfs}", "true")
    assert result.status == 1
    assert f"socker: image {squashfs}: the job's user cannot read it" in result.stderr


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/no/such.tar", "no such file or directory on this node: check the path"),
        ("/etc/passwd", "it is no image"),
        ("/etc/shadow", "the job's user cannot read it"),
        ("/etc", "a directory without oci-layout"),
        ("/dev/zero", "it is neither a regular file nor a directory"),
    ],
)
def test_what_is_no_image(alice, path, words):
    result = alice.srun(f"--container-image={path}", "echo", "ran")
    assert result.status == 1
    assert result.stdout == ""
    assert f"socker: image {path}: {words}" in result.stderr


def test_a_damaged_squashfs(alice, squashfs):
    squashfs.write_bytes(squashfs.read_bytes()[:-5000])
    result = alice.srun(f"--container-image={squashfs}", "true")
    assert result.status == 1
    assert f"socker: image {squashfs}: sqfs2tar cannot read it: " in result.stderr
    assert not file_images()


def test_a_pipe_does_not_hang_the_step(alice, files):
    path = files / "pipe"
    subprocess.run(["mkfifo", path], check=True)
    result = alice.srun(f"--container-image={give(alice, path)}", "true", timeout=30)
    assert "it is neither a regular file nor a directory" in result.stderr


def test_a_prune_leaves_it(alice, files, layer):
    path = files / "image.tar"
    label = {"socker.test": "prune"}
    made = configuration([layer], Labels=label)
    path.write_bytes(image_files.tar(image_files.docker_members([layer], None, made)))
    assert alice.srun(f"--container-image={give(alice, path)}", *ASK).lines == ANSWER
    image = read("docker", "images", "-q", "socker.local/file")
    assert image
    read("docker", "image", "prune", "-f", "--filter", "label=socker.test=prune")
    assert read("docker", "images", "-q", "socker.local/file") == image
