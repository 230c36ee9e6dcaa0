"""Writes docs/admin/configuration.md from the settings' one definition."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pycontrol import configreference  # noqa: E402 (found through the path above)

PAGE = ROOT / "docs/admin/configuration.md"
INTRODUCTION = """\
# Configuration

`/etc/socker/socker.toml`: root's, in directories that are root's, not writable by others,
[TOML](https://toml.io). `socker install` writes one with all defaults. Without it, or with a
mistake in it, no container runs; jobs without containers do. An argument of the plugstack.conf line
with a setting's name wins over the file. What rules mean, with examples: [policy.md](policy.md).

This list is generated from `pycontrol/config.py` by `make docs`.

"""


def page() -> str:
    return INTRODUCTION + configreference.reference()


if __name__ == "__main__":
    PAGE.write_text(page())
