"""Small requests to Docker Engine: JSON over its socket.

The Docker SDK can do the same, but its import takes longer than a container's whole
set-up.  HTTP/1.0: the answer ends with the connection, and is never in chunks, so
there is little to be parsed.  Every request has a time-out; every failure becomes an
EngineError that says what the engine said.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from pycontrol.errors import EngineError, NotHere
from pycontrol.plaindata import dataclass

LARGEST = 64 << 20  # bytes of an answer
PART = 1 << 16


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in small letters
    data: bytes


@dataclass(frozen=True)
class Wire:
    """url: unix:///PATH or tcp://HOST:PORT; timeout: seconds for a request."""

    url: str
    timeout: int

    def get(self, doing: str, path: str, query: Mapping[str, str] | None = None):
        """The JSON that is at a path; errors call the request `doing`."""
        return self.read(doing, self.ask(doing, "GET", path, query))

    def read(self, doing: str, answer: Answer):
        """The JSON of an answer."""
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise EngineError(f"engine: {doing}: its answer is no JSON: {error}") from error

    def ask(
        self,
        doing: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: dict | None = None,
        fine: tuple[int, ...] = (),
    ) -> Answer:
        """One request; `fine`: statuses that are no error."""
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        answer = self._exchange(doing, _request(method, target, body))
        if answer.status < 300 or answer.status in fine:
            return answer
        text = f"engine: {doing}: {_explanation(answer)}"
        raise NotHere(text) if answer.status == 404 else EngineError(text)

    def _exchange(self, doing: str, request: bytes) -> Answer:
        try:
            with self._connect() as connection:
                connection.sendall(request)
                return _parsed(_read_all(connection, time.monotonic() + self.timeout))
        except TimeoutError as error:
            raise EngineError(
                f"engine {self.url}: {doing}: no answer in time: try again, and tell "
                "the admin if it stays so"
            ) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EngineError(
                f"engine {self.url} cannot be reached on this node: tell the admin "
                f"that Docker must run here ({reason})"
            ) from error

    def _connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        if parts.scheme in ("tcp", "http") and parts.hostname:
            address = (parts.hostname, parts.port or 2375)
            return socket.create_connection(address, timeout=self.timeout)
        if parts.scheme not in ("unix", "http+unix"):
            raise ValueError("an engine's address begins with unix:// or tcp://")
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(self.timeout)
            connection.connect("/" + f"{parts.netloc}{parts.path}".lstrip("/"))
        except BaseException:
            connection.close()
            raise
        return connection


def _request(method: str, target: str, body: dict | None) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {target} HTTP/1.0\r\nHost: engine\r\nUser-Agent: socker\r\n"
    if method == "POST":
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return head.encode("ascii") + b"\r\n" + data


def _read_all(connection: socket.socket, end: float) -> bytes:
    found = bytearray()
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(PART)
        if not part:
            return bytes(found)
        found += part
        if len(found) > LARGEST:
            raise ValueError("its answer is too long")


def _parsed(text: bytes) -> Answer:
    """ValueError for what is no HTTP, or was cut off."""
    head, separator, data = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not separator or len(words) < 2 or not words[0].startswith("HTTP/1."):
        raise ValueError(f"it does not speak HTTP: {first[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = headers.get("content-length", "")
    if length.isdecimal() and data and len(data) != int(length):
        raise ValueError("its answer was cut off")
    return Answer(int(words[1]), headers, data)


def _explanation(answer: Answer) -> str:
    """The engine's own words, which are in JSON."""
    try:
        return str(json.loads(answer.data)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        text = answer.data.decode(errors="replace").strip()
        return text or f"status {answer.status}"
