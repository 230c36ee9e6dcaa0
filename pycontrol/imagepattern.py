"""The patterns in which a site's rules name images.

Pure functions.  Patterns are brought to the form of imagename.py and compared
part by part.  What cannot be known counts against the user: so one that denies
covers more than one that allows, see `Pattern.covers`.
"""

from __future__ import annotations

import re

from pycontrol import imagename
from pycontrol.errors import UserError
from pycontrol.image import LONGEST_PATH
from pycontrol.imagename import HUB, Name
from pycontrol.plaindata import dataclass

ANY = "*"
FORM = (
    "write REGISTRY/PATH[:TAG][@sha256:...] with * for any part, dockerd://..., @sha256:..., "
    "or the path of files"
)
_SCHEMES = {"dockerd": "engine", "docker": "registry"}
_PART = re.compile(r"[a-z0-9._*-]+")
_TAG = re.compile(r"[A-Za-z0-9._*-]{1,128}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_WHOLE = ("library", ANY, "**")  # alone behind docker.io/ they are no short name
_HOST = re.compile(r"(?:[A-Za-z0-9.*-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")


@dataclass(frozen=True)
class Pattern:
    """Images as a rule names them: a repository covers those below it, but with a tag or digest.

    source    "registry": however it is asked for; "engine": by dockerd:// alone; "file"
    """

    text: str
    source: str
    registry: str
    path: tuple[str, ...]
    tag: str | None = None
    digest: str | None = None

    def covers(self, name: Name, denying: bool) -> bool:
        """Whether this is about `name`.

        A pattern that denies is, too, where only a part of the truth is known:
        for a digest whose tags nobody knows, and for other names of a machine.
        """
        if self.digest and self._is_everywhere():
            return self._of_digest(name)
        if self.source == "file" or name.source == "file":
            return self.source == name.source and imagename.is_below(name.path, self.path)
        if self.source == "engine" and name.source != "engine":
            return False
        return (
            self._of_repository(name, denying)
            and self._of_digest(name)
            and self._of_tag(name, denying)
        )

    def _is_everywhere(self) -> bool:
        return self.source == "registry" and self.registry == ANY and not self.path

    def _of_digest(self, name: Name) -> bool:
        return self.digest is None or self.digest in (name.digest, *name.also)

    def _of_repository(self, name: Name, denying: bool) -> bool:
        if not (self._at(name.registry) or (denying and self._perhaps_at(name.registry))):
            return False
        exact = bool(self.path and (self.tag or self.digest))
        if len(name.path) < len(self.path) or (exact and len(name.path) > len(self.path)):
            return False
        return all(map(is_like, name.path, self.path))

    def _at(self, registry: str) -> bool:
        """With the very port: `*` stands for a part of a host's name, or for any registry."""
        host, port = imagename.host_and_port(registry)
        wanted_host, wanted_port = imagename.host_and_port(self.registry)
        if self.registry == ANY:
            return True
        return port == wanted_port and is_like(host, wanted_host)

    def _perhaps_at(self, registry: str) -> bool:
        """Of one machine, and its port where the pattern names one."""
        wanted, found = imagename.machine(self.registry), imagename.machine(registry)
        if imagename.host_and_port(wanted)[1] is None:
            found = imagename.host_and_port(found)[0]
        return is_like(found, wanted)

    def _of_tag(self, name: Name, denying: bool) -> bool:
        if self.tag is None or self.digest is not None:
            return True
        return denying if name.tag is None else is_like(name.tag, self.tag)


def is_like(text: str, pattern: str) -> bool:
    """`*` stands for any number of any characters; nothing else is special.

    No regular expression: names are the users', and could make one take for ever.
    """
    first, *parts = pattern.split("*")
    if not parts:
        return text == pattern
    last = parts.pop()
    start, end = len(first), len(text) - len(last)
    if start > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in parts:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def parse_pattern(text: str) -> Pattern:
    """A pattern of the configuration; UserError, without the place, when it is none."""
    if len(text) > LONGEST_PATH:
        raise UserError(f"`{text[:40]}...` is no pattern of images: it is too long")
    if text.startswith("/"):
        return Pattern(text, "file", "", imagename.components(text))
    scheme, separator, rest = text.partition("://")
    if separator and scheme not in _SCHEMES:
        raise UserError(f"`{text}` is no pattern of images: {FORM}")
    source, rest = (_SCHEMES[scheme], rest) if separator else ("registry", text)
    rest, at, digest = rest.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise UserError(f"`{text}`: `{digest}` is no digest: write sha256: and 64 digits")
    if rest == ANY or (at and not rest):
        return Pattern(text, source, ANY, (), None, digest or None)
    if rest.startswith("*:") and _TAG.fullmatch(rest[2:]):
        return Pattern(text, source, ANY, (), rest[2:], digest or None)
    registry, path, tag = _split(text, rest)
    return Pattern(text, source, registry, path, tag, digest or None)


def _split(text: str, rest: str) -> tuple[str, tuple[str, ...], str | None]:
    parts = rest.split("/")
    registry = parts.pop(0) if _is_registry(parts) else None
    parts = parts[:-1] if parts[-1:] == [""] else parts  # what ends with / has its parts below it
    last, colon, tag = parts[-1].partition(":") if parts else ("", "", "")
    path = (*parts[:-1], last) if parts else ()
    wrong = (
        (not _HOST.fullmatch(registry) if registry is not None else not path)
        or not all(_PART.fullmatch(part) for part in path)
        or (colon and not _TAG.fullmatch(tag))
    )
    if wrong:
        raise UserError(f"`{text}` is no pattern of images: {FORM}")
    if registry is None and len(path) == 1 and (rest.endswith("/") or set(last) == {"*"}):
        raise _ambiguous(text, last, colon + tag)
    if registry is None or imagename.registry_name(registry) != HUB:
        return *imagename.located(registry, path), tag if colon else None
    if len(path) == 1 and path[0] not in _WHOLE:
        raise _ambiguous(text, last, colon + tag)
    return HUB, path, tag if colon else None


def _ambiguous(text: str, name: str, tag: str) -> UserError:
    return UserError(
        f"`{text}` can be read in two ways: write {HUB}/library/{name}{tag} for that image, or "
        f"{HUB}/{name}/* for all of that name"
    )


def _is_registry(parts: list[str]) -> bool:
    """As Docker tells it; alone, too, since a pattern may name a whole registry."""
    first = parts[0]
    host = first.partition(":")[0]
    return (
        host == "localhost"
        or first.startswith("[")
        or "." in host
        or (len(parts) > 1 and (first == ANY or ":" in first))
    )
