"""Where an image comes from: its registry, and what that calls it.  Pure.

As the engine finds it: unlike in a site's rules (imagename.py), a registry that
is written in another way is another one.
"""

from __future__ import annotations

from collections.abc import Iterable

from pycontrol import image
from pycontrol.imagename import HUB
from pycontrol.plaindata import dataclass

_INDEX = "index.docker.io"  # the one other name that the engine takes for Docker Hub


@dataclass(frozen=True)
class Origin:
    """registry: HOST[:PORT].  A tag beside a digest means nothing to the engine."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    def at(self, digest: str) -> str:
        """The same by its content, for the engine."""
        return f"{self.name}@{digest}"


def origin_of(text: str) -> Origin:
    """Of a name that image.parse_reference() has made, or that the engine gives."""
    parts = image.split_reference(text)
    assert parts, text
    registry, repository = parts.registry or HUB, parts.repository
    registry = HUB if registry == _INDEX else registry
    if registry == HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Origin(registry, repository, parts.tag or "", parts.digest or "")


def digest_of(name: str, digests: Iterable[str]) -> str:
    """The digest that the registry of this name gave, of NAME@DIGEST; "" if none did."""
    known = [origin_of(text) for text in (name, *digests) if image.split_reference(text)]
    asked = known.pop(0) if image.split_reference(name) else None
    return next((o.digest for o in known if asked and o.name == asked.name and o.digest), "")
