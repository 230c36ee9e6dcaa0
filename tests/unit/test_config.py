"""The settings: types, origins, and errors that name the fix."""

import os

import pytest

from pycontrol import config, trusted
from pycontrol.errors import NodeError


def test_an_empty_file_gives_the_defaults():
    loaded = config.load()
    assert loaded.config == config.Config()
    assert set(loaded.origin.values()) == {"default"}


def test_arguments_override():
    words = ["mount_home=false", "pull_timeout=9", "engine=tcp://h:1", "options_off=container-env"]
    loaded = config.load(["python=/x", "native=check", *words])
    assert loaded.config.options_off == ("container-env",)
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
        ('public_images = "docker.io"', "is a text, it must be a list of texts"),
        ("public_images = [1]", "it must be a list of texts"),
        ('public_images = ["r.org/a:1"]', "r.org/a:1: write REGISTRY/PATH, without a tag"),
        ('public_images = ["/a"]', "without a tag"),
        ('public_images = ["busy box"]', "is no pattern of images"),
        ('verify = ["cosign"]', "cosign must be an absolute path"),
        ('unreachable_registry = "run"', "is none of refuse, confirmed, allow"),
        ("[engine]", "it must be a text"),
        ("engine =", "not valid TOML"),
        ("options_off = 'x'", "is a text, it must be a list of texts"),
        ("options_off = ['x', 1]", "is a list, it must be a list of texts"),
        ("options_off = ['container-sav']", "no option of socker: did you mean container-save"),
        ("options_off = ['docker']", "docker cannot be switched off"),
        ("mounts = ['x']", "mounts: x: the source must be an absolute path|mounts: x must be"),
        ("mounts = ['/x:/y:rx']", "mounts: /x:/y:rx: `rx` is no mount flag"),
        ("mounts_if_there = ['x:/y']", "mounts_if_there: x:/y: the source must be an absolute"),
        ("max_image_size = '1.5g'", "is no size: write it like 20g, or unlimited"),
        ("max_image_layers = 0", "must be 1 or more"),
        ("image_list = 'x'", "must be an absolute path"),
        ("rule = 1", "begin each rule with"),
        ("rule = [1]", "begin each rule with"),
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
        ("native=yes", "only native=check is known"),
        ("rule=x", "rules cannot be given here"),
        ("options_off=container-save,x", "x is no option of socker"),
    ],
)
def test_wrong_arguments(word, words):
    with pytest.raises(NodeError, match=words):
        config.load([word])


@pytest.mark.parametrize("arguments", [["config=/nowhere/socker.toml"], []])
def test_without_a_file_there_are_no_settings(monkeypatch, tmp_path, arguments):
    """An absent policy is no permission."""
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.toml")
    with pytest.raises(NodeError, match=r"there is no such file, and without it no container"):
        config.load(arguments)


def test_every_setting_says_what_it_means():
    for field in config.FIELDS.values():
        assert field.metadata["meaning"].endswith(".")
        assert field.metadata["example"] or field.name == "rule"


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
        ({"st_mode": 0o100000}, "its mode lets nobody read it"),
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
