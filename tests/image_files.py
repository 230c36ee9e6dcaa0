"""Writes image files for tests, right ones and wrong ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
ARCHITECTURE = MACHINES.get(platform.machine(), platform.machine())


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(members: dict[str, bytes], mode: str = "w") -> bytes:
    """A tar of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def config(layers: list[bytes], **more) -> bytes:
    """An image's configuration for these layers."""
    fields = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {"Env": ["MADE=1"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    return json.dumps(fields | more).encode()


def docker_members(layers: list[bytes], tags=None, configuration: bytes = b"") -> dict[str, bytes]:
    """What `docker save` writes, as far as it is needed."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "c.json", "RepoTags": tags, "Layers": names}]
    return {
        **dict(zip(names, layers, strict=True)),
        "c.json": configuration or config(layers),
        "manifest.json": json.dumps(manifest).encode(),
    }


def oci_members(
    images: list[tuple[bytes, list[bytes], dict]], compress=gzip.compress
) -> dict[str, bytes]:
    """An OCI layout of (configuration, layers, fields of its descriptor in the index)."""
    members = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def put(data: bytes) -> dict:
        members[f"blobs/sha256/{digest(data).removeprefix('sha256:')}"] = data
        return {"digest": digest(data), "size": len(data)}

    manifests = []
    for configuration, layers, fields in images:
        manifest = {
            "schemaVersion": 2,
            "config": put(configuration),
            "layers": [put(compress(layer)) for layer in layers],
        }
        manifests.append(put(json.dumps(manifest).encode()) | fields)
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    return members


def write_layout(folder: Path, members: dict[str, bytes]) -> Path:
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
