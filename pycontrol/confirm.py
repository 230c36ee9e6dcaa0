"""Whether the job's owner may run what this node holds of a registry's image.

Runs as root in the step's hook.  A cached image was pulled with somebody's
credentials: so before anybody runs it, its registry must say that this user may
read it, unless the site gives it to everybody (public_images).  What it said is
remembered for a short time (confirmed.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pycontrol import imagename, imagepattern
from pycontrol.asking import Asker
from pycontrol.config import Config
from pycontrol.confirmed import Confirmed
from pycontrol.credentials import Credentials
from pycontrol.errors import Unreachable, UserError
from pycontrol.image import Image, Reference
from pycontrol.origin import Origin


def is_public(origin: Origin, patterns: Iterable[str]) -> bool:
    """Whether the site gives everybody what its nodes hold of this repository."""
    name = imagename.full_name(Reference(origin.name))
    return any(imagepattern.parse_pattern(p).covers(name, denying=False) for p in patterns)


class Confirmer:
    """For one image and one step.  since: when the step began to ask (seconds, epoch)."""

    def __init__(
        self, origin: Origin, uid: int, asker: Asker, config: Config, root: Path, since: float
    ):
        self.origin = origin
        self.is_public = is_public(origin, config.public_images)
        self._uid = uid
        self._asker = asker
        self._rule = config.unreachable_registry
        self._records = Confirmed(root / "confirmed", config.confirmation_time)
        self._since = since
        self._named: dict[str, str] = {}  # tag -> digest, as the registry says now

    def names(self, tag: str) -> str:
        """The digest that a tag stands for; the user may read it."""
        if tag not in self._named:
            asked = f"{self.origin.name}:{tag}"
            self._named[tag] = self._ask(asked, lambda: self._asker.names(tag))
            self._records.note(self._uid, self.origin.at(self._named[tag]))
        return self._named[tag]

    def still_names(self, tag: str, digest: str) -> bool:
        """The same where it does not matter whether there is an answer."""
        try:
            return bool(tag) and self.names(tag) == digest
        except UserError:
            return False

    def confirm(self, digest: str, image: Image, afresh: bool) -> None:
        """UserError unless the user may run the image that the node has under the digest.

        afresh: what was confirmed for an earlier step does not count.
        """
        name = self.origin.at(digest)
        is_shown = self._records.is_shown(name, image.image_id)
        if self.is_public or (is_shown and self._is_confirmed(digest, afresh)):
            return
        try:
            if is_shown:
                self._ask(name, lambda: self._asker.reads(digest))
            else:
                self._ask(name, lambda: self._asker.shows(digest, image.image_id))
        except Unreachable:
            if afresh or not is_shown or not self._may_go_on(name):
                raise
        else:
            self._records.note(self._uid, name)
            self._records.note_shown(name, image.image_id)

    def credentials(self) -> Credentials | None:
        return self._asker.credentials()

    def _is_confirmed(self, digest: str, afresh: bool) -> bool:
        """By this step itself, or for an earlier one."""
        if digest in self._named.values():
            return True
        return not afresh and self._records.is_fresh(self._uid, self.origin.at(digest))

    def _may_go_on(self, name: str) -> bool:
        """What the site says of a registry that cannot be reached."""
        was = self._rule == "confirmed" and self._records.was_ever(self._uid, name)
        return was or self._rule == "allow"

    def _ask(self, name: str, ask: Callable[[], str | None]) -> str:
        """Who waited for another step of the user's gets the refusal that that one got."""
        if told := self._records.refusal(self._uid, name, self._since):
            raise UserError(told)
        try:
            return ask() or ""
        except Unreachable:
            raise
        except UserError as error:
            self._records.note(self._uid, name, str(error))
            raise
