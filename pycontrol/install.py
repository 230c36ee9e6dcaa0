"""`socker install` and `socker uninstall`: the plugin's files and its plugstack line.

Runs as root.  Files go to one directory; the line goes, between two marks, into
plugstack.conf.  Both commands may be repeated.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pycontrol import config, slurm_commands, units
from pycontrol.errors import NodeError
from pycontrol.plugstack import LIBRARY_DIRECTORY
from spank_plugin import BUILT

SETTINGS = """\
# Settings of socker, and the site's rules.  `socker config` prints all settings and
# their defaults; `socker explain` which rule decides what.
#
# This file must be here, be root's, and be writable by root alone: without it no
# container runs on this node.
"""
BEGIN = "# socker: begin (written by `socker install`, removed by `socker uninstall`)"
END = "# socker: end"

# pause must not be readable by users: it could be traced then (DESIGN D13).
FILES = {
    "socker.so": 0o755,
    "socker_python.so": 0o755,
    "pause": 0o711,
    "launch": 0o755,
    "slurm-command": 0o755,
}
COMMANDS = "bin"  # where slurm-command has the names of Slurm's commands
UNITS = "systemd"

Say = Callable[[str], None]


def plugstack_block(directory: Path, python: str, enable: bool) -> str:
    """The marked lines of plugstack.conf."""
    line = f"required {directory}/socker.so python={python}"
    if directory != LIBRARY_DIRECTORY:
        line += f" library={directory}/socker_python.so"
        line += f" pause={directory}/pause launcher={directory}/launch"
    return "\n".join(
        [
            BEGIN,
            "# Docker containers as job steps: srun --container-image=IMAGE.",
            "# Settings: /etc/socker/socker.toml; `socker check` tells what is missing.",
            line if enable else f"#{line}",
            END,
        ]
    )


def without_block(text: str) -> str:
    """plugstack.conf's text without the marked lines."""
    kept, inside = [], False
    for line in text.splitlines():
        if line == BEGIN:
            inside = True
        if not inside:
            kept.append(line)
        if line == END:
            inside = False
    return "".join(line + "\n" for line in kept)


def _was_enabled(text: str) -> bool:
    lines = text.splitlines()
    return BEGIN in lines and any(
        line.startswith("required ") for line in lines[lines.index(BEGIN) :]
    )


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write_plugstack(path: Path, text: str) -> None:
    """Replaced in one step: Slurm may read it at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".socker-new")
    draft.write_text(text)
    draft.chmod(0o644)
    draft.replace(path)


def install_files(directory: Path, say: Say) -> None:
    """Copy the built files; running steps keep the old ones open."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, mode in FILES.items():
        source, target = BUILT / name, directory / name
        if not source.exists():
            raise NodeError(f"{source} is missing: install the package with `pip install .`")
        draft = target.with_name(name + ".new")
        shutil.copyfile(source, draft)
        draft.chmod(mode)
        draft.replace(target)
        say(f"installed {target}")
    install_commands(directory, say)


def install_commands(directory: Path, say: Say) -> None:
    """Links, and no symbolic ones: inside an image only this directory shows."""
    folder = directory / COMMANDS
    folder.mkdir(mode=0o755, exist_ok=True)
    for name in slurm_commands.NAMES:
        draft = folder / f"{name}.new"
        draft.unlink(missing_ok=True)
        draft.hardlink_to(directory / "slurm-command")
        draft.replace(folder / name)
        (folder / f"{name}.new").unlink(missing_ok=True)  # rename() of two equal links does nothing
    say(f"installed {folder} with {', '.join(slurm_commands.NAMES)}")


def install_units(directory: Path, say: Say) -> None:
    """For systemd; it is the admin who switches them on (docs/admin/gc.md)."""
    folder = directory / UNITS
    folder.mkdir(mode=0o755, exist_ok=True)
    for name, text in units.texts(Path(sys.executable).with_name("socker")).items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    say(f"installed {folder} with {', '.join(units.NAMES)}")


def write_settings(path: Path, say: Say) -> None:
    """All defaults, where there is none: a node without the file runs no container."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_text(SETTINGS)
    path.chmod(0o644)
    say(f"wrote {path}: all settings have their defaults")


def install(directory: Path, plugstack: Path, enable: bool, say: Say) -> None:
    """Put everything in place; an enabled line stays enabled."""
    install_files(directory, say)
    install_units(directory, say)
    write_settings(config.DEFAULT_FILE, say)
    old = _read(plugstack)
    enable = enable or _was_enabled(old)
    block = plugstack_block(directory, sys.executable, enable)
    _write_plugstack(plugstack, without_block(old) + block + "\n")
    if enable:
        say(f"enabled socker in {plugstack}: steps started from now on have its options")
    else:
        say(f"added a commented line to {plugstack}: remove its # to enable socker")


def uninstall(directory: Path, plugstack: Path, say: Say) -> None:
    """Undo `install`; the settings stay, and what others put beside our files."""
    old = _read(plugstack)
    if BEGIN in old.splitlines():
        _write_plugstack(plugstack, without_block(old))
        say(f"removed socker's lines from {plugstack}")
    for name in FILES:
        if (directory / name).exists():
            (directory / name).unlink()
            say(f"removed {directory / name}")
    for name in slurm_commands.NAMES:
        (directory / COMMANDS / name).unlink(missing_ok=True)
    for name in units.NAMES:
        (directory / UNITS / name).unlink(missing_ok=True)
    for folder in (directory / COMMANDS, directory / UNITS, directory):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            say(f"removed {folder}")
