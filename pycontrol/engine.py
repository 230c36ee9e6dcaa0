"""The only module that talks to Docker Engine; what moves images is enginesdk.py's.

Users never reach the engine: only root hooks do, with typed fields.  What a step or
a job's end needs are small requests (enginehttp.py), without the SDK.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Iterable, Iterator

from pycontrol.credentials import Credentials
from pycontrol.enginehttp import Wire
from pycontrol.errors import EngineError, NotHere
from pycontrol.image import Image, Reference, image_of
from pycontrol.plaindata import dataclass

JOB, NODE, USER = "socker.job", "socker.node", "socker.user"
IMAGE, DIGEST = "socker.image", "socker.digest"
PAUSE_INSIDE = "/.socker/pause"
# Nobody: out of reach of the job's owner, who could else replace it (decisions/0007).
FIRST_PROCESS_USER = "65534:65534"
GONE_OR_GOING = (404, 409)


@dataclass(frozen=True)
class NewContainer:
    """What a job's container is made of; all else is fixed in `body`."""

    name: str
    image: Image
    pause: str  # the binary's path on the node
    labels: dict[str, str]
    ends_with: int | None = None  # a process of the node's (pause.c)

    def body(self) -> dict:
        """Of the request: no capability, no new privileges, the node's namespaces but for
        mounts, and gone when its first process ends, whoever ends it.

        No seccomp filter: runc would take 14 ms to make it, for a program of ours alone,
        without input, that users cannot reach; their tasks come from slurmstepd.
        """
        pause = {"Type": "bind", "Source": self.pause, "Target": PAUSE_INSIDE, "ReadOnly": True}
        return {
            "Image": self.image.image_id,
            "User": FIRST_PROCESS_USER,
            "Entrypoint": [PAUSE_INSIDE],
            "Cmd": [] if self.ends_with is None else [str(self.ends_with)],
            "WorkingDir": "/",
            "Labels": self.labels,
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {
                "AutoRemove": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
                "NetworkMode": "host",
                "PidMode": "host",
                "IpcMode": "host",
                "UTSMode": "host",
                "Mounts": [pause],
                "LogConfig": {"Type": "none", "Config": {}},
            },
        }


class Engine:
    """One Docker Engine, or an engine with its interface."""

    def __init__(self, url: str, timeout: int):
        self._url, self._timeout = url, timeout
        self._wire = Wire(url, timeout)

    @functools.cached_property
    def _sdk(self):
        from pycontrol.enginesdk import Sdk

        return Sdk(self._url, self._timeout)

    def close(self) -> None:
        if "_sdk" in self.__dict__:
            self._sdk.close()

    def info(self) -> dict:
        """What the engine says of itself: its release, registries and proxies."""
        return self._wire.get("info", "/info")

    # --- images ---

    def find_image(self, reference: Reference) -> Image | None:
        """The image if this node has it."""
        return self.image_by_id(reference.text, reference.text)

    def image_by_id(self, image_id: str, name: str) -> Image | None:
        """The same by id; `name` is what errors call it."""
        try:
            return image_of(self._inspect_image(image_id, name), name)
        except NotHere:
            return None

    def _inspect_image(self, image_id: str, name: str) -> dict:
        return self._wire.get(f"image {name}", f"/images/{image_id}/json")

    def tagged(self, image_id: str) -> str:
        """When the image got its last name (RFC 3339); empty if that is not known."""
        metadata = self._inspect_image(image_id, image_id).get("Metadata") or {}
        return str(metadata.get("LastTagTime") or "")

    def images(self) -> list[dict]:
        """All images of this node, as the engine lists them."""
        return self._sdk.images()

    def pull(self, name: str, credentials: Credentials | None, called: str) -> Iterator[dict]:
        return self._sdk.pull(name, credentials, called)

    def load(self, archive: Iterable[bytes], name: str, going_on: Callable[[], None]) -> str:
        return self._sdk.load(archive, name, going_on)

    def import_root(self, tar: Iterable[bytes], changes: list[str], name: str) -> str:
        return self._sdk.import_root(tar, changes, name)

    def tag(self, image_id: str, repository: str, tag: str) -> None:
        self._sdk.tag(image_id, repository, tag)

    def disk_usage(self) -> dict:
        return self._sdk.disk_usage()

    def remove_image(self, name: str) -> None:
        self._sdk.remove_image(name)

    # --- containers ---

    def create(self, new: NewContainer) -> str:
        """Create the idle container of a job; returns its id."""
        doing = f"creating a container of {new.image.image_id[:19]}"
        made = self._wire.ask(doing, "POST", "/containers/create", {"name": new.name}, new.body())
        return self._wire.read(doing, made)["Id"]

    def file_status(self, container: str, path: str) -> dict | None:
        """What is at a path of a container that does not run yet; links are not followed."""
        doing, where = f"looking at {path}", f"/containers/{container}/archive"
        try:
            answer = self._wire.ask(doing, "HEAD", where, {"path": path})
        except NotHere:
            return None
        return json.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"]))

    def start(self, container: str) -> int:
        """Start it; returns the pid of its first process on the node."""
        doing = "starting the container"
        self._wire.ask(doing, "POST", f"/containers/{container}/start")
        return int(self._wire.get(doing, f"/containers/{container}/json")["State"]["Pid"])

    def find_containers(self, labels: dict[str, str]) -> list[str]:
        """The ids of all containers, running or not, that carry these labels."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        return [found["Id"] for found in self.containers(wanted)]

    def containers(self, labels: list[str]) -> list[dict]:
        """The containers with these labels (NAME or NAME=VALUE), as the engine lists them."""
        query = {"all": "1", "filters": json.dumps({"label": labels})}
        return self._wire.get("listing containers", "/containers/json", query)

    def remove(self, container: str) -> None:
        """Kill and remove; one that is gone, or going, is fine.

        So is one whose end Docker has not heard of in time: it goes by itself then, and who
        must know looks again (removal.py).
        """
        query = {"force": "1", "v": "1"}
        doing, where = "removing the container", f"/containers/{container}"
        try:
            self._wire.ask(doing, "DELETE", where, query, fine=GONE_OR_GOING)
        except EngineError as error:
            if "could not kill container" not in str(error):
                raise
