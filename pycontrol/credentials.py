"""The user's credentials for a registry, as `docker login` stored them.

Runs as the job's owner (save.py, confirm.py), and in srun (digests.py): root
reads no user's file and runs no user's helper.  What is found goes into a
request's header, a registry's or the engine's, and nowhere else: no message, no
log, no argument, no environment.  Format: github.com/docker/cli,
cli/config/configfile; helpers: github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Mapping

from pycontrol.errors import UserError
from pycontrol.imagename import HUB
from pycontrol.plaindata import dataclass, field

TYPE_CHECKING = False  # what reads types takes it for true; `typing` itself is 2 ms
if TYPE_CHECKING:
    from subprocess import CompletedProcess

LARGEST = 1 << 20  # bytes of a configuration
HELPER_TIMEOUT = 30  # seconds
HUB_KEY = "https://index.docker.io/v1/"  # older than registries' host names
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"  # a helper's way to say that the secret is an identity token


@dataclass(frozen=True)
class Credentials:
    """A name and password, or an identity token; never shown by repr."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def for_engine(self) -> dict[str, str]:
        """As the engine's interface takes them (X-Registry-Auth)."""
        if self.identity_token:
            return {"identitytoken": self.identity_token}
        return {"username": self.user, "password": self.password}


def look_up(registry: str, home: str, env: Mapping[str, str]) -> Credentials | None:
    """What the user has for a registry (HOST[:PORT]); None when there is nothing."""
    folder = env.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    path = os.path.join(folder, "config.json")
    text = _read(path)
    if text is None:
        return None
    config = _parse(text, path)
    key = HUB_KEY if registry == HUB else registry
    helper = _table(config, "credHelpers", path).get(key) or config.get("credsStore")
    if helper:
        return _from_helper(helper, key, home, env)
    return _from_auths(_table(config, "auths", path), key, path)


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path} is no regular file")
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise UserError(f"{path} is larger than {LARGEST} bytes")
    return text


def _parse(text: bytes, path: str) -> dict:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        # Without the parser's words, and without the error as a cause: both hold the text.
        raise UserError(f"{path} is not valid JSON: run docker login again") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} is no JSON object: run docker login again")
    return config


def _table(config: dict, name: str, path: str) -> dict:
    table = config.get(name) or {}
    if not isinstance(table, dict):
        raise UserError(f"{path}: {name} is no JSON object: run docker login again")
    return table


# --- auths ---


def _from_auths(auths: dict, key: str, path: str) -> Credentials | None:
    entry = auths.get(key)
    if entry is None:  # old keys are URLs
        entry = next((auths[k] for k in auths if _host(k) == _host(key)), None)
    if not entry:
        return None
    try:
        return _credentials(entry)
    except (ValueError, TypeError, AttributeError):
        raise UserError(
            f"{path}: the entry of {key} is damaged: run docker login {_host(key)} again"
        ) from None


def _credentials(entry: dict) -> Credentials | None:
    user, password = entry.get("username", ""), entry.get("password", "")
    if encoded := entry.get("auth"):
        decoded = base64.b64decode(encoded, validate=True).decode().rstrip("\0")
        user, separator, password = decoded.partition(":")
        if not separator:
            raise ValueError("no colon")
    token = entry.get("identitytoken", "")
    for text in (user, password, token):
        text.encode()  # AttributeError when it is no text, ValueError when no file could hold it
    return Credentials(user, password, token) if user or token else None


def _host(key: str) -> str:
    """github.com/docker/cli, credentials.ConvertToHostname."""
    return re.sub(r"^https?://", "", key).partition("/")[0]


# --- helpers ---


def _from_helper(name: object, key: str, home: str, env: Mapping[str, str]) -> Credentials | None:
    if not isinstance(name, str) or not _HELPER.fullmatch(name):
        raise UserError("the credential helper in Docker's config.json is no name of a program")
    import shutil  # few users have helpers

    program = f"docker-credential-{name}"
    path = shutil.which(program, path=env.get("PATH", os.defpath))
    if not path:
        raise UserError(f"{program}, named in Docker's config.json, is not in PATH on this node")
    done = _run(path, key, {**env, "HOME": home})
    if done.returncode:
        if _NOT_FOUND in done.stdout.decode(errors="replace"):
            return None
        raise UserError(f"{program} failed with status {done.returncode} for {key}")
    return _answer(done.stdout, program, key)


def _answer(text: bytes, program: str, key: str) -> Credentials | None:
    try:
        answer = json.loads(text)
        user, secret = str(answer["Username"]), str(answer["Secret"])
        f"{user}{secret}".encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"{program}: its answer for {key} is not understood") from None
    if user == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(user, secret) if user else None


def _run(path: str, key: str, env: Mapping[str, str]) -> CompletedProcess:
    import subprocess

    from pycontrol import kernel  # with it ctypes, which srun has no time for

    try:
        return subprocess.run(
            [path, "get"],
            input=key.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            cwd="/",
            timeout=HELPER_TIMEOUT,
            preexec_fn=kernel.die_with_parent,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{os.path.basename(path)}: no answer within {HELPER_TIMEOUT} s on this node"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be run: {error.strerror}") from None
