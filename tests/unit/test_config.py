"""The settings: types, origins, and errors that name the fix."""

import os

import pytest

from pycontrol import config, trusted
from pycontrol.errors import NodeError


def test_defaults_without_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    loaded = config.load()
    assert loaded.config == config.Config()
    assert set(loaded.origin.values()) == {"default"}


def test_arguments_override(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    loaded = config.load(["python=/x", "mount_home=false", "pull_timeout=9", "engine=tcp://h:1"])
    assert loaded.config.mount_home is False
    assert loaded.config.pull_timeout == 9
    assert loaded.config.engine == "tcp://h:1"
    assert loaded.origin["mount_home"] == "plugstack.conf"
    assert loaded.origin["pause"] == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mount_hom = true", "did you mean mount_home"),
        ("zzz = 1", "known are audit_log, "),
        ("mount_home = 1", "mount_home = 1 is a number, it must be true or false"),
        ("pull_timeout = true", "pull_timeout = True is true or false, it must be a number"),
        ("pull_timeout = 0", "must be 1 or more"),
        ("engine = 3", "it must be a text"),
        ("[engine]", "it must be a text"),
        ("engine =", "not valid TOML"),
    ],
)
def test_wrong_files(text, words):
    with pytest.raises(NodeError, match=words):
        config.parse_file(text, "file")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("mount_home=maybe", "must be true or false"),
        ("pull_timeout=soon", "must be a number"),
        ("mount_hom=true", "did you mean mount_home"),
        ("pyton=/x", "did you mean python"),
        ("alone", "is no argument: write name=value"),
    ],
)
def test_wrong_arguments(monkeypatch, tmp_path, word, words):
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    with pytest.raises(NodeError, match=words):
        config.load([word])


def test_a_named_file_must_exist():
    with pytest.raises(NodeError, match="there is none"):
        config.load(["config=/nowhere/socker.toml"])


def test_every_setting_says_what_it_means():
    for field in config.FIELDS.values():
        assert field.metadata["meaning"].endswith(".")
        assert field.metadata["example"]


def status(**changed):
    fields = {"st_mode": 0o100644, "st_uid": 0, "st_size": 10} | changed
    order = [fields["st_mode"], 0, 0, 1, fields["st_uid"], 0, fields["st_size"], 0, 0, 0]
    return os.stat_result(order)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"st_mode": 0o100664}, "others than root may write"),
        ({"st_mode": 0o100646}, "others than root may write"),
        ({"st_uid": 5}, "belongs to uid 5"),
        ({"st_mode": 0o040755}, "not a regular file"),
        ({"st_mode": 0o010644}, "not a regular file"),
        ({"st_size": 2 << 20}, "larger than"),
    ],
)
def test_what_cannot_be_trusted(changed, words):
    assert words in trusted.problem_with(status(**changed))


def test_what_can_be_trusted():
    assert trusted.problem_with(status()) is None


def test_the_reference_is_generated_from_the_definition():
    import runpy
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    generate = runpy.run_path(str(root / "docs/developer/generate.py"))
    assert generate["PAGE"].read_text() == generate["page"](), "run `make docs`"
