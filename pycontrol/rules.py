"""A site's rules: who may run which images, and what of the node may be shown inside.

Pure data, made by rulefile.py of the configuration and applied by judge.py.
docs/admin/policy.md is the admin's view.
"""

from __future__ import annotations

from pycontrol import identity
from pycontrol.identity import Account
from pycontrol.image import Reference
from pycontrol.imagepattern import Pattern
from pycontrol.plaindata import dataclass


@dataclass(frozen=True)
class Place:
    """Where a job runs, in Slurm's words; None: not known (before it is queued)."""

    account: str | None = None
    partition: str | None = None


NOWHERE = Place()  # for rules that do not ask for it


@dataclass(frozen=True)
class Rule:
    """One [[rule]] table; an empty condition holds for everybody.

    digest, container    "required", "optional", or "" where it says nothing of it
    """

    number: int
    name: str = ""
    reason: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    deny_images: tuple[Pattern, ...] = ()
    allow_images: tuple[Pattern, ...] = ()
    digest: str = ""
    container: str = ""
    allow_sources: tuple[str, ...] = ()
    deny_targets: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"rule {self.number}" + (f" `{self.name}`" if self.name else "")

    def holds(self, account: Account, place: Place) -> bool | None:
        """For a job; None where its place, or the name of a group of it, is not known."""
        groups = {str(part) for group in account.groups for part in group}
        nameless = any(identity.is_nameless(group) for group in account.groups)
        in_group = _one_of(groups, self.groups)
        answers = (
            _one_of({account.name, str(account.uid)}, self.users),
            in_group or nameless,
            place.account is None or _one_of({place.account}, self.accounts),
            place.partition is None or _one_of({place.partition}, self.partitions),
        )
        if not all(answers):
            return False
        unknown = (
            not in_group
            or (self.accounts and place.account is None)
            or (self.partitions and place.partition is None)
        )
        return None if unknown else True


def _one_of(found: set[str], wanted: tuple[str, ...]) -> bool:
    return not wanted or bool(found.intersection(wanted))


@dataclass(frozen=True)
class Rules:
    """All of a site's; `listed`: the list of authorised images, None without one."""

    rules: tuple[Rule, ...] = ()
    listed: tuple[Reference, ...] | None = None
    list_file: str = ""

    def need_place(self) -> bool:
        """Whether a verdict may depend on the job's account or partition."""
        return any(rule.accounts or rule.partitions for rule in self.rules)
