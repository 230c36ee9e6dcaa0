"""Another plugin in plugstack.conf, for the length of one test."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

PLUGSTACK = Path("/etc/slurm/plugstack.conf.d")


@contextlib.contextmanager
def beside_ours(name: str, source: str) -> Iterator[None]:
    """Compiled from `source` into a directory of its own, which users can read."""
    folder = Path(f"/opt/socker-test-{name}")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.c").write_text(source)
    library = folder / f"{name}.so"
    command = ["gcc", "-shared", "-fPIC", "-o", library, folder / f"{name}.c"]
    line = PLUGSTACK / f"{name}.conf"
    try:
        subprocess.run(command, check=True, timeout=60)
        PLUGSTACK.mkdir(exist_ok=True)
        line.write_text(f"required {library}\n")
        yield
    finally:
        line.unlink(missing_ok=True)
        shutil.rmtree(folder)
