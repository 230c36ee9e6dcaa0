"""A registry refuses, fails, is slow, lies or hangs up: when the node asks, and when it pulls."""

import json
import os
import time
from dataclasses import dataclass

import images
import pytest
from conftest import REGISTRY

from faults.conftest import SETTINGS
from tests import registry_server
from tests.registry_server import digest_of

SIZE = 400_000
PATIENCE = 3  # seconds: pull_timeout

# --- what it does instead of giving something: (handler, content) -----------------------


def answers(status: int, words: str = "by order"):
    body = json.dumps({"errors": [{"code": "ODD", "message": words}]}).encode()
    return lambda handler, data: handler.answer(status, body)


def lies(handler, data) -> None:
    handler.answer(200, bytes(len(data)))


def hangs_up(handler, data) -> None:
    begin(handler, data, len(data) // 2)
    handler.close_connection = True


def trickles(handler, data) -> None:
    begin(handler, data, len(data) // 2)
    for _ in range(200):  # until nobody listens
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def begin(handler, data, size: int) -> None:
    """The head of an answer, and the first bytes of its body."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:size])
    handler.wfile.flush()


# --- an image to ask for -----------------------------------------------------------------


@dataclass
class Shelf:
    """The one image of the false registry; `sends` does something odd with a part of it."""

    server: registry_server.Server
    name: str
    tag: str
    manifest: str
    layer: str


@pytest.fixture
def shelf(make_image, settings):
    settings.write_text(f'{SETTINGS}resolve_tags = "node"\npull_timeout = {PATIENCE}\n')
    made = make_image("odd", lambda root: (root / "noise").write_bytes(os.urandom(SIZE)))
    images.remove_from_engine(made)
    with registry_server.running() as server:
        manifest = server.copy(REGISTRY, "odd:test", "a/b")
        server.content["/v2/a/b/manifests/1"] = manifest
        layer = json.loads(manifest)["layers"][-1]["digest"]
        name = f"{server.name}/a/b:1"
        parts = f"manifests/{digest_of(manifest)}", f"blobs/{layer}"
        yield Shelf(server, name, "/v2/a/b/manifests/1", *(f"/v2/a/b/{part}" for part in parts))
        images.remove_from_engine(name)


def refused(result) -> str:
    """What the user reads: one line, and no step has run."""
    assert (result.status, result.stdout) == (1, "")
    assert "internal error" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("socker: image ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


STATUSES = {
    "401": answers(401),
    "404": answers(404, "manifest unknown"),
    "429": answers(429),
    "500": answers(500),
}
ODD = STATUSES | {"a lie": lies, "a cut": hangs_up, "a trickle": trickles}
PARTS = {"tag": STATUSES, "manifest": ODD, "layer": ODD}  # of a tag only the head is asked for


@pytest.mark.parametrize("part", PARTS)
def test_odd(alice, shelf, part):
    """Each costs no more than pull_timeout, and one clear line; then it is well again."""
    for how, sends in PARTS[part].items():
        shelf.server.sends = {getattr(shelf, part): sends}
        started = time.monotonic()
        told = refused(alice.srun(f"--docker={shelf.name}", "echo", "ran"))
        took = time.monotonic() - started
        print(f"{part}, {how}: {took:.1f} s: {told}")
        assert shelf.name in told
        assert took < PATIENCE + 10
    shelf.server.sends = {}
    assert alice.srun(f"--docker={shelf.name}", "echo", "ran").lines == ["ran"]
