"""What the bench needs beside the cluster: programs, natively and in an image, from one Debian."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from images import CACHE, PATH_ENV, debian_tar, in_engine
from mpi_images import APT_CONF, LOOPBACK, install
from packages import install as install_here
from stages import run, stage
from storage import DATA

APPLICATIONS = ("bowtie2", "openmpi-bin", "python3-numpy")
COMPILERS = ("gcc", "libc6-dev", "libopenmpi-dev", "e2fsprogs")
PROGRAMS = Path(__file__).with_name("programs")
MEASURE, PINGPONG = DATA / "measure", DATA / "pingpong"


def suite() -> str:
    """This machine's own: the image then holds the very programs that it has."""
    system = Path("/etc/os-release").read_text()
    return re.search(r"^VERSION_CODENAME=(\w+)", system, re.MULTILINE)[1]


def packages() -> None:
    with stage("packages that are measured, on this machine"):
        install_here([*APPLICATIONS, *COMPILERS])


def programs() -> None:
    """Compiled anew each time: it takes a second."""
    warnings = ("-O2", "-Wall", "-Wextra", "-Werror")
    run("gcc", *warnings, "-static", PROGRAMS / "measure.c", "-o", MEASURE)
    run("mpicc", *warnings, PROGRAMS / "pingpong.c", "-o", PINGPONG)


def image_tar(tag: str) -> Path:
    """Debian with the same packages, made once."""
    tar = CACHE / f"bench-{tag}.tar"
    if not tar.exists():
        for old in CACHE.glob("bench-*.tar"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            root, draft = Path(folder) / "root", Path(folder) / "image.tar"
            root.mkdir()
            run("tar", "-C", root, "-xf", debian_tar(suite()))
            install(root, *APPLICATIONS)
            run("tar", "-C", root, "--exclude=./var/lib/apt/lists", "-cf", draft, ".")
            draft.rename(tar)
    return tar


def image() -> str:
    """The image with the applications, as `docker run` has it."""
    recipe = f"{suite()} {APPLICATIONS} {APT_CONF} {LOOPBACK}"
    tag = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    reference = f"socker-bench/applications:{tag}"
    if not in_engine(reference):
        with stage("the image with the programs that are measured"):
            changes = ["--change", PATH_ENV, "--change", LOOPBACK]
            run("docker", "import", *changes, image_tar(tag), reference)
    return reference
