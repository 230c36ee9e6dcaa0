"""Completion by the shell: names of images, and bash's way with the colons in them.

Runs as the user at each press of the tabulator key; cli.py imports it only then.
"""

from __future__ import annotations

import os

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)

from pycontrol import authorised, cli_group, present, srunline
from pycontrol.errors import SockerError


def images(incomplete: str) -> list[CompletionItem]:
    """The site's list, or what the user has run on this node; files by their path."""
    if incomplete.startswith(("/", "./", "../")):
        return [CompletionItem(incomplete, type="file")]
    try:
        names = authorised.names(cli_group.settings())
    except (OSError, SockerError):
        return []
    if names is None:
        names = [image.image for image in present.own_images(os.getuid())]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def image_or_command(words: tuple[str, ...], incomplete: str) -> list[CompletionItem]:
    """Behind `socker run`: srun's options if there are any, IMAGE, COMMAND."""
    try:
        command = srunline.split(words).command
    except SockerError:  # the value of an option of srun
        return []
    return [CompletionItem(incomplete, type="file")] if command else images(incomplete)


class Bash(BashComplete):
    """bash takes a colon for the end of a word (COMP_WORDBREAKS)."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words = split_arg_string(os.environ["COMP_WORDS"])
        cursor = int(os.environ["COMP_CWORD"])
        before, current = words[1:cursor], words[cursor] if cursor < len(words) else ""
        *args, whole = joined([*before, current])
        # What bash has in front of the word that it completes, and keeps.
        self._kept = len(whole) - (0 if current == ":" else len(current))
        return args, whole

    def format_completion(self, item: CompletionItem) -> str:
        value = item.value[self._kept :] if item.type == "plain" else item.value
        return f"{item.type},{value}"


def joined(words: list[str]) -> list[str]:
    """The words as they were before they were split at colons."""
    found: list[str] = []
    for word in words:
        if found and (word == ":" or found[-1].endswith(":")):
            found[-1] += word
        else:
            found.append(word)
    return found


add_completion_class(Bash)
