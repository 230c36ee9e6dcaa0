"""What the engine gets of an archive: a new one, verified, with no name of the user's.

Runs as root in the hook.  The bytes come from a child that runs as the job's
owner; every member's name and header is made here, and each layer is hashed on
its way.  The manifest, without which the engine loads nothing, comes last,
after all layers proved to be what the configuration names.  So nobody gets a
layer, by the engine's short cut for layers it has, that his file does not hold.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO

from pycontrol.errors import UserError
from pycontrol.plaindata import dataclass
from pycontrol.source import CHUNK, Member

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Layer:
    """A layer's place in the file, and its size without compression."""

    member: Member
    size: int


@dataclass(frozen=True)
class Plan:
    """The one image of a file.  Nothing here is verified but by `rebuilt`."""

    path: str
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def image_id(self) -> str:
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    def in_file_order(self) -> list[int]:
        """The layers as they come in the file: going back in a compressed one is slow."""
        return sorted(range(len(self.layers)), key=lambda n: self.layers[n].member.offset)


def diff_ids(plan: Plan) -> list[str]:
    """The hashes of the layers' content, as the configuration names them."""
    try:
        found = json.loads(plan.config)["rootfs"]["diff_ids"]
        if (
            isinstance(found, list)
            and len(found) == len(plan.layers)
            and all(DIGEST.fullmatch(d) for d in found)
        ):
            return found
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise UserError(
        f"image {plan.path}: its configuration does not name its {len(plan.layers)} layers"
    )


def rebuilt(
    plan: Plan, layers: BinaryIO, progress: Callable[[int], None]
) -> Generator[bytes, None, bool]:
    """A docker-archive without its manifest, from the layers' content in file order.

    Returns whether `layers` held enough.  Raises UserError when the content is
    not the configuration's.  `progress` is told the bytes of layers so far.
    """
    wanted = diff_ids(plan)
    done = 0
    yield from _member(_config_name(plan), plan.config)
    for number in plan.in_file_order():
        size = plan.layers[number].size
        yield _header(_layer_name(number), size)
        content, left = hashlib.sha256(), size
        while left:
            chunk = layers.read(min(CHUNK, left))
            if not chunk:
                return False
            content.update(chunk)
            left -= len(chunk)
            done += len(chunk)
            progress(done)
            yield chunk
        _check(plan, number, content.hexdigest(), wanted)
        yield from _padding(size)
    return True


def _check(plan: Plan, number: int, found: str, wanted: list[str]) -> None:
    if f"sha256:{found}" != wanted[number]:
        raise UserError(
            f"image {plan.path}: layer {number + 1} is not the one that its configuration "
            "names: the file is damaged, or was changed meanwhile"
        )


def end(plan: Plan) -> bytes:
    """What makes the archive an image; without a name, so it replaces none of the node's."""
    manifest = {
        "Config": _config_name(plan),
        "RepoTags": None,
        "Layers": [_layer_name(number) for number in range(len(plan.layers))],
    }
    return b"".join(_member("manifest.json", json.dumps([manifest]).encode())) + bytes(1024)


def _config_name(plan: Plan) -> str:
    return f"{plan.image_id.removeprefix('sha256:')}.json"


def _layer_name(number: int) -> str:
    return f"{number}.tar"


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data
    yield from _padding(len(data))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> Iterator[bytes]:
    """To a whole block; never nothing, which would end an HTTP body of chunks."""
    if missing := -size % tarfile.BLOCKSIZE:
        yield bytes(missing)
