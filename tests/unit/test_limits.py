"""How large an image may be, and how many layers it may have."""

import pytest

from pycontrol import limits
from pycontrol.config import Config
from pycontrol.errors import PolicyError
from pycontrol.image import Image, image_of


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("20g", 20 << 30), ("3K", 3072), ("1t", 1 << 40), ("", None), ("1.5g", None),
     ("-1", None), ("0", None), ("10%", None), ("unlimited", None)],
)  # fmt: skip
def test_sizes(text, size):
    assert limits.bytes_of(text) == size


def test_within_and_beyond():
    site = limits.of(Config(max_image_size="1k", max_image_layers=2))
    site.check("a", 1024, 2)
    with pytest.raises(PolicyError) as error:
        site.check("a", 1025, 1)
    assert str(error.value) == (
        "image a: it is larger than this site allows (max_image_size = 1k): use a smaller one"
    )
    with pytest.raises(PolicyError, match=r"more layers .*\(max_image_layers = 2\): squash it"):
        site.check_image("a", Image("i", (), "", size=1, layers=3))


def test_no_limit_on_the_size_by_default():
    limits.of(Config()).check("a", 1 << 60, 127)


def test_room_on_the_node():
    site = limits.of(Config(max_node_size="1g"))
    assert site.watch_room
    assert not limits.of(Config()).watch_room
    site.check_room("a", (1 << 30) - 1)
    with pytest.raises(PolicyError, match=r"this node's images take 1\.1 GB, and with max_nod"):
        site.check_room("a", 1 << 30)


def test_what_the_engine_says_of_an_image():
    found = image_of(
        {
            "Id": "sha256:1",
            "Size": 7,
            "RootFS": {"Layers": ["a", "b"]},
            "RepoDigests": ["r/a@sha256:2", "r/b@sha256:3"],
        },
        "a",
    )
    assert (found.size, found.layers, found.digests) == (7, 2, ("r/a@sha256:2", "r/b@sha256:3"))
