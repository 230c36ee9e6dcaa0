"""Unit tests see nothing of the machine's own settings."""

from pathlib import Path

import pytest

from pycontrol import config, plugstack, tomlcache

READ_TEXT = config.read_text


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """As if the file were there, and empty."""
    default = Path("/nonexistent/socker.toml")
    monkeypatch.setattr(config, "DEFAULT_FILE", default)
    monkeypatch.setattr(
        config, "read_text", lambda path: "" if path == default else READ_TEXT(path)
    )
    monkeypatch.setattr(tomlcache, "FOLDER", Path("/proc/settings"))
    monkeypatch.setattr(plugstack, "PATH", Path("/nonexistent/plugstack.conf"))
