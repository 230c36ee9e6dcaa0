"""A save from root's tree to the user's file: only where the tests run as root."""

import io
import os
import signal
import subprocess
import tarfile

import pytest

from pycontrol import identity, savesquashfs
from pycontrol.config import Config
from pycontrol.errors import EngineError, JobEnded, NodeError, UserError
from pycontrol.image import Image
from pycontrol.patience import Teller
from pycontrol.save import Meter, Whole, check, deliver, parse_target, save

IMAGE = Image("sha256:0", ("A=b",), "/")
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user id")


class Told:
    bars = False

    def __init__(self):
        self.lines, self.seconds = [], 0

    def tell(self, text):
        self.lines.append(text)

    def ask_for_time(self, seconds):
        self.seconds = seconds


@pytest.fixture
def nobody():
    return identity.look_up(NOBODY, NOBODY, [])


@pytest.fixture
def folder(tmp_path):
    """A directory of nobody's."""
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    tmp_path.chmod(0o755)
    made = tmp_path / "folder"
    made.mkdir()
    os.chown(made, NOBODY, NOBODY)
    return made


@pytest.fixture
def root(tmp_path):
    tree = tmp_path / "root"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/shadow").write_text("hidden")
    (tree / "etc/shadow").chmod(0o600)
    descriptor = os.open(tree, os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def run(root, nobody):
    def go(text, config=None, **options):
        told = Told()
        config = config or Config()
        save(parse_target(str(text)), root, IMAGE, nobody, {}, config, told, **options)
        return told

    return go


# --- the stream between them ---


def test_a_stream_that_is_whole():
    token = b"t" * 32
    data = os.urandom(100_000)
    source = Whole(io.BytesIO(data + token), token)
    found = b""
    while piece := source.read(1000):
        assert len(piece) <= 1032
        found += piece
    assert found == data
    assert source.read(1000) == b""


@pytest.mark.parametrize("data", [b"", b"x", b"t" * 31, b"x" * 100])
def test_the_end_alone_is_not_the_whole(data):
    source = Whole(io.BytesIO(data), b"t" * 32)
    with pytest.raises(NodeError, match="cut short"):
        while source.read(10):
            pass


def test_progress(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told = Told()
    meter = Meter(io.BytesIO(), parse_target("/x.tar"), Teller(told, 5))
    for now[0] in (1.0, 2.0, 3.0, 6.9, 7.0):
        meter.write(b"x" * 1_000_000)
    assert told.lines == ["saving to /x.tar: 2 MB written", "saving to /x.tar: 5 MB written"]


@as_root
def test_a_child_that_says_nothing_is_no_success(nobody):
    def consume(source):
        raise BrokenPipeError

    with pytest.raises(NodeError, match="without a word"):
        deliver(nobody, consume, lambda pipe: [])


# --- files ---


@as_root
@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_an_archive(run, folder, name):
    told = run(folder / name)
    status = (folder / name).stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (NOBODY, NOBODY, 0o600)
    with tarfile.open(folder / name) as tar:
        with tarfile.open(fileobj=tar.extractfile("layer.tar")) as layer:
            assert layer.extractfile("etc/shadow").read() == b"hidden"
    (line,) = told.lines
    assert line.startswith(f"saved {folder / name}: ")
    assert line.endswith(" kB")
    assert told.seconds > Config().save_timeout


@as_root
def test_squashfs(run, folder):
    if not os.access(savesquashfs.TAR2SQFS, os.X_OK):
        pytest.skip("no tar2sqfs")
    run(folder / "x.sqsh")
    done = subprocess.run(
        ["rdsquashfs", "--cat", "etc/environment", folder / "x.sqsh"], capture_output=True
    )
    assert done.stdout == b"A=b\n"


@as_root
def test_no_tool_is_the_admins_business(run, folder, monkeypatch):
    monkeypatch.setattr(savesquashfs, "TAR2SQFS", "/nonexistent")
    monkeypatch.setattr(savesquashfs, "MKSQUASHFS", "/nonexistent")
    with pytest.raises(NodeError, match="squashfs-tools-ng"):
        run(folder / "x.sqsh")


@as_root
def test_a_failure_of_the_walk_leaves_the_earlier_file(run, folder, monkeypatch):
    (folder / "x.tar").write_text("earlier")

    def fail(self):
        self._output.write(b"x" * 1_000_000)
        raise JobEnded("over")

    monkeypatch.setattr("pycontrol.roottar.RootTar.write", fail)
    with pytest.raises(JobEnded):
        run(folder / "x.tar")
    assert os.listdir(folder) == ["x.tar"]
    assert (folder / "x.tar").read_text() == "earlier"


@as_root
def test_a_child_that_is_killed_leaves_nothing(run, folder, monkeypatch):
    (folder / "x.tar").write_text("earlier")
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)  # as on NFS

    def kill(source, output, image):
        assert len(os.listdir(folder)) == 2
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("pycontrol.savearchive.write", kill)
    with pytest.raises(NodeError, match="ended with status"):
        run(folder / "x.tar")
    assert os.listdir(folder) == ["x.tar"]


@as_root
@pytest.mark.parametrize("name", ["x.tar", "x.tgz", "x.sqsh"])
def test_a_full_disk(run, root, folder, name):
    full = ["mount", "-t", "tmpfs", "-o", "size=200k,mode=777", "none", folder]
    if subprocess.run(full).returncode:
        pytest.skip("no mounts here")
    try:
        (folder / name).write_text("earlier")
        noise = os.open(
            "noise", os.O_WRONLY | os.O_CREAT, dir_fd=os.open(f"/proc/self/fd/{root}", 0)
        )
        os.write(noise, os.urandom(3_000_000))
        os.close(noise)
        with pytest.raises(UserError, match="No space left") as error:
            run(folder / name)
        assert str(error.value).startswith(f"{folder / name} was not written: ")
        assert os.listdir(folder) == [name]
        assert (folder / name).read_text() == "earlier"
    finally:
        subprocess.run(["umount", folder], check=True)


@as_root
def test_a_save_that_takes_too_long(run, folder, monkeypatch):
    def hang(self):
        signal.pause()

    monkeypatch.setattr("pycontrol.roottar.RootTar.write", hang)
    with pytest.raises(EngineError, match="took longer than save_timeout = 1 s"):
        run(folder / "x.tar", Config(save_timeout=1))
    assert os.listdir(folder) == []


@as_root
def test_what_was_left_out_is_told(run, root, folder):
    os.mkfifo("p", dir_fd=root)
    os.mknod("d", 0o600 | 0o020000, os.makedev(1, 3), dir_fd=root)
    told = run(folder / "x.tar")
    assert told.lines[0] == f"saving to {folder}/x.tar: device nodes left out: 1, the first is /d"


@as_root
def test_a_directory_of_anothers(run, nobody, tmp_path, folder):
    target = parse_target(str(tmp_path / "x.tar"))
    with pytest.raises(UserError, match=f"{tmp_path}: the job's user cannot write to it"):
        check(target, nobody)
    with pytest.raises(UserError, match="Permission denied"):
        run(tmp_path / "x.tar")


@as_root
def test_anothers_file_in_a_sticky_directory(nobody, folder):
    folder.chmod(0o1777)
    os.chown(folder, 0, 0)
    (folder / "x.tar").touch()
    with pytest.raises(UserError, match="is another user's file"):
        check(parse_target(str(folder / "x.tar")), nobody)


@as_root
def test_a_check_of_a_push_starts_no_program_of_the_users(nobody):
    check(parse_target("127.0.0.1:1/a:1"), nobody)
