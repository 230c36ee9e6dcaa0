"""Docker and OCI archives, and OCI layouts: which image they hold, and its bytes.

Runs as the job's owner in a child (pycontrol/as_user.py).  What comes out of
here is the user's word; pycontrol/rebuild.py believes none of it.
"""

from __future__ import annotations

import hashlib
import json
import platform
from typing import BinaryIO

from pycontrol.errors import UserError
from pycontrol.rebuild import DIGEST, Layer, Plan, diff_ids
from pycontrol.source import Member, Source

MOST_LAYERS = 128  # Docker's own limit is below it
MOST_INDEXES = 4  # one in the other
MOST_NAMED = 8  # in a message

# uname's word for the machine, and Go's, which images use; the first is preferred.
_MACHINES = {
    "x86_64": ("amd64", "386"),
    "aarch64": ("arm64", "arm"),
    "armv7l": ("arm",),
    "i686": ("386",),
}


def architectures() -> tuple[str, ...]:
    machine = platform.machine()
    return _MACHINES.get(machine, (machine,))


def describe(source: Source, runs: tuple[str, ...]) -> Plan:
    """Choose the image for a node that runs these architectures."""
    if source.find("manifest.json"):
        config, members = _of_docker(source)
    elif source.find("oci-layout"):
        config, members = _of_oci(source, runs)
    else:
        raise UserError(
            f"image {source.path}: it is no image: neither manifest.json (docker save) nor "
            "oci-layout is in it"
        )
    layers = tuple(Layer(member, _unpacked_size(source, member)) for member in members)
    plan = Plan(source.path, config, layers)
    _check_platform(plan, runs)
    return plan


def _of_docker(source: Source) -> tuple[bytes, list[Member]]:
    """(configuration, layers) of what `docker save` wrote."""
    images = _parsed(source, "manifest.json", source.read("manifest.json"), list)
    if len(images) != 1 or not isinstance(images[0], dict):
        names = [str(i.get("RepoTags")) for i in images[:MOST_NAMED] if isinstance(i, dict)]
        raise UserError(
            f"image {source.path}: it holds {len(images)} images ({', '.join(names)}): save one"
        )
    layers = _list(source, images[0], "Layers")
    return source.read(images[0].get("Config")), [source.need(name) for name in layers]


def _of_oci(source: Source, runs: tuple[str, ...]) -> tuple[bytes, list[Member]]:
    document = _parsed(source, "index.json", source.read("index.json"), dict)
    for _ in range(MOST_INDEXES):
        if "manifests" not in document:
            break
        chosen = choose(source.path, _list(source, document, "manifests"), runs)
        document = _parsed(source, "manifest", _blob(source, chosen), dict)
    layers = _list(source, document, "layers")
    config = _blob(source, document.get("config"))
    return config, [source.need(_blob_name(source.path, layer)) for layer in layers]


def choose(path: str, descriptors: list, runs: tuple[str, ...]) -> dict:
    """The manifest for this node's architecture among those of an OCI index."""
    found = {str(d.get("digest")): d for d in descriptors if isinstance(d, dict)}
    images = [d for d in found.values() if _platform(d)[:1] != ("unknown",)]  # attestations
    for wanted in (*(("linux", architecture) for architecture in runs), ()):
        fitting = [d for d in images if _platform(d) == wanted]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise UserError(
                f"image {path}: it holds {len(fitting)} images for this node "
                f"({_named(fitting)}): copy the wanted one to a file of its own"
            )
    raise UserError(
        f"image {path}: it holds no image for linux/{runs[0]}, but: {_named(images) or 'nothing'}"
    )


def _platform(descriptor: dict) -> tuple[str, ...]:
    """(os, architecture), or () when the descriptor does not say."""
    stated = descriptor.get("platform")
    if not isinstance(stated, dict):
        return ()
    return str(stated.get("os")), str(stated.get("architecture"))


def _named(descriptors: list[dict]) -> str:
    words = []
    for descriptor in descriptors[:MOST_NAMED]:
        notes = descriptor.get("annotations")
        name = notes.get("org.opencontainers.image.ref.name") if isinstance(notes, dict) else ""
        digest = str(descriptor.get("digest"))[:19]
        words.append(" ".join(filter(None, ("/".join(_platform(descriptor)), name, digest))))
    return ", ".join(words)


def _blob_name(path: str, descriptor: object) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    match = DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if not match:
        raise UserError(f"image {path}: {str(digest)[:80]!r} is no sha256 digest")
    return f"blobs/sha256/{match[1]}"


def _blob(source: Source, descriptor: object) -> bytes:
    name = _blob_name(source.path, descriptor)
    data = source.read(name)
    if hashlib.sha256(data).hexdigest() != name.rpartition("/")[2]:
        raise UserError(f"image {source.path}: the content of {name} is another: make it again")
    return data


def _parsed(source: Source, name: str, data: bytes, kind: type):
    document = json.loads(data)
    if not isinstance(document, kind):
        raise UserError(f"image {source.path}: its {name} is not what it must be")
    return document


def _list(source: Source, document: dict, name: str) -> list:
    value = document.get(name)
    if not isinstance(value, list):
        raise UserError(f"image {source.path}: it has no list of {name}: it is no image")
    if name != "manifests" and len(value) > MOST_LAYERS:
        raise UserError(f"image {source.path}: it has more than {MOST_LAYERS} layers")
    return value


def _unpacked_size(source: Source, member: Member) -> int:
    if not member.compression:
        return member.size
    return sum(map(len, source.plain(member)))


def _check_platform(plan: Plan, runs: tuple[str, ...]) -> None:
    diff_ids(plan)
    config = json.loads(plan.config)
    wanted = (config.get("os") or "linux", config.get("architecture") or runs[0])
    if wanted not in [("linux", name) for name in runs]:
        raise UserError(
            f"image {plan.path}: it is for {'/'.join(map(str, wanted))}, this node is "
            f"linux/{runs[0]}"
        )


def pour(source: Source, plan: Plan, output: BinaryIO) -> None:
    """All layers without compression, one after the other."""
    for number in plan.in_file_order():
        for chunk in source.plain(plan.layers[number].member):
            output.write(chunk)
