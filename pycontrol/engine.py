"""The only module that talks to Docker Engine.

Users never reach the engine: only root hooks do, with typed fields.  Every
request has a time-out; every failure becomes an EngineError that says what the
engine or the registry said.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import docker
import docker.errors
import requests.exceptions

from pycontrol.errors import EngineError, UserError, root_cause
from pycontrol.image import Image, Reference, image_of, split_tag

JOB, NODE, USER, IMAGE = "socker.job", "socker.node", "socker.user", "socker.image"
PAUSE_INSIDE = "/.socker/pause"
# Nobody: no right of root's, and out of reach of the job's owner, who could else
# kill it and put another process in its place (docs/developer/decisions/0007).
FIRST_PROCESS_USER = "65534:65534"

# Go's os.FileMode: regular files have none of the type bits (io/fs, fs.go).
GO_MODE_SYMLINK = 1 << 27
GO_MODE_TYPE = (1 << 31) | GO_MODE_SYMLINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19


@dataclass(frozen=True)
class NewContainer:
    """What a job's container is made of; all else is fixed in `create`."""

    name: str
    image: Image
    pause: str  # the binary's path on the node
    labels: dict[str, str]


def _explanation(error: Exception) -> str:
    text = getattr(error, "explanation", None)
    return str(text or error).strip()


class Engine:
    """One Docker Engine, or an engine with its interface."""

    def __init__(self, url: str, timeout: int):
        self._url = url
        # The SDK would read root's own configuration, and run the credential
        # helpers named there.
        os.environ |= {"HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent"}
        with self._errors("connecting"):
            self._api = docker.APIClient(base_url=url, version="auto", timeout=timeout)

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn what the SDK raises into an EngineError."""
        try:
            yield
        except docker.errors.APIError as error:
            raise EngineError(f"engine: {doing}: {_explanation(error)}") from error
        except requests.exceptions.Timeout as error:
            raise EngineError(
                f"engine {self._url}: {doing}: no answer in time: try again, and tell "
                "the admin if it stays so"
            ) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineError(
                f"engine {self._url} cannot be reached on this node: tell the admin "
                f"that Docker must run here ({root_cause(error)})"
            ) from error

    def close(self) -> None:
        self._api.close()

    def version(self) -> str:
        with self._errors("version"):
            return self._api.version()["Version"]

    # --- images ---

    def images(self) -> list[dict]:
        """All images of this node, as the engine lists them."""
        with self._errors("listing images"):
            return self._api.images()

    def find_image(self, reference: Reference) -> Image | None:
        """The image if this node has it."""
        return self.image_by_id(reference.text, reference.text)

    def image_by_id(self, image_id: str, name: str) -> Image | None:
        """The same by id; `name` is what errors call it."""
        try:
            with self._errors(f"image {name}"):
                found = self._api.inspect_image(image_id)
        except EngineError as error:
            if isinstance(error.__cause__, docker.errors.NotFound):
                return None
            raise
        return image_of(found, name)

    def pull(self, reference: Reference) -> Iterator[dict]:
        """Pull an image; yields the engine's progress events.

        Raises UserError with the registry's words when it does not have the
        image or does not give it, EngineError for every other failure.
        """
        name, separator, tag = split_tag(reference.text)
        try:
            with self._errors(f"pulling {reference.text}"):
                events = self._api.pull(
                    name, tag=tag if separator else None, stream=True, decode=True, auth_config={}
                )
                for event in events:
                    if "error" in event:
                        raise UserError(f"image {reference.text}: {event['error']}")
                    yield event
        except EngineError as error:
            if isinstance(error.__cause__, docker.errors.APIError):
                raise UserError(
                    f"image {reference.text} cannot be pulled: "
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

    @contextlib.contextmanager
    def _no_timeout(self) -> Iterator[None]:
        """For a request of minutes; its caller limits it by the clock."""
        before, self._api.timeout = self._api.timeout, None
        try:
            yield
        finally:
            self._api.timeout = before

    # --- containers ---

    def create(self, new: NewContainer) -> str:
        """Create the idle container of a job; returns its id.

        No capability, no new privileges, the node's namespaces but for mounts,
        and gone when its first process ends, whoever ends it.
        """
        pause = docker.types.Mount(PAUSE_INSIDE, new.pause, type="bind", read_only=True)
        with self._errors(f"creating a container of {new.image.image_id[:19]}"):
            host = self._api.create_host_config(
                auto_remove=True,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                network_mode="host",
                pid_mode="host",
                ipc_mode="host",
                uts_mode="host",
                mounts=[pause],
                log_config={"Type": "none"},
            )
            made = self._api.create_container(
                new.image.image_id,
                name=new.name,
                user=FIRST_PROCESS_USER,
                entrypoint=[PAUSE_INSIDE],
                command=[],
                working_dir="/",
                labels=new.labels,
                healthcheck={"test": ["NONE"]},
                host_config=host,
            )
        return made["Id"]

    def is_small_regular_or_missing(self, container: str, path: str, largest: int) -> bool:
        """Whether a path of a container that does not run yet is safe to read.

        One link is followed, resolved by the engine inside the container.
        """
        for _ in range(2):
            try:
                with self._errors(f"looking at {path}"):
                    stream, status = self._api.get_archive(container, path)
                    stream.close()
            except EngineError as error:
                if isinstance(error.__cause__, docker.errors.NotFound):
                    return True
                raise
            if not status["mode"] & GO_MODE_TYPE:
                return status["size"] <= largest
            if not status["mode"] & GO_MODE_SYMLINK:
                return False
            path = status["linkTarget"]
        return False

    def start(self, container: str) -> int:
        """Start it; returns the pid of its first process on the node."""
        with self._errors("starting the container"):
            self._api.start(container)
            return int(self._api.inspect_container(container)["State"]["Pid"])

    def find_containers(self, labels: dict[str, str]) -> list[str]:
        """The ids of all containers, running or not, that carry these labels."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        return [found["Id"] for found in self.containers(wanted)]

    def containers(self, labels: list[str]) -> list[dict]:
        """The containers with these labels (NAME or NAME=VALUE), as the engine lists them."""
        with self._errors("listing containers"):
            return self._api.containers(all=True, filters={"label": labels})

    def remove(self, container: str) -> None:
        """Kill and remove; one that is gone, or going, is fine."""
        try:
            with self._errors("removing the container"):
                self._api.remove_container(container, force=True, v=True)
        except EngineError as error:
            status = getattr(getattr(error.__cause__, "response", None), "status_code", None)
            if status not in (404, 409):  # gone; removal in progress
                raise
