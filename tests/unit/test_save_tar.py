"""The walker: what it writes of a tree, also of one that is made to harm it."""

import io
import os
import socket
import stat
import subprocess
import tarfile

import pytest

from pycontrol import kernel, tarheader
from pycontrol.errors import UserError
from pycontrol.roottar import RootTar
from pycontrol.tarheader import Member


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    return root


def saved(root, **options):
    """(members by name, data by name, lines for the user)."""
    output = io.BytesIO()
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        notes = RootTar(descriptor, output, **options).write()
    finally:
        os.close(descriptor)
    assert len(output.getvalue()) % 512 == 0
    assert output.getvalue().endswith(tarheader.END)
    output.seek(0)
    with tarfile.open(fileobj=output) as tar:
        members = {member.name: member for member in tar}
        data = {n: tar.extractfile(m).read() for n, m in members.items() if m.isreg()}
    return members, data, notes.lines()


# --- headers ---


@pytest.mark.parametrize(
    "member",
    [
        Member(b"a", tarheader.REGULAR, 0o4755, 1000, 1000, 1_700_000_000, 5),
        Member(b"d/" + b"x" * 300, tarheader.DIRECTORY, 0o1777),
        Member(b"l", tarheader.SYMLINK, 0o777, link=b"y" * 200),
        Member(b"big", tarheader.REGULAR, uid=1 << 31, gid=1 << 31, size=1 << 40),
        Member(b"x", tarheader.REGULAR, xattrs=((b"user.a", b"1\0\n=2"), (b"user.b", b""))),
    ],
)
def test_a_header_is_read_back(member):
    info = tarfile.TarFile.open(fileobj=io.BytesIO(tarheader.header(member) + bytes(1024))).next()
    assert (info.name.encode(), info.linkname.encode()) == (member.name, member.link)
    assert (info.mode, info.uid, info.gid) == (member.mode, member.uid, member.gid)
    assert (info.mtime, info.size, info.type) == (member.mtime, member.size, member.kind)
    assert (info.uname, info.gname) == ("", "")
    for name, value in member.xattrs:
        assert info.pax_headers[f"SCHILY.xattr.{name.decode()}"].encode() == value


@pytest.mark.parametrize("size", [*range(80, 100), *range(980, 1000)])
def test_a_records_length_counts_itself(size):
    record = tarheader._record(b"path", b"x" * size)
    assert int(record.partition(b" ")[0]) == len(record)


# --- an ordinary tree ---


def test_what_a_tree_holds(tree):
    (tree / "etc").mkdir(mode=0o751)
    (tree / "etc").chmod(0o751)
    (tree / "etc/file").write_text("text")
    (tree / "etc/file").chmod(0o4711)
    os.utime(tree / "etc/file", (5, 5))
    (tree / "link").symlink_to("/etc/shadow")
    os.mkfifo(tree / "pipe")
    members, data, lines = saved(tree)
    assert list(members) == ["etc", "link", "pipe", "etc/file"]
    assert data == {"etc/file": b"text"}
    assert (members["etc"].mode, members["etc/file"].mode) == (0o751, 0o4711)
    assert members["etc/file"].mtime == 5
    assert members["link"].linkname == "/etc/shadow"
    assert members["pipe"].isfifo()
    assert lines == []


def test_hard_links_stay_links(tree):
    (tree / "a").write_text("text")
    (tree / "b").hardlink_to(tree / "a")
    (tree / "c").symlink_to("x")
    os.link(tree / "c", tree / "d", follow_symlinks=False)
    members, data, _ = saved(tree)
    assert data.keys() == {"a"}
    assert (members["b"].type, members["b"].linkname) == (tarfile.LNKTYPE, "a")
    assert (members["d"].type, members["d"].linkname) == (tarfile.LNKTYPE, "c")


def test_what_is_skipped(tree):
    (tree / ".socker").mkdir()
    (tree / ".socker/pause").touch()
    (tree / "a").mkdir()
    (tree / "a/.socker").touch()
    assert list(saved(tree, skip=["/.socker"])[0]) == ["a", "a/.socker"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_roots_files_and_the_owners_change_places(tree):
    for name, uid, gid in (("root", 0, 0), ("own", 1001, 1003), ("other", 7, 1003)):
        (tree / name).touch()
        os.chown(tree / name, uid, gid)
    members, _, _ = saved(tree, swap=(1001, 1003))
    owners = {name: (member.uid, member.gid) for name, member in members.items()}
    assert owners == {"root": (1001, 1003), "own": (0, 0), "other": (7, 0)}
    assert saved(tree)[0]["own"].uid == 1001


def test_names_that_are_no_text(tree):
    (tree / os.fsdecode(b"caf\xe9")).touch()
    (tree / "line\nbreak").touch()
    (tree / os.fsdecode(b"\xff" * 150)).touch()
    assert [os.fsencode(name) for name in saved(tree)[0]] == [
        b"caf\xe9",
        b"line\nbreak",
        b"\xff" * 150,
    ]


def test_attributes_of_the_users_alone(tree):
    (tree / "a").touch()
    try:
        os.setxattr(tree / "a", "user.note", b"\0\xfe")
    except OSError:
        pytest.skip("this file system keeps no user attributes")
    header = io.BytesIO()
    root = os.open(tree, os.O_PATH)
    RootTar(root, header).write()
    os.close(root)
    assert b"SCHILY.xattr.user.note=\0\xfe\n" in header.getvalue()


@pytest.mark.skipif(os.geteuid() != 0, reason="sets a capability")
def test_a_capability_is_left_out(tree):
    (tree / "a").touch()
    capability = b"\1\0\0\2" + b"\0\4\0\0" + bytes(12)
    os.setxattr(tree / "a", "security.capability", capability)
    assert not saved(tree)[0]["a"].pax_headers


# --- files that replace the tree's ---


def test_added_files(tree):
    members, data, _ = saved(tree, extra={"etc/rc": b"new"})
    assert members["etc"].isdir()
    assert data["etc/rc"] == b"new"
    (tree / "etc").mkdir()
    (tree / "etc/rc").symlink_to("/tmp/elsewhere")
    members, data, _ = saved(tree, extra={"etc/rc": b"new"})
    assert data["etc/rc"] == b"new"


def test_added_files_never_go_through_a_link(tree):
    (tree / "etc").symlink_to("/tmp")
    with pytest.raises(UserError, match="/etc is no directory"):
        saved(tree, extra={"etc/rc": b"new"})


# --- a hostile tree ---


def test_sockets_and_devices_are_left_out(tree, monkeypatch):
    monkeypatch.chdir(tree)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    if os.geteuid() == 0:
        os.mknod("device", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    members, _, lines = saved(tree)
    listener.close()
    assert not members
    assert "sockets left out: 1, the first is /socket" in lines
    if os.geteuid() == 0:
        assert "device nodes left out: 1, the first is /device" in lines


def test_a_name_that_is_a_removal_in_a_layer(tree):
    (tree / ".wh.etc").touch()
    members, _, lines = saved(tree)
    assert not members
    assert lines[0].startswith("files left out whose names begin with .wh.")


def test_a_tree_of_any_depth(tree):
    """No recursion, no descriptor a level; what no engine could unpack is named."""
    folder = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    members, _, lines = saved(tree)
    assert max(map(len, members)) == 4095
    assert len(members) == 2048
    assert lines[0].startswith("files left out whose paths are longer than 4095 bytes: 1, ")
    subprocess.run(["rm", "-rf", tree / "d"], check=True)  # pytest's own way is recursive


class Racing(io.BytesIO):
    """An output that changes the tree when a name has been written."""

    def __init__(self, name: bytes, change):
        super().__init__()
        self._name, self._change = name, change

    def write(self, data):
        written = super().write(data)
        if data.startswith(self._name + b"\0") and self._change:
            change, self._change = self._change, None
            change()
        return written


def raced(tree, name, change):
    output = Racing(name, change)
    root = os.open(tree, os.O_PATH)
    notes = RootTar(root, output).write()
    os.close(root)
    output.seek(0)
    with tarfile.open(fileobj=output) as tar:
        return {m.name: tar.extractfile(m).read() if m.isreg() else None for m in tar}, notes


def test_a_file_that_shrinks_is_padded(tree):
    (tree / "a").write_bytes(b"x" * 3000)
    (tree / "b").write_bytes(b"after")
    found, notes = raced(tree, b"a", lambda: os.truncate(tree / "a", 100))
    assert found == {"a": b"x" * 100 + bytes(2900), "b": b"after"}
    assert notes.lines() == ["files that changed while they were saved: 1, the first is /a"]


def test_a_file_that_grows_is_cut(tree):
    (tree / "a").write_bytes(b"x" * 600)
    (tree / "b").write_bytes(b"after")

    def grow():
        with open(tree / "a", "ab") as file:
            file.write(b"y" * 5000)

    found, notes = raced(tree, b"a", grow)
    assert found == {"a": b"x" * 600, "b": b"after"}
    assert "/a" in notes.lines()[0]


def test_a_directory_that_becomes_a_link_is_not_entered(tree, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    (tree / "a").mkdir()

    def swap():
        (tree / "a").rmdir()
        (tree / "a").symlink_to("../outside")

    found, notes = raced(tree, b"a", swap)
    assert found == {"a": None}
    assert "/a" in notes.lines()[0]


def test_a_file_that_becomes_a_pipe_is_not_opened(tree, monkeypatch):
    """The inode that was looked at is read, whatever has its name by then."""
    (tree / "a").write_text("text")
    real = kernel.open_below

    def swap_after(folder, name, flags):
        descriptor = real(folder, name, flags)
        if name == "a":
            (tree / "a").unlink()
            os.mkfifo(tree / "a")
        return descriptor

    monkeypatch.setattr(kernel, "open_below", swap_after)
    assert saved(tree)[1] == {"a": b"text"}


def test_a_file_that_vanishes(tree, monkeypatch):
    (tree / "a").touch()
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: [*listed(folder), "gone"])
    members, _, lines = saved(tree)
    assert list(members) == ["a"]
    assert "/gone" in lines[0]


def test_holes_are_zeros(tree):
    with open(tree / "a", "wb") as file:
        file.truncate(5_000_000)
    assert saved(tree)[1]["a"] == bytes(5_000_000)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_what_is_mounted_is_left_out(tree, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/secret").touch()
    (tree / "mnt").mkdir()
    if subprocess.run(["mount", "--bind", tmp_path / "other", tree / "mnt"]).returncode:
        pytest.skip("no mounts here")
    try:
        members, _, _ = saved(tree)
    finally:
        subprocess.run(["umount", tree / "mnt"], check=True)
    assert list(members) == ["mnt"]
    assert members["mnt"].isdir()


def test_no_descriptor_stays_open(tree):
    for name in ("a", "b/c", "b/d/e"):
        (tree / name).mkdir(parents=True)
        (tree / name / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    saved(tree)
    assert len(os.listdir("/proc/self/fd")) == before
