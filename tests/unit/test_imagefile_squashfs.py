"""Squashfs images: their settings, and the tools that read them."""

import shutil
import subprocess
import tarfile

import pytest

from pycontrol import squashfs
from pycontrol.errors import NodeError, UserError

# As enroot's docker::configure writes it.
RC = b"""# enroot-provenance: docker://registry-1.docker.io#library/x:latest
# cd "/label" && a label

mkdir -p "/work dir" 2> /dev/null
cd "/work dir" && unset OLDPWD || exit 1

if [ -s /etc/rc.local ]; then
    . /etc/rc.local
fi

if [ $# -gt 0 ]; then
    exec 'entry' "$@"
else
    exec 'entry' 'cmd'
fi
"""


def test_what_enroot_writes():
    assert squashfs.changes("/x", b"PATH=/bin\nA=1 2\n", RC) == [
        'ENV PATH="/bin"',
        'ENV A="1 2"',
        'ENTRYPOINT ["/bin/sh","/etc/rc"]',
        "WORKDIR /work dir",
    ]


def test_a_file_system_without_settings():
    assert squashfs.changes("/x", b"", b"") == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('A="x y"', {"A": "x y"}),
        ("A='x'  ", {"A": "x"}),
        ("  A=1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=b=c", {"A": "b=c"}),
        ("A=$B", {"A": "$B"}),
        ("# A=1", {}),
        ("A", {}),
        ("1A=x", {}),
        ("A-B=x", {}),
        ("ENROOT_X=1", {}),
        ("DISPLAY=${DISPLAY}", {}),
        ("A=a\0b", {}),
        ("A=a\rRUN x", {}),
    ],
)
def test_lines_of_the_environment(line, found):
    assert squashfs.variables(line.encode()) == found


def test_the_last_line_of_a_variable_counts():
    assert squashfs.variables(b"A=1\nA=2\n") == {"A": "2"}


@pytest.mark.parametrize(
    ("value", "word"),
    [("a b", '"a b"'), ('"', r'"\""'), ("\\", r'"\\"'), ("$HOME", r'"\$HOME"'), ("`x`", '"`x`"')],
)
def test_values_are_one_word_of_a_dockerfile(value, word):
    assert squashfs._quoted(value) == word


@pytest.mark.parametrize(
    "line",
    [
        'cd "relative" && unset OLDPWD || exit 1',
        'cd "/$HOME" && unset OLDPWD || exit 1',
        'cd "/`id`" && unset OLDPWD || exit 1',
        'cd "/a\\" && unset OLDPWD || exit 1',
        'cd "/a\rRUN x" && unset OLDPWD || exit 1',
    ],
)
def test_working_directories_that_are_not_taken(line):
    assert squashfs.changes("/x", b"", line.encode()) == ['ENTRYPOINT ["/bin/sh","/etc/rc"]']


def test_settings_are_bounded():
    with pytest.raises(UserError, match="its /etc/environment is larger than 64 KiB"):
        squashfs.changes("/x", b"x" * (squashfs.LARGEST_FILE + 1), b"")


def test_a_missing_tool_names_its_package():
    with pytest.raises(NodeError, match=r"no-such-tool: .*squashfs-tools-ng"):
        squashfs.tool("no-such-tool")


tools = pytest.mark.skipif(
    not (shutil.which("sqfs2tar") and shutil.which("mksquashfs")),
    reason="needs squashfs-tools-ng and squashfs-tools",
)


@pytest.fixture
def image(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/environment").write_text("A=1\n")
    (root / "etc/rc").symlink_to("/etc/passwd")
    (root / "large").write_bytes(b"x" * 100_000)
    path = tmp_path / "image.sqsh"
    command = ["mksquashfs", root, path, "-all-root", "-quiet", "-no-progress"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


@tools
def test_small_files_of_an_image(image):
    with open(image, "rb") as file:
        viewer = squashfs.tool("rdsquashfs")
        read = {
            name: squashfs.read_file(file.fileno(), name, viewer)
            for name in (squashfs.ENVIRONMENT, squashfs.RC, "etc", "none", "large")
        }
    assert len(read.pop("large")) == squashfs.LARGEST_FILE + 1
    assert read == {squashfs.ENVIRONMENT: b"A=1\n", squashfs.RC: b"", "etc": b"", "none": b""}


@tools
def test_the_root_directory(image, tmp_path):
    with open(image, "rb") as file, open(tmp_path / "tar", "wb") as output:
        squashfs.to_tar("/x", file.fileno(), squashfs.tool("sqfs2tar"), output)
    with tarfile.open(tmp_path / "tar") as tar:
        assert tar.getmember("./large").size == 100_000
        assert tar.getmember(".").isdir()


@tools
def test_a_damaged_image(image, tmp_path):
    image.write_bytes(image.read_bytes()[:200])
    with open(image, "rb") as file, open(tmp_path / "tar", "wb") as output:
        with pytest.raises(UserError, match=r"image /x: sqfs2tar cannot read it: .*make it again"):
            squashfs.to_tar("/x", file.fileno(), squashfs.tool("sqfs2tar"), output)
