"""The configuration of an image that is saved: pure.

Format: github.com/opencontainers/image-spec, config.md, which Docker's is too.
Used as the job's owner by savearchive.py and push.py.
"""

from __future__ import annotations

import json
import os
import time

from pycontrol.image import Image

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def architecture() -> str:
    """This machine's, by Go's name for it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def config_json(image: Image, layer_digest: str, now: float | None = None) -> bytes:
    """Of an image with one layer; the digest is that of its uncompressed tar."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    config = {
        "architecture": architecture(),
        "os": "linux",
        "created": created,
        "config": {
            "Env": list(image.env),
            "WorkingDir": image.workdir,
            "Entrypoint": list(image.entrypoint) or None,
            "Cmd": list(image.cmd) or None,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": created, "created_by": f"saved by socker from {image.image_id}"}],
    }
    return json.dumps(config, ensure_ascii=True).encode()
