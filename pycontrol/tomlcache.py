"""The table of a TOML text, parsed once.

`tomllib`, with what it imports, takes 6 ms, which each hook would spend on the same
settings (docs/developer/performance.md).  What a hook has parsed it leaves for the
next one, and, where everybody may read the settings, for the check of srun, which
is the user's:

    /run/socker/settings/SUM    [text, its table] as JSON; SUM: the text's CRC-32

Root alone writes there.  Where it is not, as on a submission host, the text is parsed.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import os
import stat
from pathlib import Path

from pycontrol import trusted
from pycontrol.errors import NodeError

FOLDER = Path("/run/socker/settings")
MOST = 16  # settings that have been in force since boot; then it begins anew


def parse(text: str, where: str = "") -> dict[str, object]:
    """Raises ValueError for what is not TOML.  where: the file that it was read from."""
    kept = file_of(text)
    with contextlib.suppress(OSError, NodeError, ValueError, TypeError):
        of, table = json.loads(trusted.read(kept))
        if of == text:
            _keep_mode(kept, where)
            return table
    table = _parse(text)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError, TypeError):  # TypeError: JSON has no dates
            _keep(kept, json.dumps([text, table]), mode=_mode(where))
    return table


def file_of(text: str) -> Path:
    """By a sum, not a hash, whose module takes 3 ms; the file says itself which text it is of."""
    return FOLDER / f"{binascii.crc32(text.encode(errors='surrogateescape')):08x}"


def _parse(text: str) -> dict[str, object]:
    import tomllib

    return tomllib.loads(text)


def _is_public(where: str) -> bool:
    """Whether everybody may read that file."""
    try:
        path = Path(where).resolve()
        passed = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
        return passed and path.is_file() and bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _keep_mode(kept: Path, where: str) -> None:
    """As the settings' file was opened or closed to users since."""
    mode = _mode(where)
    if os.geteuid() == 0 and kept.stat().st_mode & 0o777 != mode:
        kept.chmod(mode)
        FOLDER.chmod(0o711)


def _mode(where: str) -> int:
    return 0o644 if _is_public(where) else 0o600


def _keep(path: Path, text: str, mode: int) -> None:
    from pycontrol import state

    with contextlib.suppress(FileExistsError):
        FOLDER.parent.mkdir()
        FOLDER.parent.chmod(0o755)  # whatever the umask: users list it, root alone writes
    FOLDER.mkdir(mode=0o711, exist_ok=True)
    FOLDER.chmod(0o711)
    older = list(FOLDER.iterdir())
    for file in older if len(older) >= MOST else ():
        file.unlink(missing_ok=True)
    state.write(path, text, mode=mode)
