"""Pushes an image of one layer to a registry, without the engine.

Runs as the job's owner (save.py), so that neither root nor the node's images
have a part in it: an engine pushes only what it holds under that very name,
where other users would find it.  Specification:
github.com/opencontainers/distribution-spec, and for tokens
github.com/distribution/distribution, docs/spec/auth.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pycontrol.image import Image
from pycontrol.imageconfig import config_json
from pycontrol.registryhttp import Http, place_of
from pycontrol.savearchive import CHUNK, LEVEL

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Layer:
    """A tar on its way: compressed, counted, and hashed on both sides."""

    def __init__(self, source: BinaryIO):
        self._source = source
        self.tar, self.blob, self.size = hashlib.sha256(), hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        while data := self._source.read(CHUNK):
            self.tar.update(data)
            yield from self._counted(deflate.compress(data))
        yield from self._counted(deflate.flush())

    def _counted(self, data: bytes) -> Iterator[bytes]:
        if data:  # an empty chunk would end the request
            self.blob.update(data)
            self.size += len(data)
            yield data


def push(source: BinaryIO, image: Image, http: Http, repository: str, tag: str) -> str:
    """Returns the digest of the manifest; a failure leaves the tag as it was."""
    layer = Layer(source)
    location = _begin(http, repository)
    answer = http.send("PATCH", location, (202,), data=layer, type="application/octet-stream")
    digest = f"sha256:{layer.blob.hexdigest()}"
    _end(http, place_of(answer), digest, b"")
    config = config_json(image, f"sha256:{layer.tar.hexdigest()}")
    config_digest = _digest(config)
    _end(http, _begin(http, repository), config_digest, config)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": config_digest},
            "layers": [{"mediaType": LAYER, "size": layer.size, "digest": digest}],
        }
    ).encode()
    http.send("PUT", f"/v2/{repository}/manifests/{tag}", (201,), data=manifest, type=MANIFEST)
    return _digest(manifest)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _begin(http: Http, repository: str) -> str:
    """Where the registry wants a blob."""
    answer = http.send("POST", f"/v2/{repository}/blobs/uploads/", (202,), data=b"")
    return place_of(answer)


def _end(http: Http, location: str, digest: str, data: bytes) -> None:
    separator = "&" if "?" in location else "?"
    url = f"{location}{separator}digest={digest}"
    http.send("PUT", url, (201,), data=data, type="application/octet-stream")
