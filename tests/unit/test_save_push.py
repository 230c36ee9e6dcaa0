"""A push, against a registry of a few lines that is strict where it matters."""

import gzip
import hashlib
import io
import json

import pytest

from pycontrol import push, registryhttp
from pycontrol.credentials import Credentials
from pycontrol.errors import UserError
from pycontrol.image import Image
from tests import registry_server
from tests.registry_server import ALICE

IMAGE = Image("sha256:0", ("A=b",), "/")


@pytest.fixture
def registry():
    with registry_server.running() as server:
        yield server


def pushed(registry, credentials=None, data=b"layer" * 1_000_000) -> str:
    http = registryhttp.Http(registry.name, "a/b", credentials)
    return push.push(io.BytesIO(data), IMAGE, http, "a/b", "1")


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
    registry.want_password()
    pushed(registry, ALICE)
    assert registry.manifests


@pytest.mark.parametrize("credentials", [ALICE, Credentials(identity_token="idt")])
def test_a_token(registry, credentials):
    registry.want_token()
    pushed(registry, credentials)
    assert registry.manifests


def test_a_token_that_is_refused(registry):
    registry.want_token()
    with pytest.raises(UserError) as error:
        pushed(registry, Credentials("alice", "wr0ng"))
    assert str(error.value) == (
        f"registry {registry.name} refuses: UNAUTHORIZED: who?: "
        "check that your account may push there"
    )


def test_no_credentials(registry):
    registry.want_password()
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
    registry.want_password()
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
