"""The account files inside: whatever an image's hold, the user stays who it is."""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pycontrol import identity
from pycontrol.identity import Account
from pycontrol.rootfs import LARGEST, Root

ALICE = Account("alice", 1001, 100, "Alice", "/home/alice", ((100, "users"), (200, "lab")))
DAEMONS = [["slurm", "x", "64030", "64030", "", "/", "/usr/sbin/nologin"]]
# A line's fields, some as an attacker would have them.
FIELD = st.sampled_from(
    ["alice", "root", "slurm", "users", "lab", "eve", "x", "", "0", "1001", "01001", " 1001",
     "+0", "100", "200", "-1", "4294967296", "/bin/sh", "+", "-alice", "+@net", " alice",
     "\talice", "a,b"]
) | st.text(st.sampled_from("a0:\n\r\0\x0b\x0c\x1c\x85\u2028 +\ufffd"), max_size=4)  # fmt: skip
ENTRY = st.lists(FIELD, min_size=7, max_size=7) | st.lists(FIELD, min_size=4, max_size=4)
LINE = (st.lists(FIELD, max_size=9) | ENTRY).map(":".join)
FILE = st.tuples(
    st.lists(LINE, max_size=8), st.sampled_from(["\n", "\r\n", "\r", "\0", "\x0b"])
).map(lambda parts: parts[1].join(parts[0]))


def entries(text: str, fields: int) -> list[list[str]]:
    """As a C library reads them; every line must be an entry."""
    assert text.endswith("\n")
    found = [line.split(":") for line in text[:-1].split("\n")]
    assert all(len(entry) == fields for entry in found), text
    assert not any(c < " " or c == "\x7f" for c in text.replace("\n", "")), text
    return found


def read_leniently(text: str) -> set[int]:
    """The uids in it, by the most generous reading (strtol, blanks in front)."""
    found = set()
    for line in text.replace("\0", "\n").splitlines():
        fields = line.split(":")
        number = fields[2].strip().lstrip("+") if len(fields) > 2 else ""
        digits = number[: len(number) - len(number.lstrip("0123456789"))]
        found |= {int(digits)} if digits else set()
    return found


@given(FILE)
@example("+::::::")
@example("root:x:0:0::/root:/bin/sh")
@example("alice:x:0:0::/root:/bin/sh\neve:x:1001:0::/:/bin/sh")
def test_passwd(image):
    text = identity.passwd_file(ALICE, "/bin/bash", image, DAEMONS)
    found = entries(text, 7)
    assert found[0] == ["alice", "x", "1001", "100", "Alice", "/home/alice", "/bin/bash"]
    for entry in found[1:]:
        assert entry[0].strip() == entry[0] != "alice"
        assert entry[0][0] not in "+-#"
        assert all(str(int(number)) == number for number in entry[2:4])
        assert int(entry[2]) != 1001
    assert "64030" in [entry[2] for entry in found if entry[0] == "slurm"]
    assert {int(e[2]) for e in found} <= read_leniently(image) | {1001, 64030}
    assert identity.passwd_file(ALICE, "/bin/bash", text, DAEMONS) == text


@given(FILE)
def test_group(image):
    text = identity.group_file(ALICE, image)
    found = entries(text, 4)
    assert found[:2] == [["users", "x", "100", "alice"], ["lab", "x", "200", "alice"]]
    names, numbers = zip(*[(e[0], e[2]) for e in found[2:]], strict=True) if found[2:] else ((), ())
    assert not {"users", "lab"} & set(names)
    assert not {"100", "200"} & set(numbers)
    assert identity.group_file(ALICE, text) == text


# The node's database may be LDAP, with anything in it.
STRANGE = st.text(st.sampled_from("a:\n\0\r\x0b é"), max_size=6)


@given(STRANGE, STRANGE, STRANGE, st.lists(STRANGE, max_size=3), FILE)
def test_names_of_the_node_add_no_line(name, gecos, home, groups, image):
    account = Account(name, 7, 8, gecos, home, tuple((8 + n, g) for n, g in enumerate(groups)))
    plain = identity.passwd_file(ALICE, "/bin/sh", "")
    assert len(entries(identity.passwd_file(account, "/bin/sh", ""), 7)) == plain.count("\n") == 1
    if groups:
        assert len(entries(identity.group_file(account, ""), 4)) == len(groups)
    assert len(entries(identity.passwd_file(account, "/bin/sh", image), 7)) >= 1


# --- as files of an image ------------------------------------------------------------


def link(path):
    path.symlink_to("/etc/shadow")


def loop(path):
    path.symlink_to("passwd")


def upwards(path):
    path.symlink_to("../../../../../../../../etc/shadow")


def magic(path):
    path.symlink_to("/proc/1/root/etc/shadow")


def huge(path):
    path.write_bytes(b"eve:x:1:1::/:\n" * (LARGEST // 14 + 1))


def sparse(path):
    path.touch()
    os.truncate(path, 1 << 40)


def nothing_but_nul(path):
    path.write_bytes(bytes(LARGEST))


def one_line(path):
    path.write_bytes(b"a" * LARGEST)


def many_lines(path):
    path.write_bytes(b"\n" * (LARGEST - 16) + b"a:x:0:0::/:")


def no_text(path):
    path.write_bytes(b"a:x:1:1:\xff\xfe:/:\n\xed\xa0\x80:x:2:2::/:\n")


@pytest.mark.parametrize(
    "make",
    [
        link, loop, upwards, magic, huge, sparse, nothing_but_nul, one_line, many_lines, no_text,
        os.mkfifo, os.mkdir, lambda path: None,
    ],
)  # fmt: skip
def test_hostile_files(tmp_path, make):
    """Read as root: in bounded time, nothing of the node's, and the merged file is one."""
    (tmp_path / "etc").mkdir()
    make(tmp_path / "etc/passwd")
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        image = Root(descriptor).read_text("/etc/passwd")
    finally:
        os.close(descriptor)
    found = entries(identity.passwd_file(ALICE, "/bin/sh", image, DAEMONS), 7)
    assert [entry[0] for entry in found[:2]] == ["alice", "slurm"]
    assert {entry[2] for entry in found[2:]} <= {"0", "1", "2"}
    assert len(found) <= 4


def test_a_million_lines():
    """Of which Root.read_text() gives no more than LARGEST bytes."""
    text = "".join(f"u{n}:x:{n}:{n}::/:\n" for n in range(1_000_000))[:LARGEST]
    found = entries(identity.passwd_file(ALICE, "/bin/sh", text, DAEMONS), 7)
    assert len({entry[2] for entry in found}) == len(found)
