"""The files that are made of a layer, and that they appear whole or not at all."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zlib

import pytest

from pycontrol import draft as drafts
from pycontrol import imageconfig, savearchive, savesquashfs
from pycontrol.draft import Draft
from pycontrol.errors import UserError
from pycontrol.image import Image
from pycontrol.plaindata import replace

IMAGE = Image("sha256:" + "0" * 64, ("PATH=/bin", "A=b c"), "/srv")


FULL = replace(IMAGE, entrypoint=("/init", "it's"), cmd=("run",))


def layer(size: int = 100_000) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = size
        tar.addfile(member, io.BytesIO(os.urandom(size)))
    return output.getvalue()


# --- archives ---


@pytest.mark.parametrize("form", [savearchive.Plain, savearchive.Gzip])
def test_an_archive(form):
    data, output = layer(), io.BytesIO()
    savearchive.write(io.BytesIO(data), form(output), IMAGE)
    raw = output.getvalue()
    plain = gzip.decompress(raw) if form is savearchive.Gzip else raw
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json"))
        assert tar.extractfile("layer.tar").read() == data
        assert entry["Layers"] == ["layer.tar"]
        assert entry["RepoTags"] is None
        config = tar.extractfile(entry["Config"]).read()
    assert entry["Config"] == hashlib.sha256(config).hexdigest() + ".json"
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    assert diff_ids == [f"sha256:{hashlib.sha256(data).hexdigest()}"]


def test_a_compressed_archive_is_one_member():
    """Readers of streams, Python's tarfile among them, stop behind the first."""
    output = io.BytesIO()
    savearchive.write(io.BytesIO(layer()), savearchive.Gzip(output), IMAGE)
    with tarfile.open(fileobj=io.BytesIO(output.getvalue()), mode="r|gz") as tar:
        assert [member.name for member in tar][-1] == "manifest.json"
    done = subprocess.run(["gzip", "-t"], input=output.getvalue(), capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("size", [0, 1, 511, 70_000])
def test_crc32_combine(size):
    first, second = os.urandom(512), os.urandom(size)
    combined = savearchive.crc32_combine(zlib.crc32(first), zlib.crc32(second), size)
    assert combined == zlib.crc32(first + second)


def test_a_layer_beyond_8_gib_has_a_header_of_one_block():
    header = savearchive._header("layer.tar", 1 << 40)
    assert len(header) == 512
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 1 << 40


def test_the_configuration():
    config = json.loads(imageconfig.config_json(FULL, "sha256:1", now=0))
    assert config["config"] == {
        "Env": ["PATH=/bin", "A=b c"],
        "WorkingDir": "/srv",
        "Entrypoint": ["/init", "it's"],
        "Cmd": ["run"],
    }
    assert config["os"] == "linux"
    assert config["history"] == [
        {"created": "1970-01-01T00:00:00Z", "created_by": f"saved by socker from {IMAGE.image_id}"}
    ]
    assert json.loads(imageconfig.config_json(IMAGE, "sha256:1"))["config"]["Entrypoint"] is None


# --- squashfs ---


def test_env_and_entrypoint_as_enroot_keeps_them():
    files = savesquashfs.configuration_files(FULL)
    assert files["etc/environment"] == b"PATH=/bin\nA=b c\n"
    lines = files["etc/rc"].decode().splitlines()
    assert 'mkdir -p "/srv" 2> /dev/null' in lines
    assert """    exec '/init' 'it'\\''s' "$@\"""" in lines
    assert """    exec '/init' 'it'\\''s' 'run'""" in lines


def test_without_an_entrypoint():
    lines = savesquashfs.configuration_files(IMAGE)["etc/rc"].decode().splitlines()
    assert '    exec "$@"' in lines
    assert "    exec '/bin/sh'" in lines


def test_the_rc_file_runs_what_it_is_given():
    image = Image("sha256:0", (), '/tmp/$(echo no)"`no`')
    rc = savesquashfs.configuration_files(image)["etc/rc"].decode()
    assert '\\$(echo no)\\"\\`no\\`' in rc
    rc = savesquashfs.configuration_files(Image("sha256:0", (), "/tmp"))["etc/rc"].decode()
    done = subprocess.run(["sh", "-c", rc, "rc", "echo", "a b"], capture_output=True, text=True)
    assert done.stdout == "a b\n"


def test_variables_that_cannot_be_kept():
    image = Image("sha256:0", ("A=1", "B=1\nC=2", "D=${A}"), "")
    assert savesquashfs.configuration_files(image)["etc/environment"] == b"A=1\n"
    assert savesquashfs.lost_variables(image) == ["B", "D"]


def test_a_value_keeps_its_quotes():
    image = Image("sha256:0", ("A='b'", 'C="d" e'), "")
    environment = savesquashfs.configuration_files(image)["etc/environment"]
    assert environment == b'A="\'b\'"\nC=""d" e"\n'


@pytest.mark.parametrize("tool", [savesquashfs.TAR2SQFS, savesquashfs.MKSQUASHFS])
def test_squashfs(tool, tmp_path):
    if not os.access(tool, os.X_OK):
        pytest.skip(f"no {tool}")
    with Draft(str(tmp_path / "x.sqsh")).open() as descriptor:
        savesquashfs.make(io.BytesIO(layer()), descriptor, tool)
    assert (tmp_path / "x.sqsh").read_bytes()[:4] == b"hsqs"
    assert os.listdir(tmp_path) == ["x.sqsh"]


@pytest.mark.parametrize("tool", [savesquashfs.TAR2SQFS, savesquashfs.MKSQUASHFS])
def test_a_squashfs_tool_that_fails(tool, tmp_path):
    if not os.access(tool, os.X_OK):
        pytest.skip(f"no {tool}")
    with open("/dev/full", "wb") as full, pytest.raises(OSError, match="No space left"):
        savesquashfs.make(io.BytesIO(layer(3_000_000)), full.fileno(), tool)


def test_a_tar_that_the_tool_does_not_understand(tmp_path):
    if not os.access(savesquashfs.TAR2SQFS, os.X_OK):
        pytest.skip("no tar2sqfs")
    with open(tmp_path / "out", "w+b") as output, pytest.raises(UserError, match="tar2sqfs failed"):
        savesquashfs.make(io.BytesIO(b"x" * 10_000), output.fileno(), savesquashfs.TAR2SQFS)


# --- whole or not at all ---


@pytest.fixture(params=["unnamed", "hidden"])
def draft(request, tmp_path, monkeypatch):
    """With a file system that has O_TMPFILE, and with one that has not."""
    if request.param == "hidden":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)
    return Draft(str(tmp_path / "x.tar"))


def test_a_file_replaces_the_earlier_one(draft, tmp_path):
    (tmp_path / "x.tar").write_text("earlier")
    (tmp_path / "x.tar").chmod(0o640)
    with draft.open() as descriptor:
        os.write(descriptor, b"new")
        assert (tmp_path / "x.tar").read_text() == "earlier"
    assert (tmp_path / "x.tar").read_text() == "new"
    assert (tmp_path / "x.tar").stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["x.tar"]


def test_a_new_file_is_its_owners(draft, tmp_path):
    with draft.open():
        pass
    assert (tmp_path / "x.tar").stat().st_mode & 0o777 == 0o600


def test_a_failure_leaves_the_earlier_file_alone(draft, tmp_path):
    (tmp_path / "x.tar").write_text("earlier")
    with pytest.raises(ValueError), draft.open() as descriptor:
        os.write(descriptor, b"half")
        raise ValueError
    assert (tmp_path / "x.tar").read_text() == "earlier"
    assert os.listdir(tmp_path) == ["x.tar"]


def test_a_name_that_became_a_directory(draft, tmp_path):
    with pytest.raises(OSError), draft.open():
        (tmp_path / "x.tar").mkdir()
    assert os.listdir(tmp_path) == ["x.tar"]


def test_what_a_killed_process_left(tmp_path):
    draft = Draft(str(tmp_path / "x.tar"))
    (tmp_path / draft.hidden).touch()
    draft.discard()
    draft.discard()
    assert os.listdir(tmp_path) == []


# --- before the step ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "x.tar is no regular file: name another"),
        (os.mkfifo, "x.tar is no regular file: name another"),
        (lambda path: path.symlink_to("/etc"), "x.tar is no regular file: name another"),
    ],
)
def test_a_target_that_cannot_be_replaced(make, message, tmp_path):
    make(tmp_path / "x.tar")
    with pytest.raises(UserError, match=message):
        drafts.check(str(tmp_path / "x.tar"))


def test_a_directory_that_is_missing(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}/no is no directory that the job's user"):
        drafts.check(str(tmp_path / "no/x.tar"))


def test_a_check_makes_nothing(tmp_path):
    drafts.check(str(tmp_path / "x.tar"))
    assert os.listdir(tmp_path) == []
