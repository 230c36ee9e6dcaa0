"""The site's limits on images: how large, of how many layers, and of all on a node.

Pure functions; pull.py and imagefile.py ask before and while an image comes,
container.py once it is there.
"""

from __future__ import annotations

import re

from pycontrol.errors import PolicyError
from pycontrol.image import Image
from pycontrol.plaindata import dataclass

UNLIMITED = "unlimited"
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_SIZE = re.compile(r"([1-9][0-9]{0,15})([kmgt]?)", re.IGNORECASE)


_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME = re.compile(r"([1-9][0-9]{0,6})([mhdw])")


def seconds_of(text: str) -> int | None:
    """Of a time like 30d; None of anything else."""
    match = _TIME.fullmatch(text)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def bytes_of(text: str) -> int | None:
    """Of a size like 20g; None of anything else."""
    match = _SIZE.fullmatch(text)
    return int(match[1]) << _UNITS[match[2].lower()] if match else None


@dataclass(frozen=True)
class Limits:
    """As the settings name them."""

    max_image_size: str
    max_image_layers: int
    max_node_size: str

    def check(self, name: str, size: int, layers: int) -> None:
        """Of an image, or of the part of it that is known: what comes can only be more."""
        largest = bytes_of(self.max_image_size)
        if largest is not None and size > largest:
            raise PolicyError(
                f"image {name}: it is larger than this site allows (max_image_size = "
                f"{self.max_image_size}): use a smaller one"
            )
        if layers > self.max_image_layers:
            raise PolicyError(
                f"image {name}: it has more layers than this site allows (max_image_layers = "
                f"{self.max_image_layers}): squash it"
            )

    def check_image(self, name: str, image: Image) -> None:
        self.check(name, image.size, image.layers)

    def check_room(self, name: str, used: int) -> None:
        """Before one more image comes; `used`: what the node's images take."""
        most = bytes_of(self.max_node_size)
        if most is not None and used >= most:
            raise PolicyError(
                f"image {name}: this node's images take {used / 1e9:.1f} GB, and with "
                f"max_node_size = {self.max_node_size} no more is brought: use one that the node "
                "has, or tell the admin"
            )

    @property
    def watch_room(self) -> bool:
        return self.max_node_size != UNLIMITED


def taken(usage: dict) -> int:
    """Bytes of all images, by the engine's disk usage; layers that they share count once."""
    return int(usage.get("LayersSize") or 0)


def of(config) -> Limits:
    return Limits(config.max_image_size, config.max_image_layers, config.max_node_size)
