"""The check before anything is queued, and pyxis's variables."""

import pytest

from pycontrol import submit
from pycontrol.errors import UserError
from pycontrol.request import with_prefix


def test_right_options():
    submit.check({"docker": "a", "container-mounts": "/a:/b:ro"}, "/")


def test_without_a_container_nothing_is_looked_at():
    submit.check({"docker": "none", "container-mounts": "?"}, "/")


def test_wrong_options():
    with pytest.raises(UserError, match=r"--container-mounts: \? must"):
        submit.check({"docker": "a", "container-mounts": "/a:?"}, "/")


def test_options_as_they_come():
    assert submit.options_of(b"docker=a\0container-env=A=1,B\0") == {
        "docker": "a",
        "container-env": "A=1,B",
    }


def test_pyxis_variables():
    env = {
        "PYXIS_CONTAINER_IMAGE": "a",
        "PYXIS_CONTAINER_MOUNTS": "/a:/b",
        "PYXIS_CONTAINER_MOUNT_HOME": "0",
        "PYXIS_CONTAINER_WRITABLE": "true",
        "PYXIS_CONTAINER_REMAP_ROOT": "maybe",
        "HOME": "/h",
    }
    assert submit.pyxis_options(env) == {
        "container-image": "a",
        "container-mounts": "/a:/b",
        "no-container-mount-home": "",
        "container-writable": "",
    }


def test_pyxis_readonly_is_an_option_of_its_own():
    assert submit.pyxis_options({"PYXIS_CONTAINER_READONLY": "1"}) == {"container-readonly": ""}
    assert submit.pyxis_options({"PYXIS_CONTAINER_READONLY": "0"}) == {"container-writable": ""}


def test_what_is_given_wins():
    given = {"docker": "b", "container-readonly": ""}
    added = {"container-image": "a", "container-writable": "", "container-mounts": "/a"}
    assert submit.unless_given(added, given) == {"container-mounts": "/a"}


def test_messages_name_options_as_the_site_does():
    text = "--container-tmp and --no-container-mount-home and --docker but not --mem or a--dockerb"
    assert with_prefix(text, "") == text
    assert with_prefix(text, "x-") == (
        "--x-container-tmp and --no-container-mount-home and --x-docker but not --mem or a--dockerb"
    ).replace("--no-container", "--x-no-container")
