"""A push, against a registry of a few lines that is strict where it matters."""

import base64
import gzip
import hashlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from pycontrol import push, registryhttp
from pycontrol.credentials import Credentials
from pycontrol.errors import UserError
from pycontrol.image import Image

IMAGE = Image("sha256:0", ("A=b",), "/")
ALICE = Credentials("alice", "s3cret")
BASIC = "Basic " + base64.b64encode(b"alice:s3cret").decode()


class Registry(BaseHTTPRequestHandler):
    """Keeps what is pushed; `server.wants` is the Authorization that it asks for."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
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
            return self.answer(401, WWW_Authenticate=self.server.challenge)
        getattr(self, f"do_{self.command}_it")(url, body)

    do_GET = do_POST = do_PATCH = do_PUT = handle_any

    def token(self, fields):
        assert fields["scope"] == ["repository:a/b:pull,push"]
        known = self.headers.get("Authorization") == BASIC or fields.get("refresh_token") == ["idt"]
        if not known:
            return self.answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "who?"}]}')
        self.answer(200, b'{"token": "t0ken"}')

    def do_GET_it(self, url, body):
        self.answer(200)

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
        if digest != f"sha256:{hashlib.sha256(blob).hexdigest()}":
            return self.answer(400)
        self.server.blobs[digest] = blob
        self.answer(201)


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A push that breaks off is what some tests want."""


@pytest.fixture
def registry():
    server = Server(("127.0.0.1", 0), Registry)
    server.name = f"127.0.0.1:{server.server_port}"
    server.seen, server.blobs, server.manifests = [], {}, {}
    server.wants = server.challenge = ""
    server.place = "/upload/1?_state=x"
    server.manifest_status, server.words = 201, b""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pushed(registry, credentials=None, data=b"layer" * 1_000_000) -> str:
    http = registryhttp.Http(registry.name, "a/b", credentials)
    return push.push(io.BytesIO(data), IMAGE, http, "a/b", "1")


def bearer(registry):
    registry.wants = "Bearer t0ken"
    registry.challenge = f'Bearer realm="http://{registry.name}/token",service="s"'


def test_what_arrives(registry):
    digest = pushed(registry)
    manifest_json = registry.manifests["/v2/a/b/manifests/1"]
    assert digest == f"sha256:{hashlib.sha256(manifest_json).hexdigest()}"
    manifest = json.loads(manifest_json)
    (layer,) = manifest["layers"]
    blob = registry.blobs[layer["digest"]]
    assert len(blob) == layer["size"]
    tar = gzip.decompress(blob)
    assert tar == b"layer" * 1_000_000
    config = json.loads(registry.blobs[manifest["config"]["digest"]])
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(tar).hexdigest()}"]
    assert config["config"]["Env"] == ["A=b"]


def test_basic_authentication(registry):
    registry.wants, registry.challenge = BASIC, 'Basic realm="r"'
    pushed(registry, ALICE)
    assert registry.manifests


@pytest.mark.parametrize("credentials", [ALICE, Credentials(identity_token="idt")])
def test_a_token(registry, credentials):
    bearer(registry)
    pushed(registry, credentials)
    assert registry.manifests


def test_a_token_that_is_refused(registry):
    bearer(registry)
    with pytest.raises(UserError) as error:
        pushed(registry, Credentials("alice", "wr0ng"))
    assert str(error.value) == (
        f"registry {registry.name} refuses: UNAUTHORIZED: who?: "
        "check that your account may push there"
    )


def test_no_credentials(registry):
    registry.wants, registry.challenge = BASIC, 'Basic realm="r"'
    with pytest.raises(UserError, match=f"run `docker login {registry.name}`, no credentials"):
        pushed(registry)


def test_a_refusal_in_the_registrys_words(registry):
    registry.manifest_status = 400
    registry.words = b'{"errors": [{"code": "TAG_INVALID", "message": "no\\u001b[2J"}]}'
    with pytest.raises(UserError) as error:
        pushed(registry)
    assert str(error.value) == f"registry {registry.name} refuses: TAG_INVALID: no[2J"


def test_a_source_that_fails_makes_no_image(registry):
    class Source:
        def read(self, size):
            raise UserError("cut short")

    http = registryhttp.Http(registry.name, "a/b", None)
    with pytest.raises(UserError, match="cut short"):
        push.push(Source(), IMAGE, http, "a/b", "1")
    assert not registry.manifests


def test_a_place_elsewhere_gets_no_credentials(registry):
    registry.wants, registry.challenge = BASIC, 'Basic realm="r"'
    http = registryhttp.Http(registry.name, "a/b", ALICE)
    other = f"http://localhost:{registry.server_port}/v2/"
    registry.wants = ""
    http.send("GET", other, (200,))
    assert registry.seen[-1] == ("GET", "/v2/", None)


@pytest.mark.parametrize(
    "where", ["", "http://[", "http://r.org/x", "http://r.org\\@127.0.0.1/", "/a b"]
)
def test_a_place_that_cannot_be(registry, where):
    registry.place = where
    with pytest.raises(UserError, match=r"the registry|without TLS"):
        pushed(registry)


def test_an_answer_that_is_no_http(registry):
    registry.place = "/garbage"
    with pytest.raises(UserError, match=r"no sensible answer|closed the connection"):
        pushed(registry)


def test_no_registry_there():
    with pytest.raises(UserError, match=r"registry 127.0.0.1:1: it cannot be reached"):
        registryhttp.Http("127.0.0.1:1", "a", None)


@pytest.mark.parametrize(
    ("registry", "url"),
    [("r.org", "http://r.org/x"), ("r.org", "http://127.0.0.1/x"), ("127.0.0.1", "http://r.org/x")],
)
def test_nothing_leaves_the_machine_in_clear(registry, url):
    http = registryhttp.Http.__new__(registryhttp.Http)
    http._registry = registry
    with pytest.raises(UserError, match="an address without TLS"):
        http._request("GET", url, {}, b"")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("127.0.0.1.r.org", False),
        ("localhost.r.org", False),
        ("10.0.0.1", False),
        ("127.0.0.1@r.org", False),
        ("localhost:1@r.org:2", False),
        ("[r.org", False),
    ],
)
def test_what_is_this_machine(host, local):
    assert registryhttp._is_local(host) == local


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": 1}', b'{"token": "a\\r\\nb: c"}'])
def test_a_token_that_is_none(body):
    with pytest.raises(UserError, match="gives no token"):
        registryhttp._token_of(body, "r.org")
