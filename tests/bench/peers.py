"""A later step of a job beside other ways to run a program in an image, in the same rounds."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import images
import packages
from sampling import Comparison, Unmeasured, pairs
from session import USER, Failed, Session, allocated, read
from stages import StageError, run
from steps import IMAGE, STEP
from storage import DATA

FOLDER = DATA / "peers"
PODMAN = (
    "env", f"HOME={FOLDER}/home", f"XDG_RUNTIME_DIR={FOLDER}/run",
    "podman", f"--root={FOLDER}/podman", f"--runroot={FOLDER}/run", "--storage-driver=overlay",
    "--cgroup-manager=cgroupfs", "--events-backend=none",
)  # fmt: skip


def charliecloud(user: Session) -> Callable[[], float]:
    """From a directory with the image's files."""
    packages.install(["charliecloud-runtime"])
    root = FOLDER / "busybox"
    if not root.exists():
        images.busybox_root(root)
        for name in ("dev", "proc", "sys", "home", "mnt", "usr/bin", "usr/lib", "var/tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("hosts", "resolv.conf"):
            (root / "etc" / name).touch()
    return partial(user.time, *STEP, "ch-run", str(root), "--", "/bin/true")


def podman(user: Session) -> Callable[[], float]:
    """Rootless, from storage of the user's on the same file system."""
    packages.install(["podman", "runc", "uidmap"])
    for name in ("home", "run", "podman"):
        (FOLDER / name).mkdir(exist_ok=True)
        shutil.chown(FOLDER / name, USER, USER)
    tar = FOLDER / "busybox.tar"
    read("docker", "save", "-o", str(tar), IMAGE)
    tar.chmod(0o644)
    user.time(*PODMAN, "load", "-i", str(tar))
    options = ("--rm", "--network=host", "--runtime=runc")  # crun takes no hybrid cgroups
    return partial(user.time, *STEP, *PODMAN, "run", *options, IMAGE, "true")


def end_podman(user: Session) -> None:
    """Its process that keeps the name spaces, which podman leaves to whoever comes next."""
    if shutil.which("podman"):
        user.time(*PODMAN, "system", "migrate")


def docker(root: Session) -> Callable[[], float]:
    command = ("docker", "run", "--rm", "--network=host", IMAGE, "true")
    return partial(root.time, *STEP, *command)


# Of each peer its name in the results, and what makes it ready.
PEERS = {
    "ch-run": ("P1", charliecloud),
    "podman run": ("P2", podman),
    "docker run": ("P3", docker),
}


def peers(rounds: int) -> Iterator[Comparison | Unmeasured]:
    """Whole srun in an allocation of the user's; `docker run` in one of root's."""
    FOLDER.mkdir(exist_ok=True)
    run("docker", "pull", IMAGE)
    with allocated() as user, allocated(user="root") as root:
        kinds = {
            "native": partial(user.time, *STEP, "true"),
            "container": partial(user.time, *STEP, f"--container-image={IMAGE}", "true"),
        }
        for peer, (name, prepare) in PEERS.items():
            try:
                kinds[peer] = prepare(root if prepare is docker else user)
                kinds[peer]()
            except (StageError, Failed, subprocess.SubprocessError) as error:
                kinds.pop(peer, None)
                yield Unmeasured(name, f"a step by {peer}", str(error))
        try:
            found = pairs(kinds, rounds)
        finally:
            end_podman(user)
    for peer, (name, _) in PEERS.items():
        if peer in found:
            shown = {kind: found[kind] for kind in ("native", peer, "container")}
            title = f"later step of a job, beside one by {peer}"
            yield Comparison(name, title, peer, "container", 1.0, samples=shown)
