"""A site's rules for people: their order and the verdicts (`socker explain`), and which
images a user may run (`socker images`).

Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pycontrol import image, imagename
from pycontrol.errors import UserError
from pycontrol.identity import Account
from pycontrol.imagepattern import Pattern
from pycontrol.judge import Judge, Verdict
from pycontrol.plaindata import dataclass
from pycontrol.rules import NOWHERE, Place, Rule, Rules
from pycontrol.srunline import Line

CONDITIONS = ("users", "groups", "accounts", "partitions")
EFFECTS = (
    "deny_images", "allow_images", "digest", "container", "allow_sources", "deny_targets",
)  # fmt: skip
_WORDS = {True: "holds", False: "does not hold", None: "may hold"}
_VERDICTS = {True: "allowed", False: "REFUSED", None: "depends"}


def places(line: Line, environ: Mapping[str, str]) -> list[Place]:
    """As the command line, or the job around it, says; on the node Slurm says it."""
    said = {o.name: o.value for o in line.options if o.name in ("account", "partition")}
    account = said.get("account", environ.get("SLURM_JOB_ACCOUNT"))
    partitions = said.get("partition", environ.get("SLURM_JOB_PARTITION"))
    return [Place(account, part) for part in (partitions.split(",") if partitions else [None])]


def lines(judges: Iterable[Judge], verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Nothing where a site has no rules."""
    judges = tuple(judges)
    rules = judges[0].rules
    if not rules.rules and rules.listed is None and all(v.allowed for v in verdicts):
        return
    yield "rules, in order; of each matter the first that holds and speaks of it decides"
    for rule in rules.rules:
        yield f"  {rule.label}{_conditions(rule)}: {_holding(rule, judges)}"
        for name in EFFECTS:
            if getattr(rule, name):
                yield f"    {name}: {_shown(getattr(rule, name))}"
    if rules.listed is not None:
        yield f"  the list of images, {rules.list_file}: {len(rules.listed)} of them"
    yield "verdicts"
    for verdict in verdicts:
        yield f"  {_VERDICTS[verdict.allowed]:8} {verdict.text}"


def _holding(rule: Rule, judges: Iterable[Judge]) -> str:
    answers = dict.fromkeys(rule.holds(judge.account, judge.place) for judge in judges)
    return ", ".join(_WORDS[answer] for answer in answers)


def _conditions(rule: Rule) -> str:
    said = [f"{name} {_shown(getattr(rule, name))}" for name in CONDITIONS if getattr(rule, name)]
    return f" ({'; '.join(said)})" if said else ""


def _shown(value: str | Iterable[str | Pattern]) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(part.text if isinstance(part, Pattern) else part for part in value)


def as_json(judges: Iterable[Judge]) -> list[dict]:
    judges = tuple(judges)
    return [
        {
            "rule": rule.label,
            "holds": _holding(rule, judges),
            **{name: _shown(getattr(rule, name)) for name in (*CONDITIONS, *EFFECTS)
               if getattr(rule, name)},
        }
        for rule in judges[0].rules.rules
    ]  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """Images that a user may run, or may not.

    image  a full name, or a pattern
    rule   which says so, or the list
    only   "" or the accounts and partitions in which it does
    """

    image: str
    allowed: bool
    rule: str
    only: str = ""


def is_limited(rules: Rules) -> bool:
    """Whether there is anything about images."""
    return rules.listed is not None or any(r.allow_images or r.deny_images for r in rules.rules)


def authorised(rules: Rules, account: Account) -> tuple[Entry, ...]:
    """The patterns of the rules that hold, in the order in which they are asked."""
    found = [
        Entry(pattern.text, allowed, rule.label, _only(rule))
        for rule in rules.rules
        if rule.holds(account, NOWHERE) is not False
        for allowed, patterns in ((False, rule.deny_images), (True, rule.allow_images))
        for pattern in patterns
    ]
    return tuple(dict.fromkeys(found))


def names(rules: Rules, account: Account) -> tuple[str, ...] | None:
    """The images of the list that may be run, as the engine writes them; None: all images may."""
    if not is_limited(rules):
        return None
    judge = Judge(rules, account, NOWHERE)
    found = [
        r for r in rules.listed or () if judge.image(imagename.full_name(r)).allowed is not False
    ]
    return tuple(dict.fromkeys(image.familiar(reference.text) for reference in found))


def allows(rules: Rules, account: Account) -> Callable[[str], bool]:
    """Tells of an image's name whether some rule may allow it."""
    judge = Judge(rules, account, NOWHERE)

    def may_run(name: str) -> bool:
        try:
            reference = image.parse_reference(name)
        except UserError:  # a file's tag, or none
            return False
        return (
            is_limited(rules) and judge.image(imagename.full_name(reference)).allowed is not False
        )

    return may_run


def _only(rule: Rule) -> str:
    said = [(name, getattr(rule, name)) for name in ("accounts", "partitions")]
    return "; ".join(f"{name} {', '.join(values)}" for name, values in said if values)
