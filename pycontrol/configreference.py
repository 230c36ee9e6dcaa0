"""The admin's reference of all settings and keys of rules, from their one definition.

Used by docs/developer/generate.py.
"""

from __future__ import annotations

from pycontrol import rulefile
from pycontrol.config import FIELDS


def reference() -> str:
    """Every setting for the admin's guide, in one form, as Markdown."""
    parts = []
    for name, setting in FIELDS.items():
        if name == "rule":
            continue
        kind = _kind(setting.default)
        default, example = _written(setting.default), setting.metadata["example"]
        quoted = f'"{example}"' if kind == "str" else example
        parts.append(
            f"### {name} ({kind}, optional)\n\n{setting.metadata['meaning']} "
            f"Default: {default}.\n\n```toml\n{name} = {quoted}\n```\n"
        )
    parts.append(f"### [[rule]] (tables, optional)\n\n{FIELDS['rule'].metadata['meaning']}\n")
    return "\n".join([*parts, *rulefile.reference()])


def _kind(default: object) -> str:
    return "list of str" if isinstance(default, tuple) else type(default).__name__


def _written(default: object) -> str:
    if default in ((), ""):
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
