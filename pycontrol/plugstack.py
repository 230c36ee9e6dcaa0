"""Finds socker's line in plugstack.conf, following `include`, as Slurm does."""

from __future__ import annotations

import glob
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from pycontrol.errors import NodeError

PATH = Path("/etc/slurm/plugstack.conf")
LIBRARY_DIRECTORY = Path("/usr/lib/socker")  # of the plugin that the line names


@dataclass(frozen=True)
class Line:
    """socker's line: the plugin's path and its arguments, in order."""

    plugin: Path
    arguments: tuple[str, ...]


def parse_line(text: str, path: Path) -> list[str]:
    """The words of a line; none for a comment or an empty line."""
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise NodeError(f"{path}: {text.strip()}: {error}: correct the line") from error


def find_line(path: Path) -> Line | None:
    """The first active line whose plugin is socker.so."""
    if not path.is_file():
        return None
    for text in path.read_text(errors="replace").splitlines():
        words = parse_line(text, path)
        if words[:1] == ["include"] and len(words) > 1:
            for included in sorted(glob.glob(os.path.join(path.parent, words[1]))):
                found = find_line(Path(included))
                if found:
                    return found
        elif len(words) > 1 and Path(words[1]).name == "socker.so":
            return Line(Path(words[1]), tuple(words[2:]))
    return None
