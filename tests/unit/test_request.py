"""Option strings become a request: pure, so every wrong form is cheap to try."""

import pytest

from pycontrol import request
from pycontrol.errors import UserError
from pycontrol.request import MountRequest


def parse(cwd="/submit", **options):
    named = tuple((name.replace("_", "-"), value) for name, value in options.items())
    return request.parse(named, cwd)


def test_image_by_either_name():
    assert parse(container_image="a:1").image.text == "a:1"
    assert parse(docker="a:1").image.text == "a:1"


def test_docker_is_the_steps_own_when_both_are_there():
    assert parse(container_image="job:1", docker="own:1").image.text == "own:1"


def test_defaults():
    asked = parse(docker="a")
    assert (asked.mounts, asked.workdir, asked.mount_home) == ((), None, None)


@pytest.mark.parametrize(
    ("text", "mounts"),
    [
        ("/a", [MountRequest("/a", "/a")]),
        ("/a/../b/", [MountRequest("/a/../b/", "/b")]),
        ("/a:/b", [MountRequest("/a", "/b")]),
        ("/a:/b//c/./d/:ro", [MountRequest("/a", "/b/c/d", True)]),
        ("/a://b:rw", [MountRequest("/a", "/b")]),
        ("data", [MountRequest("/submit/data", "/submit/data")]),
        ("./data:/x", [MountRequest("/submit/./data", "/x")]),
        ("/a:/b:ro,/c", [MountRequest("/a", "/b", True), MountRequest("/c", "/c")]),
    ],
)
def test_mounts(text, mounts):
    assert list(parse(docker="a", container_mounts=text).mounts) == mounts


@pytest.mark.parametrize(
    "text", ["", ":", ":/b", "/a:b", "/a:/b:", "/a:/b:xx", "/a:/b:ro:z", "/a,", "/a:/", "/"]
)
def test_wrong_mounts(text):
    with pytest.raises(UserError, match="--container-mounts"):
        parse(docker="a", container_mounts=text)


@pytest.mark.parametrize("path", ["", "relative", "/a/../b"])
def test_wrong_workdir(path):
    with pytest.raises(UserError, match="--container-workdir"):
        parse(docker="a", container_workdir=path)


def test_home():
    assert parse(docker="a", container_mount_home="").mount_home is True
    assert parse(docker="a", no_container_mount_home="").mount_home is False
    with pytest.raises(UserError, match="contradict"):
        parse(docker="a", container_mount_home="", no_container_mount_home="")


def test_an_option_without_an_image():
    with pytest.raises(UserError, match="--container-workdir needs an image"):
        parse(container_workdir="/x")
