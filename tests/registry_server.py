"""A registry of a few lines for tests: strict where it matters, or as false as a test wants."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pycontrol.credentials import Credentials

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ALICE = Credentials("alice", "s3cret")
BASIC = "Basic " + base64.b64encode(b"alice:s3cret").decode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def handle_any(self):
        body, url = self.body(), urlsplit(self.path)
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization")))
        if url.path == "/token":
            return self.token(parse_qs(url.query or body.decode()))
        if self.server.wants and self.headers.get("Authorization") != self.server.wants:
            words = b'{"errors": [{"code": "UNAUTHORIZED", "message": "who?"}]}'
            return self.answer(401, words, WWW_Authenticate=self.server.challenge)
        method = "GET" if self.command == "HEAD" else self.command
        getattr(self, f"do_{method}_it")(url, body)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = handle_any

    def token(self, fields):
        assert fields["scope"] == [f"repository:a/b:{self.server.actions}"]
        known = self.headers.get("Authorization") == BASIC or fields.get("refresh_token") == ["idt"]
        if not known:
            return self.answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "who?"}]}')
        name = "access_token" if self.command == "POST" else "token"  # as the two protocols have it
        self.answer(200, json.dumps({name: "t0ken"}).encode())

    def do_GET_it(self, url, body):
        if url.path in self.server.sends:
            return self.server.sends[url.path](self, self.server.content[url.path])
        found = self.server.content.get(url.path)
        found = found() if callable(found) else found
        if url.path == "/v2/":
            return self.answer(200)
        if isinstance(found, str):
            return self.answer(307, Location=found)
        if found is None:
            words = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
            return self.answer(404, words)
        if self.server.failures:
            self.server.failures -= 1
            if not self.server.failure:
                self.close_connection = True
                return
            return self.answer(self.server.failure)
        told = {"Docker_Content_Digest": digest_of(found)} if self.server.tells else {}
        if "/manifests/" in url.path:
            told["Content_Type"] = json.loads(found).get("mediaType", "application/json")
        self.answer(200, found, **told)

    def do_POST_it(self, url, body):
        self.answer(202, Location=self.server.place)

    def do_PATCH_it(self, url, body):
        if url.path == "/garbage":
            self.wfile.write(b"HTTP/1.1 202 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            self.close_connection = True
            return
        self.server.upload = body
        self.answer(202, Location="/upload/1?_state=y")

    def do_PUT_it(self, url, body):
        if "/manifests/" in url.path:
            self.server.manifests[url.path] = body
            return self.answer(self.server.manifest_status, self.server.words)
        (digest,) = parse_qs(url.query)["digest"]
        blob = body or self.server.upload
        if digest != digest_of(blob):
            return self.answer(400)
        self.server.blobs[digest] = blob
        self.answer(201)


class Server(ThreadingHTTPServer):
    """Its attributes say how it behaves.

    content    path -> what a GET gives (or a function that says it), or where it leads
    sends      path -> what gives it in another way: called with the handler and the content
    wants      the Authorization that it asks for by `challenge`; "": none
    actions    for which a token must be asked
    tells      whether it tells the digest of what it gives
    failures   so many times it fails to give something
    failure    by this status; 0: it hangs up
    """

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.name = f"127.0.0.1:{self.server_port}"
        self.seen, self.blobs, self.manifests = [], {}, {}
        self.content: dict[str, bytes | str | Callable[[], bytes]] = {}
        self.sends: dict[str, Callable[[_Handler, bytes], None]] = {}
        self.wants = self.challenge = ""
        self.actions = "pull,push"
        self.tells, self.failures, self.failure = True, 0, 503
        self.place = "/upload/1?_state=x"
        self.manifest_status, self.words = 201, b""

    def want_password(self) -> None:
        self.wants, self.challenge = BASIC, 'Basic realm="r"'

    def want_token(self) -> None:
        self.wants = "Bearer t0ken"
        self.challenge = f'Bearer realm="http://{self.name}/token",service="s"'

    def put(self, repository: str, tag: str, config: bytes) -> str:
        """An image without layers; returns its digest."""
        manifest = json.dumps(
            {"schemaVersion": 2, "config": {"digest": digest_of(config)}, "layers": []}
        ).encode()
        digest = digest_of(manifest)
        for name in (tag, digest):
            self.content[f"/v2/{repository}/manifests/{name}"] = manifest
        self.content[f"/v2/{repository}/blobs/{digest_of(config)}"] = config
        return digest

    def copy(self, source: str, name: str, repository: str) -> bytes:
        """An image of another registry, without a tag; returns its manifest."""

        def get(path: str) -> bytes:
            asked = urllib.request.Request(
                f"http://{source}/v2/{name}/{path}", headers={"Accept": MANIFEST}
            )
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.read()

        tag = name.rpartition(":")[2]
        name = name.rpartition(":")[0]
        manifest = get(f"manifests/{tag}")
        self.content[f"/v2/{repository}/manifests/{digest_of(manifest)}"] = manifest
        parts = json.loads(manifest)
        for blob in (parts["config"]["digest"], *(layer["digest"] for layer in parts["layers"])):
            self.content[f"/v2/{repository}/blobs/{blob}"] = get(f"blobs/{blob}")
        return manifest

    def handle_error(self, request, client_address):
        """A client that breaks off is what some tests want."""


@contextlib.contextmanager
def running(port: int = 0) -> Iterator[Server]:
    server = Server(port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
