"""Names of images and the patterns that name them, against oracles that read no text.

Names and patterns are drawn as their parts; what covers what is decided on these.
"""

import re
from dataclasses import dataclass

import docker.auth
import docker.utils
from hypothesis import given
from hypothesis import strategies as st

from pycontrol import imagename, rulefile
from pycontrol.errors import NodeError, UserError
from pycontrol.image import Reference, parse_reference
from pycontrol.imagename import Name, full_name
from pycontrol.imagepattern import parse_pattern

DIGESTS = ["sha256:" + letter * 64 for letter in "abc"]
HOSTS = ["reg.org", "reg.org.evil.org", "evil.org", "a.reg.org", "localhost", "10.0.0.1", "[::1]"]
PORTS = [None, 80, 443, 5000, 5001]
TAGS = ["1", "1.2", "10", "latest", "v1"]
PART = st.sampled_from(["team", "team-evil", "teamx", "x", "reg.org", "library", "a_b", "a.b"])
PATH = st.lists(PART, min_size=1, max_size=3).map(tuple)


@dataclass(frozen=True)
class Parts:
    """`port` is None for the standard ones; digest and tag: None where not given."""

    host: str
    port: int | None
    path: tuple[str, ...]
    tag: str | None
    digest: str | None


def standard(port: int | None) -> int | None:
    return None if port in (80, 443) else port


@st.composite
def names(draw):
    """(how it is written, its parts)"""
    host, port, path = draw(st.sampled_from(HOSTS)), draw(st.sampled_from(PORTS)), draw(PATH)
    tag = draw(st.none() | st.sampled_from(TAGS))
    digest = draw(st.none() | st.sampled_from(DIGESTS))
    written = host.upper() if "." in host and draw(st.booleans()) else host
    written += "" if port is None else f":{'0' * draw(st.integers(0, 2))}{port}"
    written += "/" + "/".join(path) + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    written = draw(st.sampled_from(["", "docker://"])) + written
    shown = None if digest else tag or "latest"
    return written, Parts(host, standard(port), path, shown, digest)


@st.composite
def patterns(draw):
    """Of the same world, so that many fit, with stars anywhere."""

    def starred(text: str) -> str:
        if not draw(st.booleans()):
            return text
        start = draw(st.integers(0, len(text)))
        return f"{text[:start]}*{text[draw(st.integers(start, len(text))) :]}"

    host = draw(st.sampled_from(HOSTS))
    host = host if host.startswith("[") or host == "localhost" else starred(host)
    port, path = draw(st.sampled_from(PORTS)), draw(st.lists(PART, min_size=1, max_size=3))
    path = tuple(starred(part) for part in path)
    tag = starred(draw(st.sampled_from(TAGS))) if draw(st.booleans()) else None
    digest = draw(st.sampled_from([None, None, *DIGESTS]))
    written = host + ("" if port is None else f":{port}") + "/" + "/".join(path)
    written += (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    return written, Parts(host, standard(port), path, tag, digest)


def like(text: str, pattern: str) -> bool:
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text))


def is_registry(host: str, port: int | None) -> bool:
    """Else it is the first part of a path on Docker Hub."""
    known = host in ("localhost", "*") or host.startswith("[")
    return known or "." in host or port is not None


def covers(pattern: Parts, name: Parts) -> bool:
    """docs/admin/policy.md, component by component."""
    exact = pattern.tag is not None or pattern.digest is not None
    if exact and len(pattern.path) != len(name.path):
        return False
    return (
        like(name.host, pattern.host)
        and (name.port == pattern.port or (pattern.host == "*" and pattern.port is None))
        and len(pattern.path) <= len(name.path)
        and all(map(like, name.path, pattern.path))
        and pattern.digest in (None, name.digest)
        and (
            pattern.tag is None
            or pattern.digest is not None
            or (name.tag is not None and like(name.tag, pattern.tag))
        )
    )


@given(names(), patterns())
def test_a_pattern_covers_what_its_parts_cover(name, pattern):
    written, parts = name
    text, wanted = pattern
    if not is_registry(wanted.host, wanted.port):
        return
    found = parse_pattern(text)
    made = full_name(parse_reference(written))
    assert found.covers(made, denying=False) == covers(wanted, parts), (text, written)
    assert found.covers(made, denying=True) >= covers(wanted, parts)


@given(names())
def test_a_name_is_its_parts(name):
    written, parts = name
    made = full_name(parse_reference(written))
    host = parts.host if parts.port is None else f"{parts.host}:{parts.port}"
    assert made == Name("registry", host, parts.path, parts.tag, parts.digest)


@given(names())
def test_the_engine_understands_the_name_that_is_judged(name):
    """By Docker's own reading of it, in its SDK."""
    text = parse_reference(name[0]).text
    repository, tag = docker.utils.parse_repository_tag(text)
    host, path = docker.auth.resolve_repository_name(repository)
    made = full_name(Reference(text))
    assert tuple(path.partition(":")[0].split("/")) == made.path
    assert imagename.registry_name(host) == made.registry
    assert tag == (made.digest or made.tag)


ODD = st.text(st.sampled_from("abAZ09./:@-_#*~ \n\0[]%é\udcff") | st.characters(), max_size=30)
PIECES = st.lists(
    st.sampled_from(
        ["docker://", "dockerd://", "reg.org", ":5000", "/", "team", "*", ":", "1", "@", DIGESTS[0],
         "..", "sha256", "socker.local", "docker.io", "index.", "#", "user@", "[::1]", "-", "A"]
    ),
    max_size=8,
).map("".join)  # fmt: skip
LONG = st.tuples(st.sampled_from(["a", "a/", ":", "*", "-", "a.", "0", "[", "#"]), st.just(65536))


def refused(work) -> str | None:
    try:
        work()
    except (UserError, NodeError) as error:
        return str(error)
    return None


@given(ODD | PIECES | LONG.map(lambda pair: pair[0] * pair[1]))
def test_any_text_is_a_name_or_refused_and_stays_what_it_is(text):
    """Normalising twice is as once, whatever is written in front of it."""
    if refused(lambda: parse_reference(text)) is not None:
        return
    reference = parse_reference(text)
    made = full_name(reference)
    assert reference.source in ("registry", "engine", "file")
    assert full_name(parse_reference(made.text)) == made
    assert full_name(Reference(reference.text, reference.source)) == made
    assert made.registry != "socker.local" or ":" in reference.text
    if reference.source == "file":
        assert made.text.startswith("/") and ".." not in made.path
        return
    assert made.registry and all(made.path) and (made.tag is None) == (made.digest is not None)
    assert made.path[-1] != "sha256" or len(made.path) > 1


@given(ODD | PIECES | LONG.map(lambda pair: pair[0] * pair[1]))
def test_any_text_is_a_pattern_or_refused(text):
    if refused(lambda: parse_pattern(text)) is None:
        pattern = parse_pattern(text)
        for name in ("debian", f"reg.org/team@{DIGESTS[0]}", "/apps/x", "dockerd://a"):
            made = full_name(parse_reference(name))
            assert pattern.covers(made, denying=True) >= pattern.covers(made, denying=False)


COMMENT = st.sampled_from(["", " ", "  # team's", "\t#*", " # debian"])


@given(st.lists(st.tuples(names() | st.just(None), COMMENT)))
def test_a_list_has_the_names_in_it_and_no_others(lines):
    text = "".join((name[0] if name else "") + comment + "\n" for name, comment in lines)
    listed = {full_name(reference) for reference in rulefile.parse_list(text, "/l")}
    assert listed == {full_name(parse_reference(name[0])) for name, _ in lines if name}
