"""Fixtures: a registry that wants a password, who has one, and an image behind it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import images
import pytest

SECRET = "s3cret-of-alice"
SECRETS_HASH = "$2b$05$aaaaaaaaaaaaaaaaaaaaaulsboKqfLB4YdaCKbmhhI1MDlOFLBpQK"  # bcrypt
LOCKED = "127.0.0.1:5055"
AUTH = base64.b64encode(f"alice:{SECRET}".encode()).decode()


class LockedRegistry:
    """Docker's own registry program, with one account: alice's."""

    def __init__(self, folder: Path):
        self._folder = folder
        (folder / "htpasswd").write_text(f"alice:{SECRETS_HASH}\n")
        (folder / "registry.yml").write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
            f'http: {{addr: "{LOCKED}", secret: x}}\n'
            f"auth: {{htpasswd: {{realm: r, path: {folder}/htpasswd}}}}\n"
        )
        self._server: subprocess.Popen | None = None

    def start(self) -> None:
        with open(self._folder / "log", "a") as log:
            command = ["/usr/bin/docker-registry", "serve", self._folder / "registry.yml"]
            self._server = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while not answers(LOCKED):
            assert time.monotonic() < end, (self._folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        if self._server:
            self._server.terminate()
            self._server.wait()
            self._server = None


def answers(registry: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{registry}/v2/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture
def locked(tmp_path) -> Iterator[LockedRegistry]:
    registry = LockedRegistry(tmp_path)
    registry.start()
    yield registry
    registry.stop()


def docker_config(folder: Path, owner: str, text: dict) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(text))
    path.chmod(0o600)
    for each in (folder, path):
        shutil.chown(each, owner, owner)


@pytest.fixture
def login(alice):
    """login(password, registry): what `docker login` leaves in alice's home directory."""
    folder = alice.home / ".docker"

    def make(password: str = SECRET, registry: str = LOCKED) -> None:
        auth = base64.b64encode(f"alice:{password}".encode()).decode()
        docker_config(folder, "alice", {"auths": {registry: {"auth": auth}}})

    yield make
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def private(locked, make_image, tmp_path):
    """An image in the locked registry that is not on the node; it says `private` in /word."""
    public = make_image("private", lambda root: (root / "word").write_text("private\n"))
    reference = f"{LOCKED}/team/private:1"
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"auths": {LOCKED: {"auth": AUTH}}}))
    images.run("docker", "pull", "-q", public)
    images.run("docker", "tag", public, reference)
    images.run("docker", "--config", config, "push", reference)
    for name in (public, reference):
        images.run("docker", "rmi", "--force", name)
    yield reference
    images.remove_all_of(reference.rpartition(":")[0])
