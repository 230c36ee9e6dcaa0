"""Work as another user: only where the tests run as root."""

import ast
import os
import pwd
import tempfile
from pathlib import Path

import pytest

from pycontrol import as_user, identity
from pycontrol.errors import NodeError, UserError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user id")


@pytest.fixture
def nobody():
    entry = pwd.getpwnam("nobody")
    return identity.look_up(entry.pw_uid, entry.pw_gid, [])


def test_it_has_the_users_ids_alone(nobody):
    ids = as_user.call(
        nobody, lambda: repr((os.getresuid(), os.getresgid(), os.getgroups())).encode()
    )
    uid, gid = nobody.uid, nobody.gid
    assert ids.decode() == repr(((uid,) * 3, (gid,) * 3, [gid]))


def test_its_user_can_neither_trace_nor_read_it(nobody):
    """What it says of a registry must be its own word: /proc gives it to root."""
    owner = as_user.call(nobody, lambda: str(os.stat("/proc/self/environ").st_uid).encode())
    assert owner == b"0"


def test_what_the_user_cannot_read_is_an_error_that_names_it(nobody, tmp_path):
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0o600)
    with pytest.raises(UserError, match=f"{path}: Permission denied"):
        as_user.call(nobody, path.read_bytes)


def test_its_own_errors_come_through(nobody):
    def work():
        raise UserError("object: what: fix")

    with pytest.raises(UserError, match=r"^object: what: fix$"):
        as_user.call(nobody, work)


def test_a_bug_is_no_success(nobody):
    with pytest.raises(NodeError, match="ended with status"):
        as_user.call(nobody, lambda: 1 / 0)


def test_a_result_is_bounded(nobody):
    with pytest.raises(UserError, match="more than 10 bytes"):
        as_user.call(nobody, lambda: b"x" * 1_000_000, longest=10)


def test_a_stream_of_any_length(nobody):
    def produce(output):
        for _ in range(100):
            output.write(b"x" * 100_000)

    with as_user.reading(nobody, produce) as file:
        assert len(file.read()) == 10_000_000


@pytest.fixture
def open_dir():
    """A directory that nobody, too, can write to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o777)
        yield Path(path)


def test_nothing_of_roots_is_inherited(nobody):
    secret = os.open("/etc/shadow", os.O_RDONLY)
    open_ones = as_user.call(nobody, lambda: repr(os.listdir("/proc/self/fd")).encode())
    os.close(secret)
    # 0-2, the two pipes, and the look itself.
    assert len(ast.literal_eval(open_ones.decode())) <= 6


def test_a_consumer_gets_all(nobody, open_dir):
    tmp_path = open_dir

    def consume(source):
        (tmp_path / "out").write_bytes(source.read())

    with as_user.writing(nobody, consume) as file:
        file.write(b"x" * 1_000_000)
    assert (tmp_path / "out").stat().st_size == 1_000_000
    assert (tmp_path / "out").stat().st_uid == nobody.uid


def test_a_consumer_never_takes_a_failure_for_the_end(nobody, open_dir):
    tmp_path = open_dir

    def consume(source):
        source.read()
        (tmp_path / "out").touch()

    with pytest.raises(ValueError):
        with as_user.writing(nobody, consume) as file:
            file.write(b"half")
            raise ValueError
    assert not (tmp_path / "out").exists()


def test_a_consumer_that_fails_says_why(nobody):
    def consume(source):
        raise UserError("disk full")

    with pytest.raises(UserError, match="disk full"):
        with as_user.writing(nobody, consume) as file:
            for _ in range(100):
                file.write(b"x" * 100_000)
