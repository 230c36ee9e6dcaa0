"""What one hook has parsed, the next one reads."""

import json
import os
import sys

import pytest

from pycontrol import config, tomlcache
from pycontrol.errors import NodeError

TEXT = 'a = 1\nb = ["x", "\\u00e9"]\nc = 1.5\nd = true\n[[rule]]\nimages = ["y"]\n'
TABLE = {"a": 1, "b": ["x", "é"], "c": 1.5, "d": True, "rule": [{"images": ["y"]}]}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only what is root's is believed")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(tomlcache, "FOLDER", tmp_path / "run/settings")
    return lambda text=TEXT: tomlcache.file_of(text)


def without_parser(monkeypatch):
    monkeypatch.setitem(sys.modules, "tomllib", None)  # its import fails


def test_parsed_once(kept, monkeypatch):
    assert tomlcache.parse(TEXT) == TABLE
    assert kept().stat().st_mode & 0o777 == 0o600
    assert kept().parent.stat().st_mode & 0o777 == 0o711
    without_parser(monkeypatch)
    assert tomlcache.parse(TEXT) == TABLE
    with pytest.raises(ImportError):
        tomlcache.parse(TEXT + "# changed\n")


@pytest.mark.parametrize("spoil", ["write", "chmod", "chown", "cut", "link", "other"])
def test_what_others_could_have_written_is_not_believed(kept, tmp_path, spoil):
    tomlcache.parse(TEXT)
    path = kept()
    path.write_text(json.dumps([TEXT, {"a": 2}]))
    if spoil == "write":
        assert tomlcache.parse(TEXT) == {"a": 2}, "the test sees that it is read"
        return
    if spoil == "chmod":
        path.chmod(0o666)
    elif spoil == "chown":
        os.chown(path, 1, 1)
    elif spoil == "other":  # another text of the same sum
        path.write_text(json.dumps(["x", {"a": 2}]))
    elif spoil == "cut":
        path.write_text('{"a": ')
    else:
        path.unlink()
        path.mkdir()
    assert tomlcache.parse(TEXT) == TABLE


def test_what_json_cannot_say_is_parsed_again(kept):
    text = "when = 2026-01-01\n"
    assert tomlcache.parse(text) == tomlcache.parse(text)
    assert not kept(text).exists()


def test_mistakes_are_told_each_time(kept):
    for _ in range(2):
        with pytest.raises(NodeError, match="not valid TOML"):
            config.parse_file("a = = 1", "f.toml")
    assert not kept("a = = 1").exists()


def test_old_ones_go(kept):
    for number in range(3 * tomlcache.MOST):
        tomlcache.parse(f"a = {number}")
    assert len(list(kept().parent.iterdir())) <= tomlcache.MOST


@pytest.mark.parametrize("umask", [0, 0o77])
def test_the_folders_are_roots_whatever_the_umask(kept, umask):
    """srun as root makes them, too, and others keep in the upper one what root believes."""
    before = os.umask(umask)
    try:
        tomlcache.parse(TEXT)
    finally:
        os.umask(before)
    folder = kept().parent
    assert [f.stat().st_mode & 0o777 for f in (folder, folder.parent)] == [0o711, 0o755]


def test_of_a_user(kept, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    assert tomlcache.parse(TEXT) == TABLE
    assert not kept().exists()


def test_users_may_read_it_where_they_may_read_the_settings(kept, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text(TEXT)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and len(folder.parts) > 2:
            folder.chmod(0o755)
    for mode, expected in ((0o644, 0o644), (0o600, 0o600), (0o644, 0o644)):
        settings.chmod(mode)
        assert tomlcache.parse(TEXT, str(settings)) == TABLE
        assert kept().stat().st_mode & 0o777 == expected
    settings.parent.chmod(0o700)
    tomlcache.parse(TEXT, str(settings))
    assert kept().stat().st_mode & 0o777 == 0o600
