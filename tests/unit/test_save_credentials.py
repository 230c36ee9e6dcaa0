"""The user's Docker configuration, in all its forms, and damaged."""

import base64
import json
import os

import pytest

from pycontrol import credentials
from pycontrol.credentials import Credentials, look_up
from pycontrol.errors import UserError


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".docker").mkdir()
    return tmp_path


@pytest.fixture
def found(home):
    def find(config, registry="r.org:5000", **env):
        text = config if isinstance(config, str) else json.dumps(config)
        (home / ".docker/config.json").write_text(text)
        return look_up(registry, str(home), env)

    return find


@pytest.fixture
def helper(home):
    def make(script: str) -> dict[str, str]:
        path = home / "docker-credential-test"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return {"PATH": f"{home}:/usr/bin:/bin"}

    return make


def test_none(home):
    assert look_up("r.org", str(home), {}) is None
    assert look_up("r.org", str(home / "nowhere"), {}) is None


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"auth": encoded("alice:pass:word")}, Credentials("alice", "pass:word")),
        ({"username": "alice", "password": "p"}, Credentials("alice", "p")),
        ({"auth": encoded("alice:"), "identitytoken": "t"}, Credentials("alice", "", "t")),
        ({}, None),
    ],
)
def test_auths(found, entry, wanted):
    assert found({"auths": {"r.org:5000": entry}}) == wanted


@pytest.mark.parametrize("key", ["https://r.org:5000", "http://r.org:5000/v1/", "r.org:5000/"])
def test_old_keys_are_urls(found, key):
    assert found({"auths": {key: {"auth": encoded("a:b")}}}) == Credentials("a", "b")


def test_another_registrys_are_not_given(found):
    assert found({"auths": {"r.org": {"auth": encoded("a:b")}}}) is None


def test_docker_hub(found):
    config = {"auths": {"https://index.docker.io/v1/": {"auth": encoded("a:b")}}}
    assert found(config, registry="docker.io") == Credentials("a", "b")


def test_docker_config_of_the_environment(home, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"auths": {"r": {"auth": encoded("a:b")}}}))
    assert look_up("r", str(home), {"DOCKER_CONFIG": str(other)}) == Credentials("a", "b")


@pytest.mark.parametrize(
    "config",
    [
        '{"auths": {"r.org:5000": {"auth": "s3cret',
        '["s3cret"]',
        {"auths": ["s3cret"]},
        {"auths": {"r.org:5000": "s3cret"}},
        {"auths": {"r.org:5000": {"auth": "s3cret!"}}},
        {"auths": {"r.org:5000": {"auth": encoded("s3cret")}}},
        {"auths": {"r.org:5000": {"username": "a", "password": ["s3cret"]}}},
        {"credsStore": "../s3cret"},
        "[" * 100_000,
    ],
)
def test_damage_is_told_without_the_secret(found, config):
    with pytest.raises(UserError) as error:
        found(config)
    assert "s3cret" not in str(error.value)
    assert "config.json" in str(error.value)
    assert error.value.__cause__ is None


def test_a_file_that_is_none(home):
    os.mkfifo(home / ".docker/config.json")
    with pytest.raises(UserError, match="no regular file"):
        look_up("r", str(home), {})


def test_a_file_too_large(found):
    with pytest.raises(UserError, match="larger than"):
        found(" " * (credentials.LARGEST + 1))


def test_a_secret_is_not_shown():
    assert "word" not in repr(Credentials("alice", "password", "token-word"))


@pytest.mark.parametrize(
    "config", [{"credsStore": "test"}, {"credHelpers": {"r.org:5000": "test"}}]
)
def test_a_helper(found, helper, config):
    env = helper('read key; echo "{\\"Username\\": \\"$1-$key\\", \\"Secret\\": \\"s\\"}"')
    assert found(config, **env) == Credentials("get-r.org:5000", "s")


def test_a_helper_of_another_registry_is_not_run(found, helper):
    env = helper("exit 1")
    assert found({"credHelpers": {"other": "test"}}, **env) is None


def test_a_helpers_token(found, helper):
    env = helper("""echo '{"Username": "<token>", "Secret": "t"}'""")
    assert found({"credsStore": "test"}, **env) == Credentials(identity_token="t")


def test_a_helper_that_has_nothing(found, helper):
    env = helper("echo credentials not found in native keychain; exit 1")
    assert found({"credsStore": "test"}, **env) is None


@pytest.mark.parametrize("script", ["echo s3cret; exit 3", "echo s3cret", "echo '[1]'"])
def test_a_helper_that_fails_says_no_secret(found, helper, script):
    with pytest.raises(UserError, match="docker-credential-test") as error:
        found({"credsStore": "test"}, **helper(script))
    assert "s3cret" not in str(error.value)


def test_a_helper_that_hangs(found, helper, monkeypatch):
    monkeypatch.setattr(credentials, "HELPER_TIMEOUT", 0.2)
    with pytest.raises(UserError, match="no answer within"):
        found({"credsStore": "test"}, **helper("sleep 60 & wait"))


def test_a_helper_that_is_not_there(found):
    with pytest.raises(UserError, match=r"docker-credential-test, named .* is not in PATH"):
        found({"credsStore": "test"}, PATH="/nowhere")
