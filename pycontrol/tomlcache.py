"""The table of a TOML text, parsed once.

`tomllib`, with what it imports, takes 6 ms, which each hook would spend on the same
settings (docs/developer/performance.md).  What a hook has parsed it leaves for the
next one, root's alone:

    /run/socker/settings/SUM    [text, its table] as JSON; SUM: the text's CRC-32

Whoever cannot read that, as srun's check, which is the user's, parses the text.
"""

from __future__ import annotations

import binascii
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
    kept = file_of(text)
    with contextlib.suppress(OSError, NodeError, ValueError, TypeError):
        of, table = json.loads(trusted.read(kept))
        if of == text:
            return table
    table = _parse(text)
    with contextlib.suppress(OSError, TypeError):  # TypeError: JSON has no dates
        _keep(kept, json.dumps([text, table]))
    return table


def file_of(text: str) -> Path:
    """By a sum, not a hash, whose module takes 3 ms; the file says itself which text it is of."""
    return FOLDER / f"{binascii.crc32(text.encode(errors='surrogateescape')):08x}"


def _parse(text: str) -> dict[str, object]:
    import tomllib

    return tomllib.loads(text)


def _keep(path: Path, text: str) -> None:
    from pycontrol import state

    with contextlib.suppress(FileExistsError):
        FOLDER.parent.mkdir()
        FOLDER.parent.chmod(0o755)  # whatever the umask: users list it, root alone writes
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    older = list(FOLDER.iterdir())
    for file in older if len(older) >= MOST else ():
        file.unlink(missing_ok=True)
    state.write(path, text, mode=0o600)
