"""The file system that is measured on: ext4 with a journal in a file, whatever the machine's is.

Without a journal, making and removing many files, as each container does, can take
many times as long: that would measure the disk of whoever runs this.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace

import cluster
from stages import run

DISK = cluster.STATE / "bench.ext4"
GIB = 12
ROOT = cluster.STATE / "bench"
DATA = ROOT / "data"  # what jobs read and write


def make_data() -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    DATA.chmod(0o1777)


@contextlib.contextmanager
def mounted() -> Iterator[None]:
    ROOT.mkdir(exist_ok=True)
    if not DISK.exists():
        draft = DISK.with_suffix(".draft")
        run("truncate", f"--size={GIB}G", draft)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", draft)
        draft.rename(DISK)
    if not ROOT.is_mount():
        run("mount", "-o", "loop", DISK, ROOT)
    try:
        yield
    finally:
        run("umount", ROOT)


@contextlib.contextmanager
def engine() -> Iterator[str]:
    """The engine with its images and containers there; yields what that is, in words."""
    if cluster.has_systemd():
        make_data()
        yield f"the engine's own on {shutil.disk_usage(DATA).total >> 30} GiB"
        return
    usual = cluster.dockerd()
    here = replace(usual, argv=[*usual.argv, f"--data-root={ROOT}/engine"])
    with mounted():
        make_data()
        usual.stop()
        try:
            here.start()
            yield "loop-mounted ext4 with a journal"
        finally:
            here.stop()
            usual.start()
