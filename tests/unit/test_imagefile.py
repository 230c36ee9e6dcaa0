"""Image files: what the user named, and what is remembered of it."""

import io
import json
import os
import pwd
import tarfile
import time

import pytest

from pycontrol import identity, imagefile, openfile, reader, state
from pycontrol.config import Config
from pycontrol.errors import UserError
from pycontrol.identity import Account
from pycontrol.image import Image
from tests import image_files

ALICE = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"),))
BOB = Account("bob", 1002, 100, "", "/home/bob", ((100, "users"),))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file or directory on this node: check the path"),
        (os.mkfifo, "it is neither a regular file nor a directory"),
        (os.mkdir, "a directory without oci-layout"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_image(tmp_path, make, words):
    path = tmp_path / "x"
    make(path)
    with pytest.raises(UserError, match=f"^image {path}: {words}"):
        reader.look(str(path))


def test_a_path_through_a_file(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="no such file"):
        reader.look(str(tmp_path / "x/y"))


@pytest.mark.parametrize("root", ["/proc/self/root", "/proc/thread-self/root", "/proc/self/cwd"])
def test_a_path_into_another_namespace(tmp_path, root):
    """There a user may have mounted anything at the path that the rules allow."""
    path = tmp_path / "x"
    path.touch()
    found = json.loads(reader.look(str(path)))
    assert found[1] == str(path)
    with pytest.raises(UserError, match=r"^image /proc/.*: Too many levels of symbolic links"):
        reader.look(f"{root}{path}")


@pytest.mark.parametrize(
    ("content", "form"), [(b"hsqs...", openfile.SQUASHFS), (b"", openfile.ARCHIVE)]
)
def test_the_form_is_told_by_content(tmp_path, content, form):
    path = tmp_path / "x.tar.sqsh"
    path.write_bytes(content)
    found, real = json.loads(reader.look(str(path)))
    assert (found["form"], real) == (form, str(path.resolve()))


def test_a_layout_is_known_by_its_index(tmp_path):
    (tmp_path / "oci-layout").touch()
    with pytest.raises(UserError, match=r"a directory without index.json"):
        reader.look(str(tmp_path))
    (tmp_path / "index.json").write_text("{}")
    seen, _ = json.loads(reader.look(str(tmp_path)))
    assert (seen["form"], seen["size"]) == (openfile.LAYOUT, 2)


def test_a_changed_file_is_not_read_on(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"hsqs1")
    file = openfile.Identity(**json.loads(reader.look(str(path)))[0])
    path.write_bytes(b"hsqs22")
    with pytest.raises(UserError, match="changed while it was read"):
        reader.copy(str(path), file, None)


# --- what is remembered ------------------------------------------------------------


class FakeEngine:
    """Knows some images by id."""

    def __init__(self, *known: str):
        self.known = known

    def image_by_id(self, image_id: str, name: str) -> Image | None:
        return Image(image_id, (), "") if image_id in self.known else None


HAS_IT = FakeEngine("sha256:1")


class Silent:
    bars = False

    def tell(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def importer(tmp_path, monkeypatch):
    monkeypatch.setattr("pycontrol.trusted.read", lambda path: path.read_text())

    def make(account=ALICE, engine=HAS_IT, look=None) -> imagefile.Importer:
        made = imagefile.Importer("/x.tar", account, engine, Config(), Silent(), tmp_path)
        if look:
            made._look = lambda: look
        return made

    return make


def file(changed: float = 1.0) -> openfile.Identity:
    return openfile.Identity("archive", 1, 2, 3, 4, int(changed * 1e9))


IMAGE = Image("sha256:1", (), "")


def test_a_file_is_remembered(importer):
    importer(look=file())._note(file(), IMAGE)
    assert importer()._recorded(file()) == IMAGE
    assert importer()._recorded(file(changed=2.0)) is None


def test_one_user_is_not_believed_for_another(importer):
    importer(look=file())._note(file(), IMAGE)
    assert importer(account=BOB)._recorded(file()) is None


def test_an_image_that_the_engine_lost_is_imported_again(importer):
    importer(look=file())._note(file(), IMAGE)
    assert importer(engine=FakeEngine())._recorded(file()) is None


def test_a_file_that_changed_meanwhile_is_not_remembered(importer):
    importer(look=file(changed=2.0))._note(file(), IMAGE)
    assert importer()._recorded(file()) is None


def test_a_file_that_may_change_within_its_times_is_not_remembered(importer):
    young = file(changed=time.time())
    importer(look=young)._note(young, IMAGE)
    assert importer()._recorded(young) is None


def test_a_damaged_record_is_none(importer, tmp_path):
    importer(look=file())._note(file(), IMAGE)
    (record,) = (tmp_path / "files").iterdir()
    record.write_text("{")
    assert importer()._recorded(file()) is None


def test_records_do_not_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(imagefile, "MOST_RECORDS", 10)
    for number in range(30):
        imagefile._make_room(tmp_path)
        state.write(tmp_path / f"{number}.json", "{}", mode=0o600)
        assert len(list(tmp_path.iterdir())) <= 10


# --- the whole, with children that are another user ---------------------------------


class Engine(FakeEngine):
    """Keeps what it is given, as Docker does: by the configuration's hash."""

    def __init__(self):
        super().__init__()
        self.loads = 0

    def find_image(self, reference) -> Image | None:
        return None

    def load(self, archive, name, going_on) -> str:
        self.loads += 1
        sent = b"".join(archive)
        with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
            (manifest,) = json.load(tar.extractfile("manifest.json"))
        self.known += (f"sha256:{manifest['Config'].removesuffix('.json')}",)
        return self.known[-1]

    def tag(self, image_id: str, repository: str, tag: str) -> None:
        assert (repository, f"sha256:{tag}") == ("socker.local/file", image_id)


class Patient(Silent):
    def ask_for_time(self, seconds: int) -> None:
        pass


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user id")


@pytest.fixture
def folder(tmp_path):
    """A directory that other users reach."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    return tmp_path


@pytest.fixture
def nobody():
    entry = pwd.getpwnam("nobody")
    return identity.look_up(entry.pw_uid, entry.pw_gid, [])


LAYER = image_files.tar({"a": b"1"})


def provide(path, account, engine, root) -> Image:
    importer = imagefile.Importer(str(path), account, engine, Config(), Patient(), root / "state")
    return importer.provide()


@as_root
def test_once_per_content(folder, nobody):
    engine = Engine()
    for name in ("one", "two"):
        (folder / name).write_bytes(image_files.tar(image_files.docker_members([LAYER])))
        image = provide(folder / name, nobody, engine, folder)
        assert image.image_id == image_files.digest(image_files.config([LAYER]))
    assert engine.loads == 1


@as_root
def test_a_layer_that_the_engine_has_must_be_in_the_file_too(folder, nobody):
    engine = Engine()
    engine.known = (image_files.digest(image_files.config([LAYER])),)
    members = image_files.docker_members([image_files.tar({"b": b"2"})])
    members["c.json"] = image_files.config([LAYER])
    (folder / "claim").write_bytes(image_files.tar(members))
    with pytest.raises(UserError, match="layer 1 is not the one"):
        provide(folder / "claim", nobody, engine, folder)
    assert engine.loads == 0


@as_root
def test_a_failure_of_the_child_is_told_and_loads_nothing(folder, nobody, monkeypatch):
    def pour(plan, output):
        output.write(LAYER[:100])
        raise UserError("image /x: the disk is gone")

    monkeypatch.setattr(reader, "pour", pour)
    (folder / "image").write_bytes(image_files.tar(image_files.docker_members([LAYER])))
    engine = Engine()
    with pytest.raises(UserError, match="the disk is gone"):
        provide(folder / "image", nobody, engine, folder)
    assert not engine.known


@as_root
def test_root_does_not_read_for_the_user(folder, nobody):
    path = folder / "image"
    path.write_bytes(image_files.tar(image_files.docker_members([LAYER])))
    path.chmod(0o600)
    with pytest.raises(UserError, match=f"image {path}: the job's user cannot read it"):
        provide(path, nobody, Engine(), folder)
