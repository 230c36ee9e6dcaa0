"""One name for all ways to write an image, and what patterns cover."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontrol import imagepattern
from pycontrol.errors import UserError
from pycontrol.image import parse_reference
from pycontrol.imagename import components, full_name, is_below
from pycontrol.imagepattern import parse_pattern

A, B = ("sha256:" + letter * 64 for letter in "ab")


def name(text):
    return full_name(parse_reference(text))


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("debian:12.1", "docker.io/library/debian:12.1"),
        ("docker.io/debian", "docker.io/library/debian:latest"),
        ("docker://library/debian", "docker.io/library/debian:latest"),
        ("index.docker.io/library/debian", "docker.io/library/debian:latest"),
        ("registry-1.docker.io/library/debian", "docker.io/library/debian:latest"),
        ("Docker.IO:443/debian", "docker.io/library/debian:latest"),
        ("nvidia/cuda:12", "docker.io/nvidia/cuda:12"),
        ("Reg.Example.org:443/a/b", "reg.example.org/a/b:latest"),
        ("reg.example.org:80/a", "reg.example.org/a:latest"),
        ("reg.example.org:05000/a", "reg.example.org:5000/a:latest"),
        (f"reg.example.org/a:1@{A}", f"reg.example.org/a@{A}"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
        ("dockerd://tool:2", "dockerd://docker.io/library/tool:2"),
        ("user@reg.example.org#a:1", "reg.example.org/a:1"),
        ("/apps/../data//x.sqsh", "/data/x.sqsh"),
    ],
)
def test_full_names(text, full):
    assert name(text).text == full


def covers(pattern, text, denying=False):
    return parse_pattern(pattern).covers(name(text), denying)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("reg.example.org/team", "reg.example.org/team-evil/x"),
        ("reg.example.org/team", "reg.example.org/teamx"),
        ("reg.example.org/team", "reg.example.org.evil.org/team/x"),
        ("reg.example.org/team", "evil.org/reg.example.org/team/x"),
        ("reg.example.org/team", "reg.example.org:5000/team/x"),
        ("reg.example.org/team", "docker.io/team/x"),
        ("reg.example.org/team/*", "reg.example.org/team:1"),
        ("reg.example.org/team:1", "reg.example.org/team/x:1"),
        ("reg.example.org/team:1", "reg.example.org/team:10"),
        ("reg.example.org/team:1.*", "reg.example.org/team:10"),
        ("reg.example.org/team:1", f"reg.example.org/team@{A}"),
        ("reg.example.org/team:1", f"reg.example.org/team:1@{A}"),
        (f"reg.example.org/team@{A}", "reg.example.org/team"),
        (f"reg.example.org/team@{A}", f"reg.example.org/team@{B}"),
        ("team", "reg.example.org/team"),
        ("debian", "debian/evil"),
        ("debian", "evil/debian"),
        ("*.example.org", "example.org.evil.net/x"),
        ("reg.*/team", "reg.org:5000/team"),
        ("dockerd://*", "debian"),
        ("*", "/apps/x"),
        ("*:1", "/apps/x"),
        ("*:1", "reg.org/a:2"),
        ("myreg:5000/", "myreg:5000"),
        ("/apps", "/apps2/x"),
        ("/apps", "debian"),
        ("/apps/x", "/apps"),
    ],
)
def test_what_a_pattern_does_not_allow(pattern, text):
    assert not covers(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("reg.example.org/team", "REG.example.org:443/team/deep/down:1"),
        ("reg.example.org/team", f"reg.example.org/team:1@{A}"),
        ("reg.example.org/team/", "reg.example.org/team"),
        ("reg.example.org/team/*", "reg.example.org/team/x/y"),
        ("reg.example.org/team/**", "reg.example.org/team/x"),
        ("reg.example.org/t*m:1.*", "reg.example.org/team:1.2"),
        (f"reg.example.org/team@{A}", f"reg.example.org/team:any@{A}"),
        (f"@{A}", f"reg.example.org/team@{A}"),
        ("reg.example.org", "reg.example.org/x"),
        ("*.example.org:5000/x", "a.b.example.org:5000/x"),
        ("*/team", "anywhere.org/team/x"),
        ("*", "debian"),
        ("*/", "reg.org/a/b"),
        ("*:1*", "reg.org/a/b:12"),
        ("dockerd://*:1", "dockerd://reg.org/a:1"),
        ("myreg:5000/", "myreg:5000/a/b"),
        ("debian", "index.docker.io/library/debian:12"),
        ("index.docker.io/library", "debian"),
        ("docker.io/*", "nvidia/cuda"),
        ("localhost:5000", "localhost:5000/a"),
        ("dockerd://*", "dockerd://debian"),
        ("debian", "dockerd://debian"),
        ("/apps//images/", "/apps/images/x/y.sqsh"),
        ("/", "/apps/images"),
    ],
)
def test_what_a_pattern_allows(pattern, text):
    assert covers(pattern, text)
    assert covers(pattern, text, denying=True)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("reg.example.org/team:1", f"reg.example.org/team:2@{A}"),
        ("reg.example.org/team", "reg.example.org:5000/team"),
        ("127.0.0.1:5000/x", "localhost:5000/x"),
        ("127.0.0.1:5000/x", "127.1:5000/x"),
        ("127.0.0.1:5000/x", "0x7f000001:5000/x"),
        ("127.0.0.1:5000/x", "2130706433:5000/x"),
        ("127.0.0.1:5000/x", "[::1]:5000/x"),
        ("127.0.0.1:5000/x", "[::ffff:7f00:9]:5000/x"),
        ("10.0.0.1/x", "10.1/x"),
    ],
)
def test_what_cannot_be_known_is_denied_and_not_allowed(pattern, text):
    assert covers(pattern, text, denying=True)
    assert not covers(pattern, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no pattern"),
        ("a b", "is no pattern"),
        ("A/b", "is no pattern"),
        ("ftp://x", "is no pattern"),
        ("a:", "is no pattern"),
        ("a//b", "is no pattern"),
        ("reg.org:x/a", "is no pattern"),
        ("@sha256:1", "is no digest"),
        ("a@", "is no digest"),
        ("docker.io/nvidia", "two ways: write docker.io/library/nvidia for that image, or"),
        ("nvidia/", "two ways: write docker.io/library/nvidia for that image, or"),
        ("**", "two ways: write docker.io/library/"),
        ("**:1", "two ways: write docker.io/library/"),
        ("index.docker.io/nvidia:1", "two ways: write docker.io/library/nvidia:1 for"),
        ("ä", "is no pattern"),
        ("a\n", "is no pattern"),
    ],
)
def test_no_patterns(text, words):
    with pytest.raises(UserError, match=words):
        parse_pattern(text)


# --- properties ------------------------------------------------------------------------

LETTERS = "abc-._0123456789ABC:/@[]~*"
PART = st.text("ab0", min_size=1, max_size=3)
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join)
REGISTRY = st.sampled_from(["reg.org", "Reg.ORG", "reg.org:443", "reg.org:80", "REG.org:0443"])
TAIL = st.sampled_from(["", ":1", ":latest", f"@{A}", f":1@{A}", f":2@{A}"])


@given(REGISTRY, PATH, TAIL, REGISTRY)
def test_a_denied_repository_stays_denied_however_it_is_written(written, path, tail, pattern):
    for scheme in ("", "docker://", "dockerd://"):
        assert covers(f"{pattern}/{path}", f"{scheme}{written}/{path}{tail}", denying=True)


@given(st.sampled_from(["", "docker.io/", "index.docker.io/", "INDEX.docker.io:443/"]), PATH, TAIL)
def test_docker_hub_has_many_names(prefix, path, tail):
    plain = "library/" * ("/" not in path) + path
    assert covers(f"docker.io/{plain}", f"{prefix}{path}{tail}", denying=True)
    assert covers(f"docker.io/{plain}", f"{prefix}{path}{tail}")


@given(PATH, PATH)
def test_component_by_component(prefix, path):
    """Never by characters: what is covered begins with the same components."""
    assert covers(f"reg.org/{prefix}", f"reg.org/{path}") == (
        path == prefix or path.startswith(prefix + "/")
    )


@given(st.text(LETTERS, max_size=30))
def test_a_full_name_is_its_own_full_name(text):
    try:
        reference = parse_reference(text)
    except UserError:
        return
    once = full_name(reference)
    assert full_name(parse_reference(once.text)) == once
    again = parse_pattern(once.text) if "/" in once.text else None
    assert again is None or again.covers(once, denying=False)


@given(st.text(LETTERS, max_size=20), st.text(LETTERS, max_size=20))
def test_whatever_is_allowed_would_be_denied_by_the_same_pattern(pattern, text):
    try:
        made, found = parse_pattern(pattern), name(text)
    except UserError:
        return
    assert made.covers(found, denying=True) or not made.covers(found, denying=False)


@given(st.text())
def test_any_text_is_a_pattern_or_refused(text):
    try:
        parse_pattern(text).covers(name("debian"), denying=True)
    except UserError as error:
        assert str(error).startswith("`")


@pytest.mark.parametrize("part", ["*", "a/", "a*", "/", ":", "@", "a", "\0"])
def test_a_pattern_that_is_too_long(part):
    with pytest.raises(UserError, match="too long"):
        parse_pattern(part * 65536)


def test_stars_do_not_take_for_ever():
    pattern = "reg.org/" + "*a" * 200 + "*b"
    assert not covers(pattern, "reg.org/" + "a" * 500)


GLOB = st.text("ab*", max_size=8)


@given(GLOB, st.text("ab", max_size=8))
def test_stars(pattern, text):
    wanted = re.fullmatch(pattern.replace("*", ".*"), text)
    assert imagepattern.is_like(text, pattern) == bool(wanted)


@given(st.text("ab./", max_size=20), st.text("ab./", max_size=20))
def test_paths(one, other):
    """`..` and repeated slashes change nothing, and what is below begins with the prefix."""
    assert components("/" + "/".join(components(one))) == components(one)
    if is_below(components(one), components(other)):
        prefix = "/" + "/".join(components(other))
        assert ("/" + "/".join(components(one)) + "/").startswith(prefix.rstrip("/") + "/")
