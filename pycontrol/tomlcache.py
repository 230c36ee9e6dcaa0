"""The table of a TOML text, parsed once.

`tomllib`, with what it imports, takes 6 ms, which each hook would spend on the same
settings (docs/developer/performance.md).  What a hook has parsed it leaves for the
next one, root's alone:

    /run/socker/settings/HASH    the table of the text with this SHA-256, as JSON

Whoever cannot read that, as srun's check, which is the user's, parses the text.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from pycontrol import trusted
from pycontrol.errors import NodeError

FOLDER = Path("/run/socker/settings")
MOST = 16  # settings that have been in force since boot; then it begins anew


def parse(text: str) -> dict[str, object]:
    """Raises ValueError for what is not TOML."""
    if os.geteuid():
        return _parse(text)
    from pycontrol import state  # it is loaded in hooks; users do without

    kept = FOLDER / state.file_name(text)
    with contextlib.suppress(OSError, NodeError, ValueError):
        return json.loads(trusted.read(kept))
    table = _parse(text)
    with contextlib.suppress(OSError, TypeError):  # TypeError: JSON has no dates
        _keep(kept, json.dumps(table))
    return table


def _parse(text: str) -> dict[str, object]:
    import tomllib

    return tomllib.loads(text)


def _keep(path: Path, text: str) -> None:
    from pycontrol import state

    FOLDER.parent.mkdir(mode=0o755, exist_ok=True)  # whatever the umask: srun's, too
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    older = list(FOLDER.iterdir())
    for file in older if len(older) >= MOST else ():
        file.unlink(missing_ok=True)
    state.write(path, text, mode=0o600)
