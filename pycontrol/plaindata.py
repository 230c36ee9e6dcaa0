"""`dataclass`, as of the standard library, for programs that live a tenth of a second.

The standard one writes, and compiles, the source of six methods for each class, and
imports `inspect` to do so: a third of what a hook's start costs with its fifty classes
(docs/developer/performance.md).  Here all classes share the same methods.  What is
here means the same as there: tests/unit/test_plaindata.py compares the two.  What is
not here is refused where the class is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

MISSING = object()
_FIELDS = "__plain_fields__"


class FrozenInstanceError(AttributeError):
    """Somebody assigned to what does not change."""


class Field:
    """One attribute: what a class says of it."""

    __slots__ = ("compare", "default", "default_factory", "metadata", "name", "repr", "type")

    def __init__(self, default, default_factory, repr: bool, compare: bool, metadata: Mapping):
        self.default, self.default_factory = default, default_factory
        self.repr, self.compare, self.metadata = repr, compare, metadata

    def value(self, owner: str):
        """Of an instance that was not given one."""
        if self.default_factory is not MISSING:
            return self.default_factory()
        if self.default is MISSING:
            raise TypeError(f"{owner}() is not told `{self.name}`")
        return self.default


def field(
    *,
    default=MISSING,
    default_factory=MISSING,
    repr: bool = True,
    compare: bool = True,
    metadata: Mapping | None = None,
) -> Field:
    return Field(default, default_factory, repr, compare, metadata or {})


def dataclass(cls: type | None = None, /, *, frozen: bool = False) -> Callable | type:
    """Make of annotated names the fields of a class: `@dataclass`, `@dataclass(frozen=True)`."""
    if cls is None:
        return lambda decorated: _make(decorated, frozen)
    return _make(cls, frozen)


def fields(of) -> tuple[Field, ...]:
    """Of a class or an instance."""
    return tuple(getattr(of, _FIELDS).values())


def replace(instance, /, **changes):
    """A copy with some fields changed."""
    return type(instance)(**{**_values(instance), **changes})


def asdict(instance) -> dict:
    """Names and values, the same for those within."""
    return {name: _plain(value) for name, value in _values(instance).items()}


def _plain(value):
    if hasattr(type(value), _FIELDS):
        return asdict(value)
    if isinstance(value, dict):
        return type(value)((_plain(k), _plain(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(entry) for entry in value)
    return value


def _values(instance) -> dict:
    return {name: getattr(instance, name) for name in getattr(instance, _FIELDS)}


def _make(cls: type, frozen: bool) -> type:
    if hasattr(cls, "__post_init__"):
        raise TypeError(f"{cls.__qualname__}: nobody calls a __post_init__ here")
    found: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        found |= vars(base).get(_FIELDS, {})
    for name, kind in vars(cls).get("__annotations__", {}).items():
        found[name] = _field_of(cls, name, kind)
    setattr(cls, _FIELDS, found)
    methods = {"__init__": _init, "__repr__": _repr, "__eq__": _eq, "__hash__": None}
    if frozen:
        methods |= {"__hash__": _hash, "__setattr__": _refuse, "__delattr__": _refuse}
    for name, method in methods.items():
        if name not in vars(cls):
            setattr(cls, name, method)
    return cls


def _field_of(cls: type, name: str, kind: str) -> Field:
    given = vars(cls).get(name, MISSING)
    described = given if isinstance(given, Field) else field(default=given)
    described.name, described.type = name, kind
    if "ClassVar" in str(kind) or "InitVar" in str(kind):
        raise TypeError(f"{cls.__qualname__}.{name}: here all that is annotated is a field")
    if type(described.default).__hash__ is None:
        raise ValueError(f"{cls.__qualname__}.{name}: all would share it: use default_factory")
    if described is given:  # what stands in the class is its default, or nothing
        delattr(cls, name)
        if described.default is not MISSING:
            setattr(cls, name, described.default)
    return described


def _init(self, *args, **kwargs):
    cls, known = type(self), getattr(self, _FIELDS)
    if len(args) > len(known):
        raise TypeError(f"{cls.__qualname__}() takes {len(known)} values, not {len(args)}")
    values = dict(zip(known, args, strict=False))
    for name, value in kwargs.items():
        if name not in known or name in values:
            raise TypeError(f"{cls.__qualname__}() has no `{name}`, or is told it twice")
        values[name] = value
    for name, described in known.items():
        if name not in values:
            values[name] = described.value(cls.__qualname__)
    self.__dict__.update(values)


def _repr(self) -> str:
    shown = [f for f in fields(self) if f.repr]
    words = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in shown)
    return f"{type(self).__qualname__}({words})"


def _eq(self, other) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _compared(self) == _compared(other)


def _hash(self) -> int:
    return hash(_compared(self))


def _compared(self) -> tuple:
    return tuple(getattr(self, f.name) for f in fields(self) if f.compare)


def _refuse(self, name: str, *value):
    raise FrozenInstanceError(f"{type(self).__qualname__}.{name} does not change")
