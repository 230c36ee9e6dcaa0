"""The account files that tasks see."""

import pytest

from pycontrol import identity
from pycontrol.identity import Account

ALICE = Account("alice", 1001, 100, "Alice", "/home/alice", ((100, "users"), (200, "lab")))


def test_the_user_comes_first_and_the_image_follows():
    text = identity.passwd_file(ALICE, "/bin/sh", "root:x:0:0::/root:/bin/sh\n")
    assert text.splitlines() == [
        "alice:x:1001:100:Alice:/home/alice:/bin/sh",
        "root:x:0:0::/root:/bin/sh",
    ]


def test_namesakes_and_the_same_uid_are_replaced():
    image = "alice:x:5:5::/:\nuser:x:1001:1001::/:\nroot:x:0:0::/:\n\nbroken line\n"
    text = identity.passwd_file(ALICE, "/bin/sh", image)
    assert [line.split(":")[0] for line in text.splitlines()] == ["alice", "root"]


@pytest.mark.parametrize(
    "line",
    [
        "+::::::", "+alice::0:0:::", "-bob::::::", "eve:x:0:0::/", "eve:x:0:0::/:/bin/sh:",
        " alice:x:0:0::/:/bin/sh", "eve:x:+0:0::/:", "eve:x:-1:0::/:", "eve:x:0x0:0::/:",
        ":x:0:0::/:", "eve:x::0::/:",
        "eve:x:1:\u0661::/:", "eve:x:99999999999:0::/:", "eve:x:1:1:\0::/:", "eve:x:1:1:\x0b:/:",
        "#eve:x:1:1::/:", "eve:x:01001:1::/:", "eve:x:0001001:1::/:", "alice:x:0:0::/:",
    ],
)  # fmt: skip
def test_what_is_no_entry_or_the_users_own_is_left_out(line):
    """C libraries differ on these, or skip blanks and zeros in front."""
    for end in ("", "\n", "\r\n"):
        text = identity.passwd_file(ALICE, "/bin/sh", f"bin:x:2:2::/:\n{line}{end}")
        assert [line.split(":")[0] for line in text.splitlines()] == ["alice", "bin"]


def test_what_looks_like_a_line_break_is_none():
    text = identity.passwd_file(ALICE, "/bin/sh", "a:x:1:1:x\x85eve:x:0:0:/\u2028:/:/bin/sh\n")
    assert text.count("\n") == 1, "an entry of nine fields is none"


def test_the_nodes_database_adds_no_field_and_no_line():
    strange = Account("al:ice", 7, 8, "a\nroot:x:0:0::/:", "/h\0", ((8, "g\n:"),))
    assert (
        identity.passwd_file(strange, "/bin/sh", "")
        == "al?ice:x:7:8:a?root?x?0?0??/?:/h?:/bin/sh\n"
    )
    assert identity.group_file(strange, "") == "g??:x:8:al?ice\n"


def test_accounts_that_must_be_there_are_not_the_user():
    own = ["slurm", "x", "1001", "1", "", "/", "/usr/sbin/nologin"]
    assert len(identity.passwd_file(ALICE, "/bin/sh", "", [own]).splitlines()) == 1


def test_groups_of_the_job_win_by_name_and_by_gid():
    image = "root:x:0:\nlab:x:7:\nother:x:200:\n"
    text = identity.group_file(ALICE, image)
    assert text.splitlines() == ["users:x:100:alice", "lab:x:200:alice", "root:x:0:"]


def test_look_up_of_an_unknown_group():
    account = identity.look_up(0, 0, [0, 4242424])
    assert account.name == "root"
    assert account.groups == ((0, "root"), (4242424, "gid4242424"))


def test_accounts_that_must_be_there():
    slurm = ["slurm", "x", "64030", "64030", "", "/", "/usr/sbin/nologin"]
    root = ["root", "x", "0", "0", "", "/", "/usr/sbin/nologin"]
    image = "root:x:0:0::/root:/bin/ash\nslurm:x:7:7::/:\nbin:x:2:2::/:\n"
    text = identity.passwd_file(ALICE, "/bin/sh", image, [slurm, root])
    assert text.splitlines()[1:] == [
        "slurm:x:64030:64030::/:/usr/sbin/nologin",
        "root:x:0:0::/root:/bin/ash",
        "bin:x:2:2::/:",
    ]
    text = identity.passwd_file(ALICE, "/bin/sh", "", [slurm, root])
    assert [line.split(":")[0] for line in text.splitlines()] == ["alice", "slurm", "root"]


def test_entries_of_the_node():
    [root] = identity.entries(["root", "no-such-user", "root"])
    assert root[:4] == ["root", "x", "0", "0"]
