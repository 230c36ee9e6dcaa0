"""Images with MPI, for the tests of it: built when one needs them, then cached.

A minimal Debian with its MPI library and the programs of mpi/.  The images stay in
the engine (dockerd://), under a tag that tells of what they are made.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from images import CACHE, PATH_ENV, debian_tar, in_engine
from stages import run

PROGRAMS = Path(__file__).resolve().parent / "mpi"
COMPILER = ("gcc", "libc6-dev")
APT_CONF = """\
APT::Install-Recommends "false";
Acquire::Languages "none";
Dpkg::Options {"--force-unsafe-io";};
"""
# The nodes are one machine: whatever networks it has, they reach each other by this.
LOOPBACK = "ENV OMPI_MCA_btl_tcp_if_include=lo"


@dataclass(frozen=True)
class MpiImage:
    """What is installed, and what more to compile with it."""

    name: str
    suite: str
    packages: tuple[str, ...]
    headers: str

    @property
    def tag(self) -> str:
        """Another one whenever the recipe or a program is another."""
        digest = hashlib.sha256(f"{self} {COMPILER} {APT_CONF} {LOOPBACK}".encode())
        for source in sorted(PROGRAMS.glob("*.c")):
            digest.update(source.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def reference(self) -> str:
        return f"socker-test/{self.name}:{self.tag}"


OPENMPI = MpiImage("openmpi", "bookworm", ("python3-mpi4py", "strace"), "libopenmpi-dev")
MPICH = MpiImage("mpich", "bookworm", ("libmpich12", "strace"), "libmpich-dev")
NEWER_OPENMPI = MpiImage("openmpi-trixie", "trixie", ("openmpi-bin",), "libopenmpi-dev")


def install(root: Path, *packages: str) -> None:
    """Of the distribution that is in `root`, from its own mirror."""
    (root / "etc/apt/apt.conf.d/90tests").write_text(APT_CONF)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    inside = ["chroot", root, "env", "DEBIAN_FRONTEND=noninteractive"]
    if not any((root / "var/lib/apt/lists").glob("*Packages*")):
        run(*inside, "apt-get", "update")
    run(*inside, "apt-get", "install", "-y", *packages)
    run(*inside, "apt-get", "clean")


def compile_programs(root: Path) -> list[str]:
    """Into root, where the result says."""
    made = []
    for source in PROGRAMS.glob("*.c"):
        made.append(f"./usr/local/bin/mpi-{source.stem}")
        shutil.copy(source, root / "tmp")
        words = ["mpicc", "-O2", "-Wall", "-Wextra", "-Werror", f"/tmp/{source.name}"]
        run("chroot", root, *words, "-o", f"/{made[-1]}")
    return made


def image_tar(image: MpiImage) -> Path:
    """Its root file system, made once; the compilers come after all but the programs."""
    tar = CACHE / f"mpi-{image.name}-{image.tag}.tar"
    if tar.exists():
        return tar
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root, draft = Path(folder) / "root", Path(folder) / "image.tar"
        root.mkdir()
        run("tar", "-C", root, "-xf", debian_tar(image.suite))
        install(root, *image.packages)
        run("tar", "-C", root, "--exclude=./var/lib/apt/lists", "-cf", draft, ".")
        install(root, *COMPILER, image.headers)
        run("tar", "-C", root, "-rf", draft, *compile_programs(root))
        for old in CACHE.glob(f"mpi-{image.name}-{'?' * len(image.tag)}.tar"):
            old.unlink()
        draft.rename(tar)
    return tar


def provide(image: MpiImage) -> str:
    """The image, as --container-image takes it; those of older recipes go."""
    if not in_engine(image.reference):
        for old in run("docker", "images", "-q", f"socker-test/{image.name}").split():
            run("docker", "rmi", "--force", old)
        changes = ["--change", PATH_ENV, "--change", LOOPBACK]
        run("docker", "import", *changes, image_tar(image), image.reference)
    return f"dockerd://{image.reference}"
