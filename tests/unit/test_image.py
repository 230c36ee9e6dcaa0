"""Image references: the grammar that Docker uses."""

import pytest

from pycontrol.errors import UserError
from pycontrol.image import parse_reference, split_tag

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


def test_split_for_the_sdk():
    assert split_tag("r:5000/a:1") == ("r:5000/a", ":", "1")
    assert split_tag(f"r:5000/a@{DIGEST}") == ("r:5000/a", "@", DIGEST)
