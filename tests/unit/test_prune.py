"""Which images go: ours, not in use, the one not used for longest first."""

import os

import pytest

from pycontrol import imageuse, limits, prune
from pycontrol.prune import GOES, STAYS, Cached, Wish

NOW = 1_000_000.0
DAY = 86400


def image(name: str, age: float | None, own: int = 10, **more) -> Cached:
    fields = {"brought": True, "ours": (name,), **more}
    used = None if age is None else NOW - age
    return Cached(image_id=name, names=(name,), size=own, own=own, used=used, **fields)


def going(images, total, wish) -> list[str]:
    return [d.image.image_id for d in prune.plan(images, total, wish, NOW) if d.what == GOES]


def test_by_age():
    images = [image("new", DAY), image("old", 3 * DAY), image("older", 9 * DAY)]
    assert going(images, 30, Wish(2 * DAY, None)) == ["older", "old"]
    assert going(images, 30, Wish(None, None)) == []


def test_by_size_the_oldest_first_and_no_more_than_needed():
    images = [image("c", DAY), image("a", 3 * DAY), image("b", 2 * DAY)]
    assert going(images, 30, Wish(None, 30)) == []
    assert going(images, 30, Wish(None, 29)) == ["a"]
    assert going(images, 30, Wish(None, 15)) == ["a", "b"]
    assert going(images, 30, Wish(None, 1)) == ["a", "b", "c"]


def test_what_others_share_is_not_freed():
    images = [image("a", 3 * DAY, own=1), image("b", 2 * DAY)]
    assert going(images, 100, Wish(None, 95)) == ["a", "b"]


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (image("x", 9 * DAY, in_use="container abc uses it"), "container abc uses it"),
        (image("x", 9 * DAY, brought=False, ours=()), "socker did not bring it"),
        (image("x", 9 * DAY, ours=()), "socker did not bring it as x"),
        (image("x", 60), "used 60 s ago"),
        (image("x", None), "when it was used is not known"),
    ],
)
def test_what_stays_whatever_the_limits(kept, why):
    assert [(d.what, d.why) for d in prune.plan([kept], 99, Wish(1, 1), NOW)] == [(STAYS, why)]


def test_all_takes_others_images_but_none_in_use():
    images = [
        image("theirs", 9 * DAY, brought=False, ours=()),
        image("busy", 9 * DAY, in_use="job 1 uses it"),
    ]
    assert going(images, 99, Wish(DAY, None, everything=True)) == ["theirs"]


def test_names():
    entry = {
        "Id": "sha256:1",
        "RepoTags": ["busybox:1", "mine:2"],
        "RepoDigests": ["busybox@sha256:" + 64 * "a", "mine@sha256:" + 64 * "b"],
        "Size": 100,
        "SharedSize": 40,
    }
    found = prune.cached(entry, 1.0, ["docker.io/library/busybox:1"], "")
    assert found.ours == ("busybox:1", "busybox@sha256:" + 64 * "a")
    assert found.own == 60
    assert prune.plan([found], 0, Wish(1, None), NOW)[0].why == "socker did not bring it as mine:2"


def test_a_tag_that_has_gone_to_another_image():
    """The engine keeps the digest: it was brought with the tag."""
    entry = {"Id": "i", "RepoTags": None, "RepoDigests": ["r/a@sha256:" + 64 * "a"], "Size": 1}
    found = prune.cached(entry, 1.0, ["r/a:1"], "")
    assert found.ours == ("r/a@sha256:" + 64 * "a",)
    nameless = {"Id": "i", "RepoTags": ["<none>:<none>"], "RepoDigests": None, "Size": 1}
    assert prune.cached(nameless, 1.0, ["r/a:1"], "").names == ()
    assert not prune.cached(nameless, 1.0, [], "").brought


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-21T12:00:00.123456789Z", 1795262400.0),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_times_of_the_engine(text, seconds):
    assert prune.seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 30 * DAY), ("12h", 43200), ("90m", 5400), ("2w", 14 * DAY), ("30", None), ("0d", None),
     ("1.5d", None), ("unlimited", None)],
)  # fmt: skip
def test_ages(text, seconds):
    assert limits.seconds_of(text) == seconds


def test_records(tmp_path, monkeypatch):
    monkeypatch.setattr(imageuse, "FOLDER", tmp_path / "lib/.images")
    monkeypatch.setattr(imageuse.trusted, "problem_with", lambda status: None)
    assert imageuse.last("sha256:1") is None
    assert imageuse.names("sha256:1") == []
    imageuse.note("sha256:1")
    assert imageuse.names("sha256:1") == [], "used is not brought"
    for name in ("a:1", "b:1", "a:1"):
        imageuse.note_brought("sha256:1", name)
    assert imageuse.names("sha256:1") == ["a:1", "b:1"]
    os.utime(tmp_path / "lib/.images/1", (5, 5))
    assert imageuse.last("sha256:1") == 5
    imageuse.note("sha256:1")
    assert imageuse.last("sha256:1") > 5
    assert (tmp_path / "lib").stat().st_mode & 0o777 == 0o700, "writable roots are there, too"
    imageuse.forget("sha256:1")
    assert imageuse.last("sha256:1") is None
    imageuse.note_brought("../evil", "a")
    assert [path.name for path in (tmp_path / "lib/.images").iterdir()] == [".._evil"]
