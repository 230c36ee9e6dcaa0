"""The [[rule]] tables of the configuration, and the list of authorised images.

Pure: text and tables become the data of rules.py.  One definition of each key
for its check and for the admin's reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pycontrol import image, imagepattern, mounts
from pycontrol.errors import NodeError, UserError
from pycontrol.imagepattern import Pattern
from pycontrol.plaindata import dataclass
from pycontrol.rules import Rule

_COMMENT = re.compile(r"(^|\s)#.*")
CHOICES = ("required", "optional")
CONDITIONS = ("users", "groups", "accounts", "partitions")


@dataclass(frozen=True)
class Key:
    """One key of a rule; kind: "text", "texts", "patterns", "paths" or "choice"."""

    kind: str
    meaning: str
    example: str


KEYS = {
    "name": Key("text", "What refusals and `socker explain` call the rule.", '"team"'),
    "users": Key("texts", "Holds for these users only, by name or number.", '["alice"]'),
    "groups": Key("texts", "Holds for jobs with one of these Unix groups only.", '["lab"]'),
    "accounts": Key(
        "texts", "Holds for jobs of these Slurm accounts only; asks slurmctld once a job and node. "
        "Without `AccountingStorageEnforce=associations` users may name any account.",
        '["physics"]',
    ),
    "partitions": Key(
        "texts", "Holds for jobs in these partitions only; asks slurmctld once a job and node.",
        '["gpu"]',
    ),
    "deny_images": Key(
        "patterns", "Refuses images that one of these patterns covers.",
        '["docker.io/*", "@sha256:1c9a...", "/home"]',
    ),
    "allow_images": Key(
        "patterns", "Allows images that one of these patterns covers, if `deny_images` of the same "
        "rule does not.", '["docker.io/library/debian:12*", "registry.example.org/team", "/apps"]',
    ),
    "digest": Key(
        "choice", "`required`: images must be named by digest, which files have not; `optional`: "
        "they need not. With `allow_images` of the same rule: only those that these cover.",
        '"required"',
    ),
    "container": Key(
        "choice", "`required`: steps without a container are refused, where plugstack.conf says "
        "`native=check`; `optional`: they are not.", '"required"',
    ),
    "allow_sources": Key(
        "paths", "Users may mount what is at or below one of these paths.", '["/home", "/scratch"]'
    ),
    "deny_targets": Key(
        "paths", "Users may mount and unmount nothing at, below or above these paths of the "
        "container.", '["/etc", "/opt/site"]',
    ),
    "reason": Key("text", "Is shown with a refusal.", '"use the team\'s image"'),
}  # fmt: skip


def parse_rules(tables: object, where: str) -> tuple[Rule, ...]:
    """The rules in the order of the file; NodeError with the rule, the key and the fix."""
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise NodeError(f"{where}: rule is no list of tables: begin each rule with [[rule]]")
    return tuple(_rule(number, table, where) for number, table in enumerate(tables, start=1))


def _rule(number: int, table: dict, where: str) -> Rule:
    name = table.get("name")
    place = f"{where}: rule {number}" + (f" `{name}`" if isinstance(name, str) else "")
    values = {key: _value(key, value, place) for key, value in table.items()}
    if not values.keys() - {"name", "reason", *CONDITIONS}:
        effects = ", ".join(k for k in KEYS if k not in ("name", "reason", *CONDITIONS))
        raise NodeError(f"{place}: it says nothing: give one of {effects}")
    return Rule(number, **values)


def _value(key: str, value: object, place: str) -> object:
    if key not in KEYS:
        import difflib  # only for a mistake

        near = difflib.get_close_matches(key, KEYS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(KEYS)}"
        raise NodeError(
            f"{place}: {key} is not a key of a rule: {hint} (settings stand in front of the "
            "first [[rule]])"
        )
    kind, place = KEYS[key].kind, f"{place}: {key}"
    if kind == "text":
        return _text(value, place)
    if kind == "choice":
        if value not in CHOICES:
            raise NodeError(f"{place} = {value!r} is none of {', '.join(CHOICES)}")
        return value
    found = _texts(value, f"{place}", KEYS[key].example)
    return tuple({"patterns": _pattern, "paths": _path}.get(kind, _text)(t, place) for t in found)


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise NodeError(f"{place}: {value!r} is no text of one line")
    return value


def _texts(value: object, place: str, example: str) -> list:
    """An empty list would hold for nobody, or allow nothing: never what is meant."""
    if not isinstance(value, list) or not value:
        raise NodeError(f"{place} = {value!r} is no list: write it like {example}, or leave it out")
    return value


def _pattern(value: object, place: str) -> Pattern:
    text = _text(value, place)
    try:
        return imagepattern.parse_pattern(text)
    except UserError as error:
        raise NodeError(f"{place}: {error}") from error


def _path(value: object, place: str) -> str:
    text = _text(value, place)
    try:
        return mounts.absolute(text, place)
    except UserError as error:
        raise NodeError(str(error)) from error


def parse_list(text: str, where: str) -> tuple[image.Reference, ...]:
    """The list of authorised images: one reference a line; behind # comes a comment."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub("", line).strip()
        if line:
            found.append(_reference(line, f"{where}, line {number}"))
    return tuple(dict.fromkeys(found))


def _reference(text: str, place: str) -> image.Reference:
    try:
        return image.parse_reference(text, "/", place)
    except UserError as error:
        raise NodeError(str(error)) from error


def reference() -> Iterable[str]:
    """Every key for the admin's guide, as Markdown."""
    for name, key in KEYS.items():
        kind = {"text": "str", "choice": "str"}.get(key.kind, "list of str")
        yield f"#### {name} ({kind}, optional)\n\n{key.meaning}\n"
        yield f"```toml\n[[rule]]\n{name} = {key.example}\n```\n"
