"""Whether the engine may start a container of an image: it opens two files of it, as root.

That is /etc/passwd and /etc/group, for the first process's user, and without a check:
a pipe in their place would hang it (seen with Docker 20.10), a device node would be
opened, gigabytes of lines would be read.  What an image was found to be it stays, by
its id, which is a sum of its content; to look, the engine mounts and unmounts it twice:

    /run/socker/sound/ID    that image was looked at, and is fine
"""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

from pycontrol.engine import Engine
from pycontrol.errors import UserError
from pycontrol.image import Image
from pycontrol.rootfs import is_small_regular_or_missing

FOLDER = "sound"
MOST = 1000  # images; then it begins anew


def check(engine: Engine, container: str, name: str, image: Image, root: Path) -> None:
    """UserError for a container, not yet started, of an image that cannot be run.

    name: what the user called the image; root: of the state
    """
    seen = root / FOLDER / image.image_id.removeprefix("sha256:")
    if seen.exists():
        return
    for path in ("/etc/passwd", "/etc/group"):
        if not is_small_regular_or_missing(partial(engine.file_status, container), path):
            raise UserError(
                f"image {name}: its {path} is not a regular file of less than 1 MiB: such an "
                "image cannot be run: rebuild it"
            )
    with contextlib.suppress(OSError):  # a full disk: it is looked at again
        _note(seen)


def _note(path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    older = list(path.parent.iterdir())
    for file in older if len(older) >= MOST else ():
        file.unlink(missing_ok=True)
    path.touch(mode=0o600)
