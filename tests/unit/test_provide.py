"""Which content a step runs, by its policy and by what is known: the table of registries.md."""

import pytest

from pycontrol.errors import Unreachable, UserError
from pycontrol.image import Image, Reference
from pycontrol.provide import Found, Provider

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NAME = "r.org/a"


def image(digest: str) -> Image:
    return Image(f"id of {digest}", (), "/", digests=(f"{NAME}@{digest}",) if digest else ())


class Node:
    """What an engine has, by name; pulls bring what `registry` has."""

    def __init__(self, **has):
        self.has = has
        self.pulled = []

    def find_image(self, reference):
        return self.has.get(reference.text)

    def image_by_id(self, name, called):
        return self.has.get(name)

    def bring(self, wanted):
        names = list(wanted.names())
        self.pulled.append(names)
        return wanted.present() if not wanted.afresh and wanted.present() else image(NEW)


class Registry:
    """A confirmer; says: what the tag names now."""

    def __init__(self, origin, says=NEW, public=False):
        self.origin, self.is_public, self.says = origin, public, says
        self.asked, self.confirmed = [], []

    def names(self, tag):
        self.asked.append(tag)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def still_names(self, tag, digest):
        return bool(tag) and self.says == digest

    def confirm(self, digest, image, afresh):
        self.confirmed.append((digest, afresh))

    def credentials(self):
        return None


def provide(node, policy="missing", text=f"{NAME}:1", source="registry", pinned="", **more):
    made = []

    def registry(origin):
        made.append(Registry(origin, **more))
        return made[-1]

    found = Provider(Reference(text, source, pinned), policy, node, node, registry).provide()
    return found, made[0] if made else None


def has(tagged: str = "", *digests: str) -> Node:
    """A node: what its tag is, and what it has by digest."""
    by_digest = {f"{NAME}@{d}": image(d) for d in (*digests, tagged) if d}
    return Node(**({f"{NAME}:1": image(tagged)} if tagged else {}), **by_digest)


def test_a_tag_is_what_the_registry_says_now():
    node = has(OLD)
    found, registry = provide(node)
    assert (found.digest, registry.asked) == (NEW, ["1"])
    assert node.pulled == [[f"{NAME}:1", f"{NAME}@{NEW}"]]


def test_what_the_node_has_of_it_is_not_pulled():
    for policy in ("missing", "always"):
        node = has(NEW)
        found, registry = provide(node, policy)
        assert found.digest == NEW
        assert not node.pulled
        assert registry.confirmed == [(NEW, policy == "always")]


def test_the_jobs_digest_is_not_asked_for():
    found, registry = provide(has(NEW, OLD), pinned=OLD)
    assert (found.digest, registry.asked) == (OLD, [])


def test_the_jobs_digest_is_pulled_by_itself_once_the_tag_has_moved():
    node = has(NEW)
    provide(node, pinned=OLD)
    assert node.pulled == [[f"{NAME}@{OLD}"]]


def test_one_in_the_name_is_meant():
    node = has()
    found, registry = provide(node, text=f"{NAME}:1@{NEW}", pinned=OLD)
    assert found.name == f"{NAME}@{NEW}"
    assert registry.asked == []


def test_never_takes_what_is_there_and_asks_whether_it_may_be_read():
    found, registry = provide(has(OLD), "never")
    assert (found.digest, registry.asked, registry.confirmed) == (OLD, [], [(OLD, False)])
    for node, pinned in ((has(), ""), (has(OLD), NEW)):
        with pytest.raises(UserError, match="this node does not have it"):
            provide(node, "never", pinned=pinned)


def test_a_registry_that_is_away():
    away = Unreachable("away")
    found, registry = provide(has(OLD), says=away)
    assert (found.digest, registry.confirmed) == (OLD, [(OLD, False)])
    for node, policy in ((has(), "missing"), (has(OLD), "always")):
        with pytest.raises(UserError, match=r"cannot be pulled: away$"):
            provide(node, policy, says=away)


def test_a_registry_that_refuses():
    with pytest.raises(UserError, match="cannot be pulled: no: check the name"):
        provide(has(OLD), says=UserError("no"))


def test_public_images():
    found, registry = provide(has(OLD), public=True)
    assert (found.digest, registry.asked) == (OLD, [])
    for node, policy in ((has(), "missing"), (has(OLD), "always")):
        found, registry = provide(node, policy, public=True)
        assert (found.digest, registry.asked) == (NEW, [])
        assert node.pulled == [[f"{NAME}:1"]]


def test_an_image_that_was_made_on_the_node():
    node = Node(**{f"{NAME}:1": image("")})
    for policy in ("missing", "never"):
        found, registry = provide(node, policy)
        assert (found.name, registry.asked, registry.confirmed) == ("", [], [])
    assert provide(node, "always")[0].digest == NEW


def test_dockerd_asks_the_registry_that_the_image_came_from():
    both = Image("i", (), "/", digests=(f"x.org/b@{OLD}", f"{NAME}@{NEW}", "odd", "<none>@<none>"))
    found, _ = provide(Node(**{f"{NAME}:1": both}), "never", source="engine")
    assert found.name == f"{NAME}@{NEW}"
    found, _ = provide(Node(**{"mine:1": both}), "never", text="mine:1", source="engine")
    assert found.name == f"x.org/b@{OLD}"


def test_dockerd_never_lets_an_origin_pass_that_is_not_understood():
    odd = Image("i", (), "/", digests=("r.org/a@sha512:1",))
    with pytest.raises(UserError, match="whose name is not understood"):
        provide(Node(**{"mine:1": odd}), "never", text="mine:1", source="engine")


def test_dockerd_tells_the_first_refusal(monkeypatch):
    def confirm(self, digest, image, afresh):
        raise UserError(f"no from {self.origin.registry}")

    monkeypatch.setattr(Registry, "confirm", confirm)
    with pytest.raises(UserError, match=r"image r.org/a:1: .* is not confirmed: no from r.org"):
        provide(has(OLD), "never", source="engine")


@pytest.mark.parametrize(
    ("tagged", "pinned", "says", "stands"),
    [
        (OLD, "", NEW, True),  # nobody's word but the registry's and the node's
        (OLD, OLD, NEW, True),
        ("", NEW, NEW, True),
        (NEW, OLD, NEW, False),
        ("", OLD, Unreachable("away"), False),
    ],
)
def test_whether_the_tag_stands_for_the_jobs_digest(tagged, pinned, says, stands):
    node = has(tagged, OLD, NEW)
    reference = Reference(f"{NAME}:1", "registry", pinned)
    provider = Provider(reference, "missing", node, node, lambda o: Registry(o, says))
    assert provider.tag_stands(Found(image(pinned or OLD), f"{NAME}@{pinned or OLD}")) == stands
