"""pycontrol/plaindata.py against the standard library's dataclasses: the same meaning."""

import dataclasses
import importlib
import pkgutil
import re

import pytest

import cgroup
import pycontrol
from pycontrol import plaindata


def classes(module):
    """The same classes, made by one of the two modules."""

    @module.dataclass(frozen=True)
    class Point:
        x: int
        y: int = 2
        seen: dict = module.field(default_factory=dict)
        secret: str = module.field(default="s", repr=False)

        def total(self) -> int:
            return self.x + self.y

    @module.dataclass(frozen=True)
    class Far(Point):
        name: str = "far"

    @module.dataclass
    class Counter:
        points: tuple
        count: int = 0
        note: str = module.field(default="", compare=False)

    return Point, Far, Counter


STANDARD, PLAIN = classes(dataclasses), classes(plaindata)

CALLS = [
    ((1,), {}),
    ((1, 3), {"seen": {"a": 1}}),
    ((), {"x": 1, "secret": "t"}),
    ((), {}),
    ((1, 2, {}, "s", "more"), {}),
    ((1,), {"x": 1}),
    ((1,), {"z": 1}),
]


def outcome(cls, args, kwargs):
    try:
        made = cls(*args, **kwargs)
    except TypeError:
        return TypeError
    words = repr(made).replace(".<locals>", "")
    return words, vars(made), made.total()


@pytest.mark.parametrize("args, kwargs", CALLS)
def test_made_alike(args, kwargs):
    assert outcome(PLAIN[0], args, kwargs) == outcome(STANDARD[0], args, kwargs)


@pytest.mark.parametrize("module, made", [(dataclasses, STANDARD), (plaindata, PLAIN)])
def test_meaning(module, made):
    Point, Far, Counter = made
    assert Point(1) == Point(1, 2) != Point(1, 3)
    assert Point(1) != Far(1)
    assert Point(1) != (1, 2, {}, "s")
    assert Point(1).seen is not Point(1).seen
    assert hash(Point(1, seen=())) == hash(Point(1, seen=()))
    assert "secret" not in repr(Point(1))
    with pytest.raises(module.FrozenInstanceError):
        Point(1).x = 2
    with pytest.raises(module.FrozenInstanceError):
        del Point(1).x
    assert [f.name for f in module.fields(Far)] == ["x", "y", "seen", "secret", "name"]
    assert Counter(()) == Counter((), note="other") != Counter((), 1)
    counter = Counter((Point(1), Far(2)))
    counter.count += 1
    with pytest.raises(TypeError):
        hash(counter)
    point = {"x": 1, "y": 2, "seen": {}, "secret": "s"}
    inner = (point, point | {"x": 2, "name": "far"})
    assert module.asdict(counter) == {"points": inner, "count": 1, "note": ""}
    assert module.replace(Point(1), y=5) == Point(1, 5)
    with pytest.raises(TypeError):
        module.replace(Point(1), z=5)


def test_metadata():
    Made = plaindata.dataclass(
        type("Made", (), {"__annotations__": {"a": "int"}, "a": plaindata.field(metadata={"m": 1})})
    )
    (only,) = plaindata.fields(Made)
    assert (only.name, only.type, only.metadata) == ("a", "int", {"m": 1})
    with pytest.raises(TypeError):
        Made()


@pytest.mark.parametrize("default", [[], {}, set()])
@pytest.mark.parametrize("module", [dataclasses, plaindata])
def test_no_default_is_shared(module, default):
    with pytest.raises(ValueError, match="default_factory"):
        module.dataclass(type("Made", (), {"__annotations__": {"a": "list"}, "a": default}))


@pytest.mark.parametrize(
    "body",
    [
        {"__annotations__": {"a": "int"}, "__post_init__": lambda self: None},
        {"__annotations__": {"a": "ClassVar[int]"}, "a": 1},
        {"__annotations__": {"a": "InitVar[int]"}},
    ],
)
def test_what_is_not_here_is_refused(body):
    with pytest.raises(TypeError, match="here"):
        plaindata.dataclass(type("Made", (), body))


def test_nobody_imports_the_other():
    """One of the standard's classes would bring `inspect` into each hook."""
    modules = [*pkgutil.iter_modules(pycontrol.__path__, "pycontrol.")]
    modules += pkgutil.iter_modules(cgroup.__path__, "cgroup.")
    for module in modules:
        with open(importlib.util.find_spec(module.name).origin) as file:
            found = re.search(r"^\s*(from|import) dataclasses", file.read(), re.MULTILINE)
        assert not found, module.name
