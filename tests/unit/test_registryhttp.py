"""Where requests may go, by which way, and what is believed of the answers."""

import socket
import ssl
import threading

import pytest

from pycontrol import registrywords, retry, route
from pycontrol.credentials import Credentials
from pycontrol.errors import UserError
from pycontrol.registryhttp import Http, Unreachable
from pycontrol.route import Route
from tests import registry_server
from tests.registry_server import ALICE, BASIC


@pytest.fixture
def registry():
    with registry_server.running() as server:
        server.actions = "pull"
        yield server


def http(registry, credentials=None, way=route.DIRECT) -> Http:
    return Http(registry.name, "a/b", credentials, way, "pull")


def test_no_registry_there():
    with pytest.raises(Unreachable, match=r"registry 127.0.0.1:1: it cannot be reached from this"):
        Http("127.0.0.1:1", "a", None)


def test_a_name_that_nobody_knows():
    with pytest.raises(Unreachable, match=r"cannot be reached"):
        Http("registry.invalid", "a", None).send("GET", "/v2/", (200,))


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (503, "fails: status 503 Service Unavailable: try again later"),
        (429, "fails: status 429 Too Many Requests: try again later"),
        (0, "it closed the connection: try again"),
    ],
)
def test_a_registry_that_fails_is_not_one_that_refuses(registry, monkeypatch, failure, words):
    monkeypatch.setattr(retry, "QUESTION", (0.01, 0.01))
    registry.put("a/b", "1", b"{}")
    manifest = registry.content["/v2/a/b/manifests/1"]
    registry.failures, registry.failure = 2, failure
    assert http(registry).send("GET", "/v2/a/b/manifests/1", (200,)).body == manifest
    registry.failures = 3
    with pytest.raises(Unreachable, match=words):
        http(registry).send("GET", "/v2/a/b/manifests/1", (200,))


@pytest.mark.parametrize(
    "words",
    [
        "image a:1 cannot be pulled: received unexpected HTTP status: 503 Service Unavailable",
        "toomanyrequests: You have reached your pull rate limit.",
        "received unexpected HTTP status: 429 Too Many Requests",
        'Get "https://r/v2/": net/http: TLS handshake timeout',
        "read tcp 10.0.0.1:5->10.0.0.2:443: read: connection reset by peer",
        'Head "http://r/v2/a/manifests/1": EOF',
        "unexpected EOF",
        'error parsing HTTP 429 response body: unexpected end of JSON input: ""',
        "dial tcp 10.0.0.2:443: i/o timeout",
    ],
)
def test_a_pull_that_may_go_well_later(words):
    assert retry.may_pass(words)


@pytest.mark.parametrize(
    "words",
    [
        "manifest unknown",
        "manifest for a:1 not found: manifest unknown: manifest unknown",
        "pull access denied for a, repository does not exist",
        "unauthorized: authentication required",
        "filesystem layer verification failed for digest sha256:1",
        "no space left on device",
        "dial tcp: lookup r.invalid: no such host",
        "dial tcp 127.0.0.1:1: connect: connection refused",
        "x509: certificate signed by unknown authority",
        "received unexpected HTTP status: 404 Not Found",
    ],
)
def test_a_pull_that_will_not(words):
    assert not retry.may_pass(words)


def test_pauses_are_scattered():
    drawn = [list(retry.pauses((1, 10))) for _ in range(50)]
    assert all(0.5 <= one <= 1.5 and 5 <= ten <= 15 for one, ten in drawn)
    assert len({one for one, _ in drawn}) > 40


@pytest.mark.parametrize("found", [ALICE, Credentials(identity_token="idt")])
def test_a_token(registry, found):
    registry.want_token()
    registry.put("a/b", "1", b"{}")
    assert http(registry, found).send("HEAD", "/v2/a/b/manifests/1", (200,)).status == 200


def test_a_refusal_says_what_to_do(registry):
    registry.want_password()
    with pytest.raises(UserError, match=rf"who\?: run `docker login {registry.name}`, no cred"):
        http(registry).send("GET", "/v2/a/b/manifests/1", (200,))
    wrong = Credentials("alice", "wr0ng")
    with pytest.raises(UserError, match=r"who\?: check that your account may read it") as error:
        http(registry, wrong).send("GET", "/v2/a/b/manifests/1", (200,))
    assert "wr0ng" not in str(error.value)


def test_no_credential_is_sent_unasked(registry):
    registry.put("a/b", "1", b"{}")
    http(registry, ALICE).send("GET", "/v2/a/b/manifests/1", (200,))
    assert {who for _, _, who in registry.seen} == {None}


def test_a_blob_elsewhere_gets_no_credentials(registry):
    registry.want_password()
    with registry_server.running() as elsewhere:
        elsewhere.content["/blob"] = b"content"
        registry.content["/v2/a/b/blobs/x"] = f"http://{elsewhere.name}/blob"
        assert http(registry, ALICE).fetch("/v2/a/b/blobs/x", "", 100) == b"content"
        assert elsewhere.seen == [("GET", "/blob", None)]
    assert registry.seen[-1][2] == BASIC


def test_a_place_elsewhere_cannot_ask_for_credentials(registry):
    registry.want_password()
    with registry_server.running() as elsewhere:
        elsewhere.want_password()
        registry.content["/v2/a/b/blobs/x"] = f"http://{elsewhere.name}/blob"
        with pytest.raises(UserError, match="refuses"):
            http(registry, ALICE).fetch("/v2/a/b/blobs/x", "", 100)
        assert {who for _, _, who in elsewhere.seen} == {None}


def test_places_without_end(registry):
    registry.content["/v2/a/b/blobs/x"] = "/v2/a/b/blobs/x"
    with pytest.raises(UserError, match="without end"):
        http(registry).fetch("/v2/a/b/blobs/x", "", 100)


def test_an_answer_is_bounded(registry):
    registry.content["/v2/a/b/blobs/x"] = b"x" * 100_000
    assert len(http(registry).fetch("/v2/a/b/blobs/x", "", 1000)) == 1000


def test_a_registry_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable, match="no answer in time"):
            Http(f"127.0.0.1:{port}", "a", None, patience=(0.2, 0.2))


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("r.org", "http://r.org/x"),
        ("r.org", "http://127.0.0.1/x"),
        ("127.0.0.1", "http://r.org/x"),
        ("plain.org", "http://r.org/x"),
    ],
)
def test_nothing_leaves_the_machine_in_clear(registry, url, monkeypatch):
    monkeypatch.setattr(Http, "_find", lambda self: "")
    client = Http(registry, "a", None, Route(insecure=("plain.org",)))
    with pytest.raises(UserError, match="an address without TLS"):
        client.send("GET", url, (200,))


@pytest.mark.parametrize(
    "place",
    ["localhost:x.r.org:80", "localhost:https:", "localhost@r.org", "[::1]r.org", ":80", ""],
)
def test_an_address_that_could_be_read_in_two_ways(place, monkeypatch):
    """One part of it would be looked at, and another connected to."""
    monkeypatch.setattr(Http, "_find", lambda self: "")
    with pytest.raises(UserError, match="an address that is none"):
        Http("127.0.0.1", "a", None).send("GET", f"http://{place}/x", (200,))


# --- the way there ---


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
    assert route.is_loopback(host) == local


INFO = {
    "HttpsProxy": "http://p:3128",
    "NoProxy": "in.org,.site",
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "10.1.0.0/16", "nonsense"],
        "IndexConfigs": {"plain.org:5000": {"Secure": False}, "docker.io": {"Secure": True}},
    },
}


def test_as_the_engine_goes():
    way = route.of_engine(INFO)
    insecure = ["plain.org:5000", "10.1.2.3:80", "127.0.0.1", "docker.io", "plain.org", "10.2.0.1"]
    assert list(map(way.is_insecure, insecure)) == [True, True, True, False, False, False]
    hosts = ["r.org", "in.org:5000", "a.site", "127.0.0.1:5000"]
    assert [way.proxy("https", h) for h in hosts] == ["http://p:3128", "", "", ""]
    assert way.proxy("http", "r.org") == ""


def test_an_engine_that_says_nothing_of_it():
    assert route.of_engine({}) == Route(proxies={"http": "", "https": "", "no": ""})


def test_as_the_users_environment_says():
    way = route.of_environment({"HTTPS_PROXY": "http://p:1", "no_proxy": "r.org"})
    assert (way.proxy("https", "x.org"), way.proxy("https", "r.org")) == ("http://p:1", "")


class Proxy:
    """Takes one connection, keeps what it says first, and hangs up."""

    def __init__(self, answer: bytes):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://me:s3cret@127.0.0.1:{self._listener.getsockname()[1]}"
        self.said = b""
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.said:
                self.said += connection.recv(4096)
            connection.sendall(self._answer)

    def close(self):
        self._thread.join()
        self._listener.close()


def test_tls_goes_through_the_proxy():
    proxy = Proxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    client = Http("r.org", "a", None, Route(proxies={"https": proxy.url}))
    with pytest.raises(Unreachable) as error:
        client.send("GET", "/v2/", (200,))
    proxy.close()
    assert proxy.said.startswith(b"CONNECT r.org:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic bWU6czNjcmV0\r\n" in proxy.said
    assert "s3cret" not in str(error.value)


def test_plain_http_goes_through_the_proxy():
    proxy = Proxy(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    way = Route(insecure=("plain.org",), proxies={"http": proxy.url})
    client = Http("plain.org", "a", None, way)  # https first, which has no proxy here
    proxy.close()
    assert client._base == "http://plain.org"
    assert proxy.said.startswith(b"GET http://plain.org/v2/ HTTP/1.")


# --- words ---


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": 1}', b'{"token": "a\\r\\nb: c"}'])
def test_a_token_that_is_none(body):
    with pytest.raises(UserError, match="gives no token"):
        registrywords.token(body, "r.org")


def test_an_authority_in_the_one_file_only():
    """What is not found by its name in the folder is looked for in the file of all."""
    tried = []

    class Connection:
        def __init__(self, context):
            self.context = context

        def connect(self) -> None:
            if self.context != "all":
                raise ssl.SSLCertVerificationError

    class Way(Route):
        def connection(self, scheme, netloc, timeout, trust):
            return Connection(trust)

    def trusting(all_read: bool) -> str:
        tried.append(all_read)
        return "all" if all_read else "one"

    assert Way().connected("https", "r.org", 1, trusting).context == "all"
    assert tried == [False, True]
    with pytest.raises(ssl.SSLCertVerificationError):
        Way().connected("https", "r.org", 1, lambda all_read: "none")


def test_authorities_are_looked_up_where_they_are_hashed(tmp_path, monkeypatch):
    monkeypatch.setattr(route, "CA_FOLDER", str(tmp_path))
    assert route.trust("r.org", insecure=False).cert_store_stats()["x509_ca"] > 0
    (tmp_path / "0123abcd.0").touch()
    assert route.trust("r.org", insecure=False).cert_store_stats()["x509_ca"] == 0
    assert route.trust("r.org", insecure=False, all_read=True).cert_store_stats()["x509_ca"] > 0
