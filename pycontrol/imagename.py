"""Images by their full names: what all ways to write one have in common.

Pure functions.  debian, index.docker.io/library/debian:latest and the like are
one image, and a site's rules (judge.py) must hold for it however it is written.
"""

from __future__ import annotations

import re
import socket

from pycontrol import image
from pycontrol.image import Reference
from pycontrol.plaindata import dataclass

HUB = "docker.io"
_HUB_NAMES = frozenset((HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"))
_STANDARD_PORTS = (80, 443)
_NUMBERS = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}")


@dataclass(frozen=True)
class Name:
    """An image, however it was written.

    source    as of image.Reference
    registry  host[:port]; "" of a file
    path      the components of the repository, or of a file's path
    tag       None where a digest says what is run: a tag beside it means nothing
    also      further digests of it, once the node has it
    """

    source: str
    registry: str
    path: tuple[str, ...]
    tag: str | None = None
    digest: str | None = None
    also: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        if self.source == "file":
            return "/" + "/".join(self.path)
        scheme = "dockerd://" if self.source == "engine" else ""
        return scheme + "/".join((self.registry, *self.path)) + _end(self.tag, self.digest)


def _end(tag: str | None, digest: str | None) -> str:
    return (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def full_name(reference: Reference) -> Name:
    """The one form of a reference that image.parse_reference() has made."""
    if reference.source == "file":
        return Name("file", "", components(reference.text))
    parts = image.split_reference(reference.text)
    assert parts, reference.text
    registry, path = located(parts.registry, tuple(parts.repository.split("/")))
    tag = None if parts.digest else parts.tag
    return Name(reference.source, registry, path, tag, parts.digest)


def located(registry: str | None, path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Where Docker looks for it: short names are Docker Hub's."""
    host = registry_name(registry) if registry else HUB
    return host, ("library", *path) if host == HUB and len(path) == 1 else path


def registry_name(text: str) -> str:
    """A registry as all spellings of it: in lower case, without its standard port."""
    host, port = host_and_port(text.lower())
    host = HUB if host in _HUB_NAMES else host
    return host if port is None or port in _STANDARD_PORTS else f"{host}:{port}"


def host_and_port(text: str) -> tuple[str, int | None]:
    host, separator, port = text.rpartition(":")
    if not separator or port.endswith("]"):
        return text, None
    return host, int(port)


def machine(registry: str) -> str:
    """The same for names of one machine that are easily told, its own loopback among them."""
    host, port = host_and_port(registry)
    address = _address(host.strip("[]"))
    if address is not None:
        host = "localhost" if address.is_loopback else str(address)
    return host if port is None else f"{host}:{port}"


def _address(host: str):
    """Also of 127.1, 0x7f000001 and the like, as inet_aton(3) reads them."""
    import ipaddress  # 2 ms of each srun, and only denials need it

    try:
        if _NUMBERS.fullmatch(host):
            return ipaddress.IPv4Address(socket.inet_aton(host))
        found = ipaddress.ip_address(host)
    except (OSError, ValueError):
        return None
    return getattr(found, "ipv4_mapped", None) or found


def components(path: str) -> tuple[str, ...]:
    """Of an absolute path: `.` and repeated slashes are nothing, `..` takes one back."""
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del found[-1:]
        elif part not in ("", "."):
            found.append(part)
    return tuple(found)


def is_below(path: tuple[str, ...], prefix: tuple[str, ...]) -> bool:
    """Whether a path is this prefix or something in it, component by component."""
    return path[: len(prefix)] == prefix
