"""Where --container-save writes: pure parsing."""

from __future__ import annotations

from dataclasses import dataclass

from pycontrol import image

OPTION = "--container-save"


@dataclass(frozen=True)
class SaveTarget:
    """kind: "archive", "squashfs" or "registry"; text: absolute path or reference."""

    kind: str
    text: str


def parse(text: str) -> SaveTarget:
    if text.startswith("/"):
        return SaveTarget("archive", text)
    return SaveTarget("registry", image.parse_reference(text, "/", OPTION).text)
