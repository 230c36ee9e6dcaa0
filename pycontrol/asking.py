"""Asks a registry as the job's owner: with that user's ids, credentials and rights.

Runs as root in the step's hook.  A child (pycontrol/as_user.py) looks up the
credentials, talks to the registry (registry.py) and sends a few words back:
root speaks with no registry, reads no user's file and runs no credential helper.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial

from pycontrol import as_user
from pycontrol.config import Config
from pycontrol.credentials import Credentials
from pycontrol.errors import Unreachable, UserError
from pycontrol.identity import Account
from pycontrol.origin import Origin
from pycontrol.patience import within
from pycontrol.plaindata import asdict
from pycontrol.route import Route

TYPE_CHECKING = False  # as in as_user.py
if TYPE_CHECKING:
    from pycontrol.registryhttp import Http

LONGEST = 64 << 10  # bytes of a child's answer
Question = Callable[["Http", Origin], "str | None"]


class Asker:
    """One registry, for one image and step.

    env    the job's: DOCKER_CONFIG, and PATH for helpers
    route  how this node gets there
    """

    def __init__(
        self,
        origin: Origin,
        account: Account,
        env: Mapping[str, str],
        route: Callable[[], Route],
        config: Config,
    ):
        self._origin = origin
        self._account = account
        self._env = env
        self._route = route
        self._seconds = config.registry_timeout
        self._found: list[Credentials | None] = []  # of the first look-up
        self._silent: Unreachable | None = None

    def names(self, tag: str) -> str:
        return self._ask("names", tag=tag)

    def reads(self, digest: str) -> None:
        self._ask("reads", digest=digest)

    def shows(self, digest: str, image_id: str) -> None:
        self._ask("shows", digest=digest, image_id=image_id)

    def credentials(self) -> Credentials | None:
        """The user's, for the engine's pull."""
        if not self._found:
            self._ask("")
        return self._found[0]

    def _ask(self, name: str, **words: str) -> str:
        """UserError with the registry's words; Unreachable at once, the second time.

        name: of a question in registry.py; "": the credentials are asked for alone
        """
        # Here: what a node has, and was confirmed, needs none of it.
        from pycontrol import credentials, registry, registryhttp  # noqa: F401

        if name and self._silent:
            raise self._silent
        question = partial(getattr(registry, name), **words) if name else None
        route = self._route() if question else Route()
        # Not for Unreachable: the user can stop the child, and so call for this.
        late = f"registry {self._origin.registry}: no answer within {self._seconds} s"
        with within(self._seconds, late, UserError):
            text = as_user.call(self._account, partial(self._work, question, route), LONGEST)
        answer = json.loads(text)
        found = answer["credentials"]
        self._found = [Credentials(**found) if found else None]
        if "silent" in answer:
            self._silent = Unreachable(answer["silent"])
            raise self._silent
        if "refused" in answer:
            raise UserError(answer["refused"])
        return str(answer["said"])

    def _work(self, question: Question | None, route: Route) -> bytes:
        """As the user."""
        from pycontrol import credentials
        from pycontrol.registryhttp import Http

        origin = self._origin
        known = self._found or [credentials.look_up(origin.registry, self._account.home, self._env)]
        answer: dict = {"credentials": asdict(known[0]) if known[0] else None, "said": ""}
        try:
            if question:
                patience = (self._seconds / 3, self._seconds / 3)
                http = Http(origin.registry, origin.repository, known[0], route, "pull", patience)
                answer["said"] = question(http, origin) or ""
        except Unreachable as error:
            answer["silent"] = str(error)
        except UserError as error:
            answer["refused"] = str(error)
        return json.dumps(answer).encode()
