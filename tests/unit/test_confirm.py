"""Who may run a cached image: what is asked, of whom, and what is remembered.

As root alone: questions are put by a child with another user's ids.
"""

import json
import os
import pwd
import time

import pytest

from pycontrol import identity
from pycontrol.asking import Asker
from pycontrol.config import Config
from pycontrol.confirm import Confirmer, is_public
from pycontrol.confirmed import MOST, Confirmed
from pycontrol.errors import Unreachable, UserError
from pycontrol.image import Image
from pycontrol.origin import Origin, origin_of
from pycontrol.route import DIRECT
from tests import registry_server
from tests.registry_server import digest_of

CONFIG = b'{"os": "linux"}'
IMAGE = Image(digest_of(CONFIG), (), "/")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="asks as another user")


@pytest.fixture
def registry():
    with registry_server.running() as server:
        server.actions = "pull"
        server.digest = server.put("a/b", "1", CONFIG)
        yield server


@pytest.fixture
def nobody(tmp_path):
    entry = pwd.getpwnam("nobody")
    return identity.look_up(entry.pw_uid, entry.pw_gid, [])


@pytest.fixture
def ask(registry, nobody, tmp_path):
    """ask(setting=value, ...): what asks, for one more step."""

    def make(env=(), since=None, **settings) -> Confirmer:
        config = Config(**settings)
        origin = Origin(registry.name, "a/b", "1")
        asker = Asker(origin, nobody, dict(env), lambda: DIRECT, config)
        return Confirmer(origin, nobody.uid, asker, config, tmp_path, since or time.time())

    return make


@pytest.fixture
def docker_config():
    """docker_config(registry, entry): a DOCKER_CONFIG that everybody can read."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)

        def make(registry, entry) -> dict[str, str]:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps({"auths": {registry.name: entry}}))
            return {"DOCKER_CONFIG": folder}

        yield make


def questions(registry) -> list[str]:
    """What was asked of the image itself."""
    return [f"{how} {where.split('/', 4)[-1]}" for how, where, _ in registry.seen
            if where != "/v2/" and "token" not in where]  # fmt: skip


@as_root
def test_the_first_time_the_registry_must_show_what_it_has(registry, ask):
    ask().confirm(registry.digest, IMAGE, afresh=False)
    assert questions(registry) == [
        f"GET manifests/{registry.digest}",
        f"GET blobs/{IMAGE.image_id}",
    ]


@as_root
def test_then_one_small_request_does_and_for_a_while_none(registry, ask):
    ask().confirm(registry.digest, IMAGE, afresh=False)
    registry.seen.clear()
    ask().confirm(registry.digest, IMAGE, afresh=False)
    assert not registry.seen
    ask().confirm(registry.digest, IMAGE, afresh=True)
    assert questions(registry) == [f"HEAD manifests/{registry.digest}"]


@as_root
def test_it_is_not_prolonged_by_use(registry, ask, tmp_path):
    ask().confirm(registry.digest, IMAGE, afresh=False)
    (record,) = (tmp_path / "confirmed").glob("*-*")
    long_ago = time.time() - 299
    os.utime(record, (long_ago, long_ago))
    ask().confirm(registry.digest, IMAGE, afresh=False)
    assert record.stat().st_mtime == pytest.approx(long_ago)


@as_root
def test_what_a_tag_names_may_be_read(registry, ask):
    ask().confirm(registry.digest, IMAGE, afresh=False)
    registry.seen.clear()
    confirmer = ask()
    assert confirmer.names("1") == registry.digest
    confirmer.confirm(registry.digest, IMAGE, afresh=True)
    assert questions(registry) == ["HEAD manifests/1"]


@as_root
def test_a_registry_that_tells_no_digest(registry, ask):
    registry.tells = False
    assert ask().names("1") == registry.digest


@as_root
@pytest.mark.parametrize("what", ["manifests", "blobs"])
def test_a_registry_that_says_yes_but_has_it_not(registry, ask, what):
    name = registry.digest if what == "manifests" else IMAGE.image_id
    registry.content[f"/v2/a/b/{what}/{name}"] = b"{}"
    with pytest.raises(UserError, match="does not have what this node has"):
        ask().confirm(registry.digest, IMAGE, afresh=False)
    with pytest.raises(UserError, match="does not have what this node has"):
        ask(unreachable_registry="allow").confirm(registry.digest, IMAGE, afresh=False)


@as_root
def test_another_user_is_asked_for_anew(registry, ask, nobody):
    ask().confirm(registry.digest, IMAGE, afresh=False)
    registry.seen.clear()
    other = ask()
    other._uid = 77
    other.confirm(registry.digest, IMAGE, afresh=False)
    assert questions(registry) == [f"HEAD manifests/{registry.digest}"]


@as_root
def test_a_refusal_takes_back_what_was_confirmed(registry, ask):
    ask().confirm(registry.digest, IMAGE, afresh=False)
    registry.want_password()
    with pytest.raises(UserError, match="no credentials were found"):
        ask().confirm(registry.digest, IMAGE, afresh=True)
    registry.shutdown()
    registry.server_close()
    with pytest.raises(UserError):
        ask(unreachable_registry="confirmed").confirm(registry.digest, IMAGE, afresh=False)


@as_root
def test_who_waited_gets_the_refusal_and_asks_nobody(registry, ask):
    registry.want_password()
    began = time.time()
    with pytest.raises(UserError, match="refuses") as first:
        ask().confirm(registry.digest, IMAGE, afresh=False)
    registry.seen.clear()
    with pytest.raises(UserError) as second:
        ask(since=began).confirm(registry.digest, IMAGE, afresh=False)
    assert str(second.value) == str(first.value)
    assert not registry.seen
    with pytest.raises(UserError):
        ask(since=time.time() + 1).confirm(registry.digest, IMAGE, afresh=False)
    assert registry.seen, "a later step asks for itself"


@as_root
@pytest.mark.parametrize("entry", [{"username": "alice", "password": "s3cret"},
                                   {"identitytoken": "idt"}])  # fmt: skip
def test_with_the_users_credentials(registry, ask, docker_config, entry):
    registry.want_token()
    confirmer = ask(env=docker_config(registry, entry))
    confirmer.confirm(registry.digest, IMAGE, afresh=False)
    found = confirmer.credentials()
    assert found and "s3cret" not in repr(found) and "idt" not in repr(found)
    assert found.for_engine() == entry


@as_root
def test_credentials_are_looked_up_once_for_a_step(registry, ask, docker_config, tmp_path):
    env = docker_config(registry, {"username": "alice", "password": "s3cret"})
    confirmer = ask(env=env)
    assert confirmer.credentials()
    docker_config(registry, {"username": "alice", "password": "another"})
    assert confirmer.credentials().password == "s3cret"


def away(confirmer) -> Confirmer:
    def silent(*args):
        raise Unreachable("away")

    for name in ("names", "reads", "shows"):
        setattr(confirmer._asker, name, silent)
    return confirmer


@as_root
def test_a_registry_that_is_away(registry, ask, tmp_path):
    """Who may go on, and never with what it had not shown before."""
    for rule in ("refuse", "confirmed", "allow"):
        with pytest.raises(UserError, match="away"):
            away(ask(unreachable_registry=rule)).confirm(registry.digest, IMAGE, afresh=False)
    ask().confirm(registry.digest, IMAGE, afresh=False)
    old = {"confirmation_time": 0}
    with pytest.raises(UserError, match="away"):
        away(ask(**old)).confirm(registry.digest, IMAGE, afresh=False)
    for rule in ("confirmed", "allow"):
        step = away(ask(unreachable_registry=rule, **old))
        step.confirm(registry.digest, IMAGE, afresh=False)
        with pytest.raises(UserError, match="away"):
            step.confirm(registry.digest, IMAGE, afresh=True)
    other = away(ask(unreachable_registry="confirmed", **old))
    other._uid = 77
    with pytest.raises(UserError, match="away"):
        other.confirm(registry.digest, IMAGE, afresh=False)


@as_root
def test_one_that_is_silent_is_asked_once(nobody, tmp_path):
    asker = Asker(Origin("127.0.0.1:1", "a", "1"), nobody, {}, lambda: DIRECT, Config())
    with pytest.raises(Unreachable):
        asker.names("1")
    asker._work = None
    with pytest.raises(Unreachable):
        asker.reads("x")


@as_root
def test_a_user_cannot_make_a_registry_unreachable(nobody, monkeypatch):
    """By stopping the child, say."""
    monkeypatch.setattr("pycontrol.registry.names", lambda http, origin, tag: time.sleep(60))
    with registry_server.running() as server:
        origin = Origin(server.name, "a", "1")
        asker = Asker(origin, nobody, {}, lambda: DIRECT, Config(registry_timeout=1))
        with pytest.raises(UserError, match="no answer within 1 s") as error:
            asker.names("1")
    assert not isinstance(error.value, Unreachable)


# --- public images ---


@pytest.mark.parametrize(
    ("name", "pattern", "public"),
    [
        ("busybox:1", "docker.io/library", True),
        ("busybox:1", "docker.io", True),
        ("a/b:1", "docker.io/library", False),
        ("r.org/team/x:1", "r.org/team", True),
        ("r.org/team/x/y:1", "r.org/team", True),
        ("r.org/team-evil/x:1", "r.org/team", False),
        ("r.org/team:1", "r.org/team", True),
        ("r.org:5000/team/x:1", "r.org/team", False),
        ("x.org/r.org/team:1", "r.org/team", False),
    ],
)
def test_what_is_public(name, pattern, public):
    assert is_public(origin_of(name), (pattern,)) == public


@as_root
def test_nobody_is_asked_for_a_public_image(registry, ask):
    public = ask(public_images=(f"{registry.name}/a",))
    public.confirm(registry.digest, IMAGE, afresh=False)
    assert not registry.seen


# --- records ---


def test_records_of_users_and_images(tmp_path):
    records = Confirmed(tmp_path / "r", 100)
    records.note(1, "a")
    assert records.is_fresh(1, "a")
    assert not records.is_fresh(2, "a")
    assert not records.is_fresh(1, "b")
    records.note(1, "a", "no: why")
    assert not records.is_fresh(1, "a")
    assert not records.was_ever(1, "a")
    assert records.refusal(1, "a", 0) == "no: why"
    assert records.refusal(1, "a", time.time() + 1) == ""
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o700


def test_a_record_of_the_future_counts_for_nothing(tmp_path):
    records = Confirmed(tmp_path, 100)
    records.note(1, "a")
    (record,) = tmp_path.iterdir()
    later = time.time() + 50
    os.utime(record, (later, later))
    assert not records.is_fresh(1, "a")


def test_records_are_bounded(tmp_path):
    for number in range(MOST):
        (tmp_path / f"1-{number}").touch()
        os.utime(tmp_path / f"1-{number}", (number, number))
    Confirmed(tmp_path, 100).note(1, "a")
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == MOST // 2 + 1
    assert f"1-{MOST - 1}" in left


@as_root
def test_a_record_that_is_not_roots_is_an_error(tmp_path):
    records = Confirmed(tmp_path, 100)
    records.note(1, "a")
    (record,) = tmp_path.iterdir()
    os.chown(record, 65534, 65534)
    with pytest.raises(Exception, match="belongs to uid 65534"):
        records.is_fresh(1, "a")
