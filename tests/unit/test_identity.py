"""The account files that tasks see."""

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
    assert [line.split(":")[0] for line in text.splitlines()] == ["alice", "root", "broken line"]


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
