"""The [[rule]] tables and the list of images: what is taken, and errors that name the fix."""

import pytest

from pycontrol import config, rulefile
from pycontrol.errors import NodeError
from pycontrol.image import Reference


def rules(text):
    return config.parse_file(text, "f.toml").get("rule", ())


def test_every_key():
    [rule] = rules(
        """
        [[rule]]
        name = "team"
        users = ["alice", "1002"]
        groups = ["lab"]
        accounts = ["physics"]
        partitions = ["gpu"]
        deny_images = ["docker.io/*"]
        allow_images = ["reg.example.org/team", "/apps"]
        digest = "required"
        container = "optional"
        allow_sources = ["/home//x/"]
        deny_targets = ["/etc"]
        reason = "because"
        """
    )
    assert (rule.number, rule.label, rule.reason) == (1, "rule 1 `team`", "because")
    assert rule.users == ("alice", "1002")
    assert [pattern.source for pattern in rule.allow_images] == ["registry", "file"]
    assert rule.allow_sources == ("/home/x",)


def test_in_the_order_of_the_file():
    found = rules('[[rule]]\ndigest="required"\n[[rule]]\nname="b"\ncontainer="required"\n')
    assert [rule.label for rule in found] == ["rule 1", "rule 2 `b`"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.toml: rule 1: it says nothing: give one of deny_images, allow_images, digest"),
        ('name = "x"\nusers = ["a"]', "f.toml: rule 1 `x`: it says nothing"),
        ('user = ["a"]', "f.toml: rule 1: user is not a key of a rule: did you mean users?"),
        ("zzz = 1", "f.toml: rule 1: zzz is not a key of a rule: known are name, users"),
        ("pull_timeout = 9", "(settings stand in front of the first [[rule]])"),
        ('allow_images = "a"', "f.toml: rule 1: allow_images = 'a' is no list: write it like"),
        ("allow_images = []", "allow_images = [] is no list: write it like"),
        ("users = []", "users = [] is no list"),
        ("users = [1]", "users: 1 is no text of one line"),
        ('users = [""]', "users: '' is no text of one line"),
        ('name = "a\\nb"', "name: 'a\\nb' is no text of one line"),
        ('allow_images = ["a b"]', "f.toml: rule 1: allow_images: `a b` is no pattern of images:"),
        ('deny_images = ["docker.io/x"]', "`docker.io/x` can be read in two ways"),
        ('digest = "yes"', "f.toml: rule 1: digest = 'yes' is none of required, optional"),
        ("container = true", "container = True is none of required, optional"),
        ('allow_sources = ["x"]', "f.toml: rule 1: allow_sources: x must be an absolute path"),
        ('deny_targets = ["/a/../b"]', "deny_targets: /a/../b must not contain `..`"),
    ],
)
def test_wrong_rules(text, message):
    with pytest.raises(NodeError) as error:
        rules(f"[[rule]]\n{text}\n")
    assert message in str(error.value)


def test_the_list_of_images():
    text = """
    # what we have looked at
    debian:bookworm
    reg.example.org/a@sha256:{}   # pinned
    debian:bookworm
    dockerd://tool:1
    /apps/x.sqsh
    """.format("a" * 64)
    assert rulefile.parse_list(text, "l") == (
        Reference("debian:bookworm"),
        Reference("reg.example.org/a@sha256:" + "a" * 64),
        Reference("tool:1", "engine"),
        Reference("/apps/x.sqsh", "file"),
    )


def test_a_line_that_is_no_image():
    with pytest.raises(NodeError, match=r"^/etc/list, line 2: `Debian` is not an image name"):
        rulefile.parse_list("a\nDebian\n", "/etc/list")


def test_every_key_is_in_the_reference():
    text = "\n".join(rulefile.reference())
    for name, key in rulefile.KEYS.items():
        assert f"#### {name} (" in text
        example = key.example.replace("1c9a...", "a" * 64)
        tables = f"[[rule]]\n{name} = {example}\ncontainer = 'optional'\n"
        if name == "container":
            tables = f"[[rule]]\n{name} = {example}\n"
        assert rules(tables)
