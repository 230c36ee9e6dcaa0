"""Reads plugstack.conf, following `include`, as Slurm does."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from pycontrol.errors import NodeError
from pycontrol.plaindata import dataclass

PATH = Path("/etc/slurm/plugstack.conf")
LIBRARY_DIRECTORY = Path("/usr/lib/socker")  # of the plugin that the line names
DEEPEST_INCLUDE = 8


@dataclass(frozen=True)
class Line:
    """A plugin's path and its arguments, in order."""

    plugin: Path
    arguments: tuple[str, ...]


def parse_line(text: str, path: Path) -> list[str]:
    """The words of a line; none for a comment or an empty line."""
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise NodeError(f"{path}: {text.strip()}: {error}: correct the line") from error


def lines(path: Path, depth: int = 0) -> Iterator[tuple[Path, Line]]:
    """Every active line, with the file that it stands in."""
    if not path.is_file() or depth > DEEPEST_INCLUDE:
        return
    for text in path.read_text(errors="replace").splitlines():
        words = parse_line(text, path)
        if words[:1] == ["include"] and len(words) > 1:
            for included in sorted(glob.glob(os.path.join(path.parent, words[1]))):
                yield from lines(Path(included), depth + 1)
        elif len(words) > 1:
            yield path, Line(Path(words[1]), tuple(words[2:]))


def find_line(path: Path) -> Line | None:
    """The first active line whose plugin is socker.so."""
    return next((line for _, line in lines(path) if line.plugin.name == "socker.so"), None)
