"""What --container-save=TARGET names: pure."""

from __future__ import annotations

import posixpath
import re

from pycontrol.errors import UserError
from pycontrol.image import parse_reference
from pycontrol.plaindata import dataclass

OPTION = "--container-save"
PLAIN, COMPRESSED, SQUASHFS = (".tar",), (".tar.gz", ".tgz"), (".sqsh", ".squashfs")
SUFFIXES = (*PLAIN, *COMPRESSED, *SQUASHFS)
SCHEME = "docker://"
_FORMS = "write an absolute path or ./PATH, or REGISTRY/NAME[:TAG] to push"


@dataclass(frozen=True)
class SaveTarget:
    """`text` is an absolute path, or a reference with its registry and tag."""

    kind: str  # archive, squashfs or registry
    text: str

    @property
    def is_compressed(self) -> bool:
        return self.text.endswith(COMPRESSED)

    def reference(self) -> tuple[str, str, str]:
        """(registry, repository, tag) of a push."""
        registry, _, rest = self.text.partition("/")
        repository, _, tag = rest.rpartition(":")
        return registry, repository, tag


def parse_target(text: str) -> SaveTarget:
    """A path begins with /: relative ones are made absolute before.  Raises UserError."""
    if not text:
        raise UserError(f"{OPTION}: the target has no name: {_FORMS}")
    if text.startswith("/"):
        return _file(text)
    if text.startswith(SCHEME):
        return _registry(text.removeprefix(SCHEME))
    if "://" in text:
        raise UserError(f"{OPTION}: `{text}` is neither a file nor a registry's: {_FORMS}")
    if text.endswith(SUFFIXES):
        raise UserError(
            f"{OPTION}: `{text}` may be a file or an image: write ./{text} for the file, "
            f"{SCHEME}{text} to push"
        )
    if not _has_registry(text):
        raise UserError(f"{OPTION}: `{text}` names no registry: {_FORMS}")
    return _registry(text)


def _file(path: str) -> SaveTarget:
    if not path.endswith(SUFFIXES):
        raise UserError(
            f"{OPTION}: `{path}` does not say what to make: end it with "
            f"{', '.join((*PLAIN, *COMPRESSED))} (an archive) or {', '.join(SQUASHFS)} (squashfs)"
        )
    path = posixpath.normpath(path)
    return SaveTarget("squashfs" if path.endswith(SQUASHFS) else "archive", path)


def _has_registry(text: str) -> bool:
    """As in Docker: the first part is a registry only if it looks like a host."""
    first, slash, _ = text.partition("/")
    return bool(slash) and (bool(re.search(r"[.:]", first)) or first == "localhost")


def _registry(text: str) -> SaveTarget:
    reference = parse_reference(text, option=OPTION).text
    if "@" in reference:
        raise UserError(
            f"{OPTION}: `{text}`: a digest follows from what is saved: give a tag instead"
        )
    from pycontrol.origin import origin_of  # only where it is needed

    origin = origin_of(reference)
    return SaveTarget("registry", f"{origin.name}:{origin.tag}")
