"""Several users at once whose image is not on the node: how often is it pulled?"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import images
from sampling import Comparison, pairs
from session import NODES, Failed, Session, wait_until_idle
from slow_registry import SlowRegistry
from stages import run, stage

REPOSITORY, TAG = "bench-pull", "1"
PORT = 5017
USERS = ("alice", "bob") * 4
MB = 1e6
LEAST = 10  # MB of an image that is not there


def provide() -> None:
    """Debian and a file of no other image's: its layer has to come from the registry."""
    if images.in_registry(REPOSITORY, TAG):
        return
    with stage("an image to pull"), tempfile.TemporaryDirectory(dir=images.CACHE) as folder:
        tar = Path(folder) / "image.tar"
        shutil.copy(images.debian_tar("bookworm"), tar)
        (Path(folder) / "bench").write_bytes(os.urandom(1 << 20))
        run("tar", "-rf", tar, "-C", folder, "./bench")
        reference = f"{images.REGISTRY}/{REPOSITORY}:{TAG}"
        run("docker", "import", "--change", images.PATH_ENV, tar, reference)
        images.push(reference)


class FirstUsers:
    """Jobs that start together; their nodes are one machine with one engine."""

    def __init__(self, sessions: list[Session], door: SlowRegistry):
        self.sessions, self.door = sessions, door
        self.repository = f"{door.address}/{REPOSITORY}"
        self.bytes: dict[int, list[float]] = {}

    def job(self, number: int) -> float:
        node = f"--nodelist=n{1 + number % 4}"
        step = (
            "srun",
            "-N1",
            "-n1",
            "--mem=300",
            node,
            f"--container-image={self.repository}:{TAG}",
        )
        return self.sessions[number].time(*step, "true")

    def here(self, count: int) -> float:
        """The same jobs where the image is on the node."""
        wait_until_idle(NODES)
        since = time.perf_counter()
        self.start(count)
        return (time.perf_counter() - since) * 1000

    def start(self, count: int) -> None:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(self.job, range(count)))

    def together(self, count: int) -> float:
        """Milliseconds until the last has run."""
        wait_until_idle(NODES)
        images.remove_all_of(self.repository)
        before, since = self.door.sent, time.perf_counter()
        self.start(count)
        taken = (time.perf_counter() - since) * 1000
        sent = (self.door.sent - before) / MB
        if sent < LEAST:
            raise Failed(f"{self.repository}: the engine had it: {sent:.3f} MB were sent")
        self.bytes.setdefault(count, []).append(sent)
        return taken


def first_users(rounds: int) -> Iterator[Comparison]:
    """S9: against one user alone, each time from an engine without the image."""
    provide()
    count, few = len(USERS), max(2, rounds // 2)
    kinds = ("one", f"{count} at once")
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(contextlib.closing(SlowRegistry(PORT, 0)))
        users = FirstUsers([stack.enter_context(Session(name)) for name in USERS], door)
        runs = {
            kinds[0]: lambda: users.together(1),
            "one, here": lambda: users.here(1),
            kinds[1]: lambda: users.together(count),
            "many, here": lambda: users.here(count),
        }
        times = pairs(runs, few)
        wait_until_idle(NODES)
        images.remove_all_of(users.repository)
    sent = {kind: users.bytes[n][1:] for kind, n in zip(kinds, (1, count), strict=True)}
    title = f"{count} first users of an image that is not on the node"
    yield Comparison(
        "S9", f"{title}: bytes from the registry", *kinds, 1.005, unit="MB", samples=sent
    )
    whole = {kind: times[kind] for kind in kinds}
    yield Comparison("S9b", f"{title}: time until all have run", *kinds, 1.1, samples=whole)
    here = dict(zip(kinds, ("one, here", "many, here"), strict=True))
    added = {k: [a - b for a, b in zip(times[k], times[here[k]], strict=True)] for k in kinds}
    yield Comparison(
        "S9c", f"{title}: what that adds to the time of jobs whose image is there", *kinds, 1.1,
        samples=added,
    )  # fmt: skip
