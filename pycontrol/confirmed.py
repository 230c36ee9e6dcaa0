"""What registries have confirmed lately, so that not every job asks again.

Root's own files, each with its time:

    /run/socker/confirmed/UID-KEY   this user may read an image, or why not
    /run/socker/confirmed/KEY       the registry has what this node holds of it

KEY is a hash of REGISTRY/REPOSITORY@DIGEST, or of what else was asked for.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from pycontrol import state, trusted
from pycontrol.filename import file_name
from pycontrol.plaindata import dataclass

MOST = 4096  # records: users can cause any number; one that is lost is asked for again


@dataclass(frozen=True)
class Confirmed:
    """folder: of the records; lifetime: seconds that a user's counts."""

    folder: Path
    lifetime: int

    def is_fresh(self, uid: int, name: str) -> bool:
        """Whether the registry let this user read it a short time ago."""
        age = time.time() - self._time(self._of_user(uid, name))
        return 0 <= age < self.lifetime and self.was_ever(uid, name)

    def was_ever(self, uid: int, name: str) -> bool:
        """The same, at any time since this node's boot, and not refused since."""
        return self._text(self._of_user(uid, name)) == ""

    def note(self, uid: int, name: str, refusal: str = "") -> None:
        self._write(self._of_user(uid, name), refusal)

    def refusal(self, uid: int, name: str, since: float) -> str:
        """What this user was told since then (seconds, epoch); "" if nothing."""
        path = self._of_user(uid, name)
        return (self._text(path) or "") if self._time(path) >= since else ""

    def is_shown(self, name: str, image_id: str) -> bool:
        """Whether the registry behind this name has proved to have the node's image."""
        return self._text(self.folder / file_name(f"{name} {image_id}")) == ""

    def note_shown(self, name: str, image_id: str) -> None:
        self._write(self.folder / file_name(f"{name} {image_id}"), "")

    def _of_user(self, uid: int, name: str) -> Path:
        return self.folder / f"{uid}-{file_name(name)}"

    def _time(self, path: Path) -> float:
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            return 0

    def _text(self, path: Path) -> str | None:
        try:
            return trusted.read(path)
        except FileNotFoundError:
            return None

    def _write(self, path: Path, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        records = sorted(self.folder.iterdir(), key=self._time)
        for record in records[: MOST // 2] if len(records) >= MOST else ():
            record.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError, FileNotFoundError):  # another step writes it
            state.write(path, text, mode=0o600)
