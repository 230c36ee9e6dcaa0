"""The site's program that says whether an image may run: as whom, and what is believed."""

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from pycontrol import identity, verify
from pycontrol.config import Config
from pycontrol.errors import NodeError, PolicyError, UserError
from pycontrol.identity import Account
from pycontrol.image import Reference

NAME = "r.org/a@sha256:" + "a" * 64
OWNER = Account("alice", 1001, 100, "", "/home/alice", ((100, "users"),))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="runs a program as another user")


def check(tmp_path, *program: str, owner=OWNER, **settings) -> None:
    verify.check(NAME, owner, Config(verify=program, **settings), tmp_path)


def test_without_a_program_all_is_well(tmp_path):
    check(tmp_path)
    verify.refuse_file(Reference("/a", "file"), Config())


def test_it_gets_the_digest_last_and_nothing_of_the_job(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    script = 'echo "$* as $(id -un)" >&2; exit 1'
    with pytest.raises(PolicyError) as error:
        check(tmp_path, "/bin/sh", "-c", script, "sh", "one")
    assert str(error.value) == f"image {NAME}: this site's check refuses it: one {NAME} as nobody"
    with pytest.raises(PolicyError) as error:
        check(tmp_path, "/bin/sh", "-c", "env | sort | tr '\\n' ' ' >&2; exit 1")
    assert str(error.value).partition("refuses it: ")[2].split() == [
        "HOME=/nonexistent", "LANG=C.UTF-8", f"PATH={verify.PATH}", "PWD=/", "SOCKER_USER=alice",
    ]  # fmt: skip


def test_its_consent_counts_for_a_while(tmp_path):
    check(tmp_path, "/bin/sh", "-c", "exit 0", "x")
    with pytest.raises(PolicyError):
        check(tmp_path, "/bin/sh", "-c", "exit 1", "x")  # another program
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        asked = ("/bin/sh", "-c", 'test -e "$0"', folder)
        check(tmp_path, *asked)
    check(tmp_path, *asked)
    with pytest.raises(PolicyError):
        check(tmp_path, *asked, confirmation_time=0)
    with pytest.raises(PolicyError):
        check(tmp_path, *asked, owner=Account("bob", 1002, 100, "", "/", ((100, "users"),)))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "refuses it: status 3"),
        ("kill -9 $$", "refuses it: status -9"),
        ("printf 'a\\033[2J\\tb' >&2; exit 1", r"refuses it: a\[2Jb$"),
        ("yes | head -c 100000 >&2; printf last >&2; exit 1", "refuses it: last$"),
    ],
)
def test_refusals(tmp_path, script, words):
    with pytest.raises(PolicyError, match=words):
        check(tmp_path, "/bin/sh", "-c", script)


def test_one_that_takes_too_long(tmp_path):
    with pytest.raises(UserError, match="longer than verify_timeout = 1 s"):
        check(tmp_path, "/bin/sh", "-c", "exec sleep 60", verify_timeout=1)


def test_one_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="/no/such cannot be run: No such file"):
        check(tmp_path, "/no/such")


@pytest.mark.parametrize("name", ["root", "no-such-user", "nobody"])
def test_accounts_that_must_not_run_it(tmp_path, name):
    entry = pwd.getpwnam("nobody")
    owner = identity.look_up(entry.pw_uid, entry.pw_gid, [])
    with pytest.raises(NodeError, match="tell the admin"):
        check(tmp_path, "/bin/true", owner=owner, verify_user=name)


def test_files_have_no_signature():
    with pytest.raises(PolicyError, match="cannot do with files"):
        verify.refuse_file(Reference("/a", "file"), Config(verify=("/bin/true",)))
