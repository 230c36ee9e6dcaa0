"""HTTP as a registry speaks it: who we are, where we may send that, and for how long.

Runs as the job's owner (push.py, registry.py), and in srun.  The registry is the
user's choice and not trusted: credentials go to it alone, or to the token
service that it names, and over TLS alone but for this machine and what the
site's engine takes as insecure; every wait ends; answers are bounded; nothing
but proxies, and these in srun alone, is taken from the environment.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Mapping
from functools import partial
from urllib.parse import urlencode, urljoin, urlsplit

from pycontrol import retry
from pycontrol.credentials import Credentials
from pycontrol.errors import HungUp, Unreachable, UserError
from pycontrol.imagename import HUB
from pycontrol.plaindata import dataclass
from pycontrol.registrywords import refusal, token, trouble
from pycontrol.route import DIRECT, Route, is_loopback, trust

HUB_HOST = "registry-1.docker.io"
CONNECT, ANSWER = 15, 300  # seconds; the last bytes of a blob make a registry verify it all
LARGEST_ANSWER = 64 << 10  # bytes
MOST_REDIRECTS = 5
ALWAYS = {"User-Agent": "socker", "Accept-Encoding": "identity"}
FORM = "application/x-www-form-urlencoded"
# Visible ASCII but for the backslash, which parsers of URLs understand differently.
_PLAIN = re.compile(r"[!-\[\]-~]+")
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Answer:
    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


class Http:
    """One registry, for one repository.

    actions   what is asked for: pull, or pull,push
    patience  seconds for a connection, and between two signs of life
    """

    def __init__(
        self,
        registry: str,
        repository: str,
        credentials: Credentials | None,
        route: Route = DIRECT,
        actions: str = "pull,push",
        patience: tuple[float, float] = (CONNECT, ANSWER),
    ):
        self._registry = registry
        self._host = HUB_HOST if registry == HUB else registry
        self._actions = actions
        self._scope = f"repository:{repository}:{actions}"
        self._credentials = credentials
        self._route = route
        self._connect, self._answer = patience
        self._insecure = route.is_insecure(registry)
        self._authorization = ""
        self._base = self._find()

    def send(
        self,
        method: str,
        url: str,
        wanted: tuple[int, ...],
        data: bytes | Iterable[bytes] = b"",
        type: str = "",
        accept: str = "",
        longest: int = LARGEST_ANSWER,
    ) -> Answer:
        """One request; `url` may be a path.  UserError with the registry's words.

        longest: bytes of the answer that are of interest.
        """
        url = self._base + url if url.startswith("/") else url
        headers = {"Content-Type": type} if type else {}
        headers |= {"Accept": accept} if accept else {}
        answer = self._insist(method, url, headers | self._who(url), data, longest)
        # A stream is spent; and a token may have become too old meanwhile.
        if answer.status == 401 and isinstance(data, bytes) and self._log_in(answer):
            answer = self._request(method, url, headers | self._who(url), data, longest)
        if answer.status not in wanted:
            raise self._refusal(answer)
        return answer

    def fetch(self, url: str, accept: str, longest: int) -> bytes:
        """What is there; a registry may keep its blobs elsewhere, and lead there."""
        for _ in range(MOST_REDIRECTS):
            wanted = (200, 301, 302, 303, 307, 308)
            answer = self.send("GET", url, wanted, accept=accept, longest=longest)
            if answer.status == 200:
                return answer.body
            url = place_of(answer)
        raise UserError(f"registry {self._registry}: it leads from place to place without end")

    def _find(self) -> str:
        """https; where the engine does so, also http.  No credential is sent."""
        if not self._insecure:
            return f"https://{self._host}"
        with contextlib.suppress(UserError):
            return self._find_by("https")
        return self._find_by("http")

    def _find_by(self, scheme: str) -> str:
        self._request("GET", f"{scheme}://{self._host}/v2/", {}, b"")
        return f"{scheme}://{self._host}"

    def _insist(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | Iterable[bytes],
        most: int,
    ) -> Answer:
        """A question is put again to a registry that is busy, fails or hangs up."""
        for pause in retry.pauses(retry.QUESTION) if method in ("GET", "HEAD") else ():
            with contextlib.suppress(HungUp):
                answer = self._request(method, url, headers, data, most)
                if not retry.is_passing(answer.status):
                    return answer
            time.sleep(pause)
        return self._request(method, url, headers, data, most)

    def _request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | Iterable[bytes],
        longest: int = LARGEST_ANSWER,
    ) -> Answer:
        from http.client import HTTPException  # with it the parsers of mail

        scheme, host = _origin(url)
        own = self._insecure and host == self._host
        if scheme != "https" and not (own or (is_loopback(self._registry) and is_loopback(host))):
            raise UserError(f"registry {self._registry}: it leads to an address without TLS")
        try:
            target, extra = self._route.target(url)
            trusting = partial(trust, self._registry, own) if scheme == "https" else None
            connection = self._route.connected(scheme, host, self._connect, trusting)
            with contextlib.closing(connection):
                connection.sock.settimeout(self._answer)
                connection.request(method, target, data or None, ALWAYS | headers | extra)
                response = connection.getresponse()
                return Answer(response.status, url, response.headers, response.read(longest))
        except (ConnectionResetError, BrokenPipeError) as error:
            raise HungUp(f"registry {self._registry}: {trouble(error)}") from None
        except (HTTPException, OSError, ValueError) as error:
            # By class alone: the text may hold the URL, whose parameters may be secrets.
            raise Unreachable(f"registry {self._registry}: {trouble(error)}") from None

    # --- who we are ---

    def _who(self, url: str) -> dict[str, str]:
        known = self._authorization and _origin(url) == _origin(self._base)
        return {"Authorization": self._authorization} if known else {}

    def _log_in(self, answer: Answer) -> bool:
        """Whether there is something to answer the challenge with; the registry's alone."""
        if _origin(answer.url) != _origin(self._base):
            return False
        kind, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        if kind.lower() == "bearer":
            self._authorization = f"Bearer {self._token(dict(_PARAMETER.findall(rest)))}"
        elif kind.lower() == "basic" and self._credentials:
            self._authorization = self._credentials.basic()
        else:
            return False
        return True

    def _token(self, challenge: dict[str, str]) -> str:
        """From the token service that the registry names; anonymous without credentials."""
        realm, service = challenge.get("realm", ""), challenge.get("service", "")
        fields = {"service": service, "scope": self._scope, "client_id": "socker"}
        credentials = self._credentials
        if credentials and credentials.identity_token:
            fields |= {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            data = urlencode(fields).encode()
            answer = self._request("POST", realm, {"Content-Type": FORM}, data)
        else:
            headers = {"Authorization": credentials.basic()} if credentials else {}
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(fields)}"
            answer = self._request("GET", url, headers, b"")
        if answer.status != 200:
            raise self._refusal(answer)
        return token(answer.body, self._registry)

    def _refusal(self, answer: Answer) -> UserError:
        words = refusal(answer.status, answer.body)
        if retry.is_passing(answer.status):
            return Unreachable(f"registry {self._registry} fails: {words}: try again later")
        text = f"registry {self._registry} refuses: {words}"
        if answer.status not in (401, 403):
            return UserError(text)
        if self._credentials:
            may = "push there" if "push" in self._actions else "read it"
            return UserError(f"{text}: check that your account may {may}")
        login = f"run `docker login {self._registry}`, no credentials were found"
        return UserError(f"{text}: {login}")


def place_of(answer: Answer) -> str:
    """Where an answer leads."""
    where = answer.headers.get("Location")
    if not where:
        raise UserError("the registry leads to a place that it does not name: it is no registry")
    try:
        return urljoin(answer.url, where)
    except ValueError:
        raise UserError("the registry leads to an address that is none") from None


def _origin(url: str) -> tuple[str, str]:
    """(scheme, host) of an address, which may be the registry's word."""
    try:
        if not _PLAIN.fullmatch(url):
            raise ValueError(url)
        parts = urlsplit(url)
        if not _PLACE.fullmatch(parts.netloc):  # of another, each reader makes something else
            raise ValueError(url)
    except ValueError:
        raise UserError("the registry leads to an address that is none") from None
    return parts.scheme, parts.netloc
