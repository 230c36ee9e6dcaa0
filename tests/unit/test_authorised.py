"""The site's list of images, as a file."""

import os

import pytest

from pycontrol import authorised, config, identity, imagename, judge
from pycontrol.config import Config
from pycontrol.errors import NodeError
from pycontrol.image import parse_reference
from pycontrol.rules import NOWHERE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the list is root's file")


@pytest.fixture
def listed(tmp_path):
    """Settings with a list of this text."""

    def make(text: str) -> Config:
        (tmp_path / "images").write_text(text)
        return Config(image_list=str(tmp_path / "images"))

    return make


LIST = (
    "# ours\n\nreg.example/team/tool:2  # since May\ndocker.io/library/debian:bookworm\nbusybox\n"
)


def test_names_are_normalised_and_in_order(listed):
    assert authorised.names(Config()) is None
    wanted = ("reg.example/team/tool:2", "debian:bookworm", "busybox:latest")
    assert authorised.names(listed(LIST)) == wanted


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("debian:bookworm", True),
        ("docker.io/debian:bookworm", True),
        ("docker.io/library/debian:bookworm", True),
        ("Index.docker.io:443/library/debian:bookworm", True),
        ("busybox", True),
        ("dockerd://busybox:latest", True),
        ("reg.example/team/tool:2", True),
        ("reg.example/team/tool:3", False),
        ("reg.example/team/tool", False),
        ("reg.example/team/tool-evil:2", False),
        ("evil.example/team/tool:2", False),
        ("debian:bookworm@sha256:" + "0" * 64, False),
        ("/home/alice/debian.tar", False),
    ],
)
def test_what_it_allows(listed, name, allowed):
    rules = config.load_rules(listed(LIST))
    found = judge.Judge(rules, identity.of_caller(), NOWHERE)
    assert found.image(imagename.full_name(parse_reference(name))).allowed is allowed


def test_a_wrong_list_allows_nothing(listed):
    with pytest.raises(NodeError, match="images, line 2: `B` is not an image name"):
        config.load_rules(listed("a:1\nB\n"))


def test_a_list_that_is_missing_or_not_roots_alone(listed):
    with pytest.raises(NodeError, match="image_list names this file"):
        authorised.names(Config(image_list="/no/such/list"))
    settings = listed("a\n")
    os.chmod(settings.image_list, 0o666)
    with pytest.raises(NodeError, match="others than root may write to it"):
        authorised.names(settings)
