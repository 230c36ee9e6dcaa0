"""What of Docker Engine moves images: by the Docker SDK for Python.

Imported only where it is needed (engine.py): that alone takes longer than to make a
container.  Every request has a time-out; every failure becomes an EngineError that
says what the engine or the registry said.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator

import docker
import docker.errors
import requests.exceptions
from urllib3.exceptions import HTTPError

from pycontrol.credentials import Credentials
from pycontrol.errors import EngineError, NotHere, UserError, root_cause

# The last: of an answer that breaks off while it is read.
BROKEN = docker.errors.DockerException, requests.exceptions.RequestException, HTTPError


def _explanation(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).strip()


class Sdk:
    """One engine, as the SDK speaks with it."""

    def __init__(self, url: str, timeout: int):
        self._url = url
        # Else the SDK reads root's configuration, and runs the credential helpers named there.
        os.environ |= {"HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent"}
        with self._errors("connecting"):
            try:
                self._api = docker.APIClient(base_url=url, version="auto", timeout=timeout)
            except docker.errors.DockerException as error:  # it wraps what befell a request
                raise error.__cause__ or error from None

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn what the SDK raises into an EngineError."""
        try:
            yield
        except docker.errors.NotFound as error:
            raise NotHere(f"engine: {doing}: {_explanation(error)}") from error
        except docker.errors.APIError as error:
            raise EngineError(f"engine: {doing}: {_explanation(error)}") from error
        except requests.exceptions.Timeout as error:
            why = "no answer in time: try again, and tell the admin if it stays so"
            raise EngineError(f"engine {self._url}: {doing}: {why}") from error
        except BROKEN as error:
            why = f"on this node: tell the admin that Docker must run here ({root_cause(error)})"
            raise EngineError(f"engine {self._url} cannot be reached {why}") from error

    def close(self) -> None:
        self._api.close()

    def images(self) -> list[dict]:
        """All images of this node, as the engine lists them."""
        with self._errors("listing images"):
            return self._api.images()

    def pull(self, name: str, credentials: Credentials | None, called: str) -> Iterator[dict]:
        """Pull NAME:TAG or NAME@DIGEST; yields the engine's progress events.

        credentials: of the user for the registry; in the request's header alone.
        Raises UserError with the registry's words when it does not have the
        image or does not give it, EngineError for every other failure.
        """
        auth = credentials.for_engine() if credentials else {}
        try:
            with self._errors(f"pulling {called}"):
                for event in self._api.pull(name, stream=True, decode=True, auth_config=auth):
                    if "error" in event:
                        raise UserError(f"image {called}: {event['error']}")
                    yield event
        except EngineError as error:
            if isinstance(error.__cause__, docker.errors.APIError):
                raise UserError(
                    f"image {called} cannot be pulled: "
                    f"{_explanation(error.__cause__)}: check the name"
                ) from error
            raise

    def load(self, archive: Iterable[bytes], name: str, going_on: Callable[[], None]) -> str:
        """Load the one image of a docker-archive; returns its id.

        An exception in `archive` breaks the request off: the engine, which has
        not seen its end, loads nothing.  `going_on` is called while it unpacks.
        """
        with self._errors(f"loading {name}"), self._no_timeout():
            text = ""
            for event in self._api.load_image(archive):
                going_on()
                if "error" in event:
                    raise UserError(f"image {name}: the engine refuses it: {event['error']}")
                text += event.get("stream", "")
        loaded = re.search(r"Loaded image ID: (sha256:[0-9a-f]{64})", text)
        if not loaded:
            raise EngineError(f"engine: loading {name}: it names no image: {text[:200]!r}")
        return loaded[1]

    def import_root(self, tar: Iterable[bytes], changes: list[str], name: str) -> str:
        """Make an image of a root directory's tar; returns its id.  Breaks off as `load`."""
        with self._errors(f"importing {name}"):
            answer = self._api.import_image_from_data(tar, changes=changes)
        imported = re.search(r'"status":"(sha256:[0-9a-f]{64})"', answer)
        if not imported:  # an error that came after the status line of HTTP
            raise UserError(f"image {name}: the engine refuses it: {answer[:500].strip()}")
        return imported[1]

    def tag(self, image_id: str, repository: str, tag: str) -> None:
        with self._errors(f"tagging {repository}:{tag}"):
            self._api.tag(image_id, repository, tag, force=True)

    def disk_usage(self) -> dict:
        """LayersSize: bytes of all images; Images: each with SharedSize, that others have, too."""
        with self._errors("measuring images"):
            return self._api.df()

    def remove_image(self, name: str) -> None:
        """Take a name away, and the image with its last; what still runs keeps it."""
        with self._errors(f"removing image {name}"):
            self._api.remove_image(name)

    @contextlib.contextmanager
    def _no_timeout(self) -> Iterator[None]:
        """For a request of minutes; its caller limits it by the clock."""
        before, self._api.timeout = self._api.timeout, None
        try:
            yield
        finally:
            self._api.timeout = before
