"""HTTP as a registry speaks it: who we are, where we may send that, and for how long.

Runs as the job's owner (push.py).  The registry is the user's choice and not
trusted: credentials go to it alone, or to the token service that it names,
and over TLS alone but for this machine; every wait ends; answers are bounded;
nothing is taken from the environment (proxies, netrc).
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from pycontrol.credentials import HUB, Credentials
from pycontrol.errors import UserError

HUB_HOST = "registry-1.docker.io"
CONNECT, ANSWER = 15, 300  # seconds; the last bytes of a blob make a registry verify it all
LARGEST_ANSWER = 64 << 10  # bytes
LONGEST_WORDS = 300  # characters of a registry's words
SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
SITE_CAS = "/etc/docker/certs.d"  # where the site puts a registry's own CA, for Docker
# Visible ASCII but for the backslash, which urlsplit and urllib3 understand differently.
_PLAIN = re.compile(r"[!-\[\]-~]+")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Answer:
    status: int
    url: str
    headers: requests.structures.CaseInsensitiveDict
    body: bytes


class Http:
    """One registry, for one repository."""

    def __init__(self, registry: str, repository: str, credentials: Credentials | None):
        self._registry = registry
        self._scope = f"repository:{repository}:pull,push"
        self._credentials = credentials
        self._authorization = ""
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = _authorities(registry)
        self._base = self._find()

    def send(self, method: str, url: str, wanted: tuple[int, ...], data=b"", type="") -> Answer:
        """One request; `url` may be a path.  UserError with the registry's words."""
        url = self._base + url if url.startswith("/") else url
        headers = {"Content-Type": type} if type else {}
        if _origin(url) == _origin(self._base) and self._authorization:
            headers["Authorization"] = self._authorization
        answer = self._request(method, url, headers, data)
        # A stream is spent; and a token may have become too old meanwhile.
        if answer.status == 401 and isinstance(data, bytes) and self._log_in(answer):
            headers["Authorization"] = self._authorization
            answer = self._request(method, url, headers, data)
        if answer.status not in wanted:
            raise UserError(self._refused(answer))
        return answer

    def _find(self) -> str:
        """https; on this machine also http, as Docker does.  No credential is sent."""
        host = HUB_HOST if self._registry == HUB else self._registry
        schemes = ("https", "http") if _is_local(host) else ("https",)
        for scheme in schemes:
            try:
                answer = self._request("GET", f"{scheme}://{host}/v2/", {}, b"")
            except UserError:
                if scheme == schemes[-1]:
                    raise
                continue
            if answer.status == 401:
                self._log_in(answer, f"{scheme}://{host}")
            return f"{scheme}://{host}"
        raise AssertionError("one of the schemes returned or raised")

    def _request(self, method: str, url: str, headers: dict, data) -> Answer:
        scheme, host = _origin(url)
        if scheme != "https" and not (_is_local(self._registry) and _is_local(host)):
            raise UserError(f"registry {self._registry}: it leads to an address without TLS")
        try:
            with self._session.request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **headers},
                data=data,
                timeout=(CONNECT, ANSWER),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = response.raw.read(LARGEST_ANSWER, decode_content=False)
                return Answer(response.status_code, url, response.headers, body)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            # By class alone: the text holds the URL, whose parameters may be secrets.
            raise UserError(f"registry {self._registry}: {_why(error)}") from None

    # --- who we are ---

    def _log_in(self, answer: Answer, base: str = "") -> bool:
        """Whether there is something to answer the challenge with."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "bearer":
            parameters = dict(_PARAMETER.findall(rest))
            self._authorization = f"Bearer {self._token(parameters)}"
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
            answer = self._request("POST", realm, {}, fields)
        else:
            headers = {"Authorization": credentials.basic()} if credentials else {}
            url = requests.Request("GET", realm, params=fields).prepare().url
            answer = self._request("GET", url, headers, b"")
        if answer.status != 200:
            raise UserError(self._refused(answer))
        return _token_of(answer.body, self._registry)

    def _refused(self, answer: Answer) -> str:
        words = _words(answer.body) or f"status {answer.status}"
        text = f"registry {self._registry} refuses: {words}"
        if answer.status not in (401, 403):
            return text
        if self._credentials:
            return f"{text}: check that your account may push there"
        return f"{text}: run `docker login {self._registry}`, no credentials were found"


def _authorities(registry: str) -> str | bool:
    site = f"{SITE_CAS}/{registry}/ca.crt"
    return next((path for path in (site, SYSTEM_CAS) if os.access(path, os.R_OK)), True)


def _origin(url: str) -> tuple[str, str]:
    """(scheme, host) of an address, which may be the registry's word."""
    try:
        if not _PLAIN.fullmatch(url):
            raise ValueError(url)
        parts = urlsplit(url)
    except ValueError:
        raise UserError("the registry leads to an address that is none") from None
    return parts.scheme, parts.netloc


def _is_local(netloc: str) -> bool:
    """Docker's insecure registries by default: 127.0.0.0/8, localhost, ::1."""
    host = netloc.rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time: try again"
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate is not trusted on this node: tell the admin"
    if isinstance(error, requests.ConnectionError):
        return "it cannot be reached from this node, or closed the connection"
    return f"no sensible answer ({type(error).__name__})"


def _words(body: bytes) -> str:
    """What the registry says, without what is not text."""
    try:
        first = json.loads(body)["errors"][0]
        text = f"{first.get('code', '')}: {first.get('message', '')}"
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return ""
    return "".join(c for c in text if c.isprintable())[:LONGEST_WORDS]


def _token_of(body: bytes, registry: str) -> str:
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer["access_token"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        token = None
    # It becomes a header: no line break may be in it.
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UserError(f"registry {registry}: its token service gives no token") from None
    return token
