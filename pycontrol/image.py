"""How an image is named, and what is known of one that is on this node.

Pure functions.
"""

from __future__ import annotations

import posixpath
import re

from pycontrol.errors import UserError
from pycontrol.plaindata import dataclass

LONGEST = 512  # characters; more than registry, name, tag and digest need
LONGEST_PATH = 4095
MOST_VOLUMES = 32  # of an image: the engine makes a directory and a mount of each
LARGEST_ENV = 1 << 18  # bytes of an image's ENV
MOST_WORDS = 1024  # of an ENTRYPOINT

# The grammar of github.com/distribution/reference, which Docker uses.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
# As in Docker, the first part is a registry only if it looks like a host.
_LOOKS_LIKE_A_HOST = r"(?=[^/]*[.:]|localhost/)"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REFERENCE = re.compile(
    rf"(?:{_LOOKS_LIKE_A_HOST}(?P<registry>{_HOST})/)?"
    rf"(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    rf"(?:@(?P<digest>{_DIGEST}))?"
)


_HUB = re.compile(r"^(index\.)?docker\.io/(library/)?")  # the engine leaves it out

# Tags of images that came from files (imagefile.py): never to be had by name.
RESERVED_REGISTRY = "socker.local"

_FORM = (
    "write [REGISTRY[:PORT]/]NAME[:TAG][@sha256:...], dockerd://NAME, or a path that begins "
    "with / or ./"
)
# Beside the options of a step (spank_plugin/digest.c): what the image's tag stands for.
DIGEST_ENTRY = "digest"
# enroot's [USER@][REGISTRY#]NAME[:TAG].
_ENROOT = re.compile(r"(?:[^@#/:]+@)?(?:(?P<registry>[^#]+)#)?(?P<rest>[^#]+)")


@dataclass(frozen=True)
class Reference:
    """An image's name.

    text    what the engine is asked for; the absolute path of a file
    source  "registry", "engine" (this node's alone, never pulled), or "file"
    pinned  the digest that its tag stood for when the job asked first; a user's word
    """

    text: str
    source: str = "registry"
    pinned: str = ""


@dataclass(frozen=True)
class Parts:
    """A name as it is written; None: not said."""

    registry: str | None
    repository: str
    tag: str | None
    digest: str | None


@dataclass(frozen=True)
class Image:
    """An image that is present on this node, as its configuration describes it.

    size     bytes, unpacked
    digests  of registries, whatever name it has there
    """

    image_id: str  # sha256:...
    env: tuple[str, ...]  # NAME=VALUE
    workdir: str  # "" when the image names none
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()  # NAME@sha256:..., of the registries that it came from
    size: int = 0  # bytes
    layers: int = 0


def parse_reference(text: str, cwd: str = "/", option: str = "--container-image") -> Reference:
    """Any form of IMAGE but `none`; the tag defaults to latest.

    Raises UserError with the part that is wrong, where it can be told.
    """
    if not text:
        raise UserError(f"{option}: the image has no name: {_FORM}")
    if text.startswith(("/", "./", "../")) or text in (".", ".."):
        return Reference(_path(text, cwd, option), "file")
    scheme, separator, rest = text.partition("://")
    if not separator:
        return _named(text, "registry", option)
    if scheme not in ("docker", "dockerd"):
        raise UserError(f"{option}: {scheme}:// is no kind of image: docker:// and dockerd:// are")
    return _named(rest, "registry" if scheme == "docker" else "engine", option)


def _path(text: str, cwd: str, option: str) -> str:
    if len(text) > LONGEST_PATH:
        raise UserError(f"{option}: the path has more than {LONGEST_PATH} characters: shorten it")
    if not text.isprintable():
        raise UserError(
            f"{option}: the path has characters that cannot be printed: rename the file"
        )
    return posixpath.normpath("/" + posixpath.join(cwd, text).lstrip("/"))


def _named(text: str, source: str, option: str) -> Reference:
    if len(text) > LONGEST:
        raise UserError(f"{option}: the name has more than {LONGEST} characters: shorten it")
    text = _without_enroots_parts(text)
    parts = split_reference(text)
    # Else the engine would take sha256:... for the id of any image it holds.
    if not parts or parts.repository == "sha256":
        lower = ": names have no capital letters" if text != text.lower() else ""
        raise UserError(f"{option}: `{text}` is not an image name{lower}: {_FORM}")
    if (parts.registry or "").lower() == RESERVED_REGISTRY:
        raise UserError(f"{option}: {RESERVED_REGISTRY} is no registry: give the image's file")
    if not parts.tag and not parts.digest:
        text += ":latest"
    return Reference(text, source)


def _without_enroots_parts(text: str) -> str:
    """Docker's form of enroot's, whose USER (for credentials) has no effect here."""
    if "#" not in text and not re.match(r"[^@/:]+@(?!sha256:)", text):
        return text
    match = _ENROOT.fullmatch(text)
    if not match:
        return text
    registry = f"{match['registry']}/" if match["registry"] else ""
    return registry + match["rest"]


def split_reference(text: str) -> Parts | None:
    """The parts of a name; None when it is none."""
    match = _REFERENCE.fullmatch(text)
    return Parts(match["registry"], match["name"], match["tag"], match["digest"]) if match else None


def is_digest(text: str) -> bool:
    return bool(re.fullmatch(_DIGEST, text))


def familiar(name: str) -> str:
    """As the engine shows it: without Docker Hub's registry and its `library`."""
    return _HUB.sub("", name)


def image_of(found: dict, name: str) -> Image:
    """The image that the engine describes; errors call it `name`."""
    settings = found.get("Config") or {}
    _refuse_excess(name, settings)
    return Image(
        image_id=found["Id"],
        env=tuple(settings.get("Env") or ()),
        workdir=settings.get("WorkingDir") or "",
        entrypoint=tuple(settings.get("Entrypoint") or ()),
        cmd=tuple(settings.get("Cmd") or ()),
        digests=tuple(found.get("RepoDigests") or ()),
        size=int(found.get("Size") or 0),
        layers=len((found.get("RootFS") or {}).get("Layers") or ()),
    )


def _refuse_excess(name: str, settings: dict) -> None:
    """An image's configuration is its maker's: the engine and we work by its size."""
    if len(settings.get("Volumes") or ()) > MOST_VOLUMES:
        raise UserError(f"image {name}: it has more than {MOST_VOLUMES} VOLUMEs")
    if sum(map(len, settings.get("Env") or ())) > LARGEST_ENV:
        raise UserError(f"image {name}: its ENV is larger than {LARGEST_ENV} bytes")
    for part in ("Entrypoint", "Cmd"):
        words = settings.get(part) or ()
        if len(words) > MOST_WORDS or sum(map(len, words)) > LARGEST_ENV:
            raise UserError(f"image {name}: its {part.upper()} is too long")
