"""The distribution's packages that the cluster and the plugin's build need."""

from __future__ import annotations

import os
import shutil
import subprocess

from stages import StageError, run, stage

NEEDED = [
    "busybox-static",
    "debootstrap",
    "docker-registry",
    "docker.io",
    "gcc",
    "iproute2",
    "libc6-dev",
    "libpmix-dev",  # Slurm's mpi/pmix plugin loads libpmix.so
    "libslurm-dev",
    "make",
    "munge",
    "musl-tools",  # programs of images with another C library
    "openmpi-bin",  # mpirun, which starts ranks in images
    "procps",
    "python3-dev",
    "python3-venv",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "slurmctld",
    "slurmd",
    "strace",  # shows what a joining task opens
    "squashfs-tools",  # makes squashfs images for tests
    "squashfs-tools-ng",  # reads them
]
# Debian 13 split the client from docker.io; Debian 12 has no such package.
CLIENT = "docker-cli"


def _installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f=${db:Status-Abbrev}", package]
    result = subprocess.run(query, capture_output=True, text=True)
    return result.returncode == 0 and result.stdout.startswith("ii")


def _known(package: str) -> bool:
    result = subprocess.run(["apt-cache", "show", package], capture_output=True)
    return result.returncode == 0


def install_missing() -> None:
    """All that the cluster and the build need."""
    install(NEEDED, CLIENT if not shutil.which("docker") else None)


def install(packages: list[str], if_known: str | None = None) -> None:
    """Install those that are missing, and one more that not every release has."""
    missing = [name for name in packages if not _installed(name)]
    if not missing and not if_known:
        return
    # Daemons are started by the cluster, with its own configuration: keep the
    # packages from starting them with none.
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    try:
        run("apt-get", "update", env=env)
        missing += [if_known] if if_known and _known(if_known) else []
        run("apt-get", "install", "-y", "--no-install-recommends", *missing, env=env, timeout=1800)
    except StageError as error:
        raise StageError(
            f"{error}\nThe packages come from the distribution's own mirror: check "
            "/etc/apt/sources.list and the network, then run this again."
        ) from error


if __name__ == "__main__":
    with stage("packages of Slurm, munge, Docker and build tools"):
        install_missing()
