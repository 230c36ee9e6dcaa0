"""What a registry says of one image: the digest behind a tag, and that its user may read it.

Runs as the job's owner in a child (confirm.py), and in srun (digests.py).

    names    which digest a tag stands for now
    reads    whether the user may read a digest, in one small request
    shows    the same, and that the registry itself has what the node holds

`shows` is for a registry that is the user's own: it would say yes to any
question, and for a digest that somebody knows the engine takes what another
user pulled.  A manifest and a configuration of the right hash cannot be made up.
"""

from __future__ import annotations

import hashlib

from pycontrol.errors import UserError
from pycontrol.image import is_digest
from pycontrol.origin import Origin
from pycontrol.registryhttp import Http

MANIFESTS = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
    )
)
LARGEST = 8 << 20  # bytes of a manifest or a configuration


def names(http: Http, origin: Origin, tag: str) -> str:
    """The digest; UserError with the registry's words when it has none to give."""
    url = _manifest(origin, tag)
    answer = http.send("HEAD", url, (200, 404, 405), accept=MANIFESTS)
    digest = answer.headers.get("Docker-Content-Digest", "")
    if answer.status == 200 and is_digest(digest):
        return digest
    return _hash(http.fetch(url, MANIFESTS, LARGEST))  # or why not, in words, which HEAD has not


def reads(http: Http, origin: Origin, digest: str) -> None:
    """UserError unless the registry lets the user read it."""
    url = _manifest(origin, digest)
    answer = http.send("HEAD", url, (200, 404, 405), accept=MANIFESTS)
    if answer.status != 200:
        http.fetch(url, MANIFESTS, LARGEST)


def shows(http: Http, origin: Origin, digest: str, image_id: str) -> None:
    """UserError unless the registry has the manifest and the node's image of it."""
    manifest = http.fetch(_manifest(origin, digest), MANIFESTS, LARGEST)
    if _hash(manifest) != digest:
        raise UserError(f"registry {origin.registry}: what it has is not {digest}: {_TELL}")
    if image_id == digest:  # an engine that keeps images by their manifests
        return
    config = http.fetch(f"/v2/{origin.repository}/blobs/{image_id}", "", LARGEST)
    if _hash(config) != image_id:
        raise UserError(
            f"registry {origin.registry}: the configuration of {digest} is not there: {_TELL}"
        )


_TELL = "it does not have what this node has: tell the admin"


def _manifest(origin: Origin, reference: str) -> str:
    return f"/v2/{origin.repository}/manifests/{reference}"


def _hash(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
