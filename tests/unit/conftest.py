"""Unit tests see nothing of the machine's own settings."""

from pathlib import Path

import pytest

from pycontrol import config, plugstack


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    monkeypatch.setattr(config, "DEFAULT_FILE", Path("/nonexistent/socker.toml"))
    monkeypatch.setattr(plugstack, "PATH", Path("/nonexistent/plugstack.conf"))
