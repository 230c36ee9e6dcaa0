"""Image references: the grammar that Docker uses."""

import pytest

from pycontrol.errors import UserError
from pycontrol.image import is_digest, parse_reference
from pycontrol.origin import Origin, origin_of

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1.36", "busybox:1.36"),
        ("lib/busy_box", "lib/busy_box:latest"),
        ("127.0.0.1:5000/a/b-c:V1", "127.0.0.1:5000/a/b-c:V1"),
        ("Registry.example.org/a", "Registry.example.org/a:latest"),
        (f"a@{DIGEST}", f"a@{DIGEST}"),
        (f"r:5000/a:1@{DIGEST}", f"r:5000/a:1@{DIGEST}"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
        ("localhost/a", "localhost/a:latest"),
    ],
)
def test_references(text, full):
    assert parse_reference(text).text == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "A/b",
        "a b",
        "a:",
        "a//b",
        "a/",
        "-a",
        "a:-1",
        "a@sha256:1",
        "sha256:" + "a" * 64,
        "a\nb",
        "a\0b",
        "é",
        "x" * 513,
    ],
)
def test_no_references(text):
    with pytest.raises(UserError, match="--container-image"):
        parse_reference(text)


def test_capital_letters_get_a_hint():
    with pytest.raises(UserError, match="no capital letters"):
        parse_reference("Busybox")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("busybox:1", Origin("docker.io", "library/busybox", "1")),
        ("a/b:1", Origin("docker.io", "a/b", "1")),
        ("index.docker.io/busybox:1", Origin("docker.io", "library/busybox", "1")),
        ("r:5000/a:1", Origin("r:5000", "a", "1")),
        (f"r.org/a/b@{DIGEST}", Origin("r.org", "a/b", "", DIGEST)),
        (f"r.org/a:1@{DIGEST}", Origin("r.org", "a", "1", DIGEST)),
    ],
)
def test_where_an_image_comes_from(text, origin):
    assert origin_of(text) == origin


def test_an_image_by_its_content():
    assert origin_of("busybox:1").at(DIGEST) == f"docker.io/library/busybox@{DIGEST}"


@pytest.mark.parametrize("text", ["", "sha256:", DIGEST[:-1], DIGEST + "a", DIGEST + "\n", "x"])
def test_no_digest(text):
    assert not is_digest(text)
