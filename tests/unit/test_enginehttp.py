"""What an engine may answer, and how that is read (the real one: tests/slurm)."""

import socket
import threading
import time
from pathlib import Path

import docker.types
import pytest

from pycontrol import engine, enginehttp
from pycontrol.engine import Engine, NewContainer
from pycontrol.errors import EngineError, NotHere
from pycontrol.image import Image

NEW = NewContainer("n", Image("sha256:1", (), ""), "/lib/pause", {"socker.job": "1"})


@pytest.fixture
def answering(tmp_path):
    """answering(bytes): an engine that says these, whatever it is asked; None: nothing."""
    found = []

    def answer(text: bytes | None) -> Engine:
        path = tmp_path / f"engine{len(found)}"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        found.append(server)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                if text is None:
                    time.sleep(3)
                else:
                    connection.sendall(text)

        threading.Thread(target=serve, daemon=True).start()
        return Engine(f"unix://{path}", 1)

    yield answer
    for server in found:
        server.close()


def says(status: str, body: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.0 {status}", *headers, "", body]).encode()


def test_an_answer(answering):
    assert answering(says("200 OK", '{"ServerVersion": "x"}')).info() == {"ServerVersion": "x"}


def test_the_engines_own_words(answering):
    refusal = says("500 Oh", '{"message": "no space left"}')
    with pytest.raises(EngineError, match="engine: info: no space left"):
        answering(refusal).info()


def test_what_is_not_there(answering):
    missing = says("404 Not Found", '{"message": "No such image"}')
    assert answering(missing).image_by_id("x", "x") is None
    answering(missing).remove("gone")
    with pytest.raises(NotHere):
        answering(missing).start("gone")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3",
        says("200 OK", "{}", "Content-Length: 20"),
        b"HTTP/1.0\r\n\r\n",
        b"HTTP/1.0 abc OK\r\n\r\n",
    ],
)
def test_no_answer_of_an_engine(answering, text):
    with pytest.raises(EngineError, match="Docker must run here"):
        answering(text).info()


def test_no_json(answering):
    with pytest.raises(EngineError, match="no JSON"):
        answering(says("200 OK", "<html>")).info()


def test_silence_ends(answering):
    since = time.monotonic()
    with pytest.raises(EngineError, match="no answer in time"):
        answering(None).info()
    assert time.monotonic() - since < 2.5


def test_an_answer_without_end(answering, monkeypatch):
    monkeypatch.setattr(enginehttp, "LARGEST", 1000)
    with pytest.raises(EngineError, match="too long"):
        answering(says("200 OK", "x" * 5000)).info()


@pytest.mark.parametrize("url", ["ssh://host", "/var/run/docker.sock", "https://host", "tcp://"])
def test_addresses_that_are_none(url):
    with pytest.raises(EngineError, match="begins with unix:// or tcp://"):
        Engine(url, 1).info()


def test_nothing_of_a_name_gets_into_the_request():
    path = "/images/x y\r\nHost: z?a=b"
    request = enginehttp._request("GET", enginehttp.quote(path), None)
    assert request.count(b"\r\n") == 4 and b"?" not in request


def test_a_container_is_what_the_sdk_would_ask_for():
    """By the SDK's own names: one that is misspelt would be ignored by the engine."""
    mount = docker.types.Mount(engine.PAUSE_INSIDE, NEW.pause, type="bind", read_only=True)
    security = ["no-new-privileges", "seccomp=unconfined"]
    theirs = docker.types.HostConfig(
        version="1.41", auto_remove=True, cap_drop=["ALL"], security_opt=security,
        network_mode="host", pid_mode="host", ipc_mode="host", uts_mode="host", mounts=[mount],
        log_config={"Type": "none"},
    )  # fmt: skip
    ours = NEW.body()
    assert ours["HostConfig"] == {name: value for name, value in theirs.items() if value}
    config = docker.types.ContainerConfig(
        "1.41", "sha256:1", [], user=engine.FIRST_PROCESS_USER, labels=NEW.labels,
        entrypoint=[engine.PAUSE_INSIDE], working_dir="/", healthcheck={"test": ["NONE"]},
    )  # fmt: skip
    config["Healthcheck"] = {n: v for n, v in config["Healthcheck"].items() if v}
    own = {name: value for name, value in ours.items() if name != "HostConfig"}
    assert {name: config[name] for name in own} == own


def test_the_sdk_is_not_imported_for_containers():
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import pycontrol.container; "
    code += "sys.exit('docker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
