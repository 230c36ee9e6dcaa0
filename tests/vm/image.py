"""The disk of a VM: a Debian release with systemd, Slurm, Docker and this checkout.

The packages are unpacked once into a tree below the user's cache, which is named
by its recipe.  Each run lays an overlay over it, builds the plugin there against
that release's Slurm, at native speed, and makes a file system of what it sees.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from stages import StageError, run, stage

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
SYSTEM = ["systemd", "systemd-sysv", "dbus", "udev", "kmod", "procps", "busybox-static"]
SLURM = ["munge", "slurmd", "slurmctld", "slurm-client", "slurm-wlm-basic-plugins"]
DOCKER = ["docker.io", "docker-registry"]
BUILD = ["gcc", "libc6-dev", "libslurm-dev", "python3-dev", "python3-venv"]
PYTHON = ["python3-cffi", "python3-click", "python3-docker", "python3-rich", "python3-setuptools"]
TESTS = ["python3-pytest", "iproute2"]
PACKAGES = [*SYSTEM, *SLURM, *DOCKER, *BUILD, *PYTHON, *TESTS]
KERNEL = "linux-image-cloud-amd64"  # NVMe, ext4 and virtio's consoles are built in: no initrd
DOWNLOAD = "apt-get -o APT::Sandbox::User=root download"
CLIENT = {"bookworm": []}  # docker.io holds the client; it is a package of its own later
SKIPPED = ["doc", "man", "info", "locale"]  # of /usr/share
DISK_SIZE = "6G"  # sparse


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "socker/vm"


def mirror() -> str:
    """The Debian mirror that this machine's apt uses."""
    form = ["--format", "$(REPO_URI)", "Identifier: Packages"]
    for uri in run("apt-get", "indextargets", *form).split():
        if uri.rstrip("/").endswith("/debian"):
            return uri
    return "http://deb.debian.org/debian"


def bootstrap(release: str, target: Path, packages: list[str], variant: str, *hooks: str) -> None:
    """Unpack packages of a release, and configure them unless `variant` is extract.

    A mirror may be frozen: the lists of a release under way have expired then,
    while their signatures are checked all the same.
    """
    paths = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in SKIPPED]
    run(
        "mmdebstrap", f"--variant={variant}", "--skip=cleanup/apt/lists",
        '--aptopt=Acquire::Check-Valid-Until "false"', "--dpkgopt=force-unsafe-io", *paths,
        f"--include={','.join(packages)}", *hooks, release, target, mirror(), timeout=1800,
    )  # fmt: skip


def cached(name: str, recipe: object, make) -> Path:
    """The tree that `make(path)` makes, found again until its recipe changes."""
    text = f"{inspect.getsource(bootstrap)}{mirror()}{recipe}"
    folder = cache() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not folder.exists():
        for old in cache().glob(f"{name}-*"):
            shutil.rmtree(old)
        # A build that was cut off must not be taken for one that was done.
        draft = folder.with_name(folder.name + ".draft")
        folder.parent.mkdir(parents=True, exist_ok=True)
        make(draft)
        draft.rename(folder)
    return folder


# --- the release's tree ---------------------------------------------------------


def tree(release: str) -> Path:
    packages = [*PACKAGES, *CLIENT.get(release, ["docker-cli"])]

    def make(target: Path) -> None:
        with stage(f"packages of {release}"):
            bootstrap(release, target, packages, "minbase", f"--customize-hook={unpack_kernel()}")

    return cached(release, [packages, unpack_kernel()], make)


def unpack_kernel() -> str:
    """A shell line for mmdebstrap: installed, a kernel would make an initrd, slowly."""
    names = r"sed -nE 's/.*Depends: (linux-(image|base|binary|modules)-[0-9])/\1/p'"
    return (
        f'cd "$1/tmp" && p=$(chroot "$1" apt-cache depends {KERNEL} | {names} | head -n 1) && '
        f'p="$p $(chroot "$1" apt-cache depends $p | {names})" && '
        f"""chroot "$1" sh -c 'cd /tmp; {DOWNLOAD} "$@"' sh $p && """
        'for deb in linux-*.deb; do dpkg-deb -x $deb "$1"; done && rm linux-*.deb && '
        'depmod -b "$1" $(ls "$1/usr/lib/modules")'
    )


def kernel(root: Path) -> Path:
    found = [*root.glob("boot/vmlinuz-*"), *root.glob("usr/lib/modules/*/vmlinuz")]
    if not found:
        raise StageError(f"{root} holds no kernel: remove it, and it is made again")
    return found[0]


# --- this run's disk ------------------------------------------------------------


@contextlib.contextmanager
def overlay(lower: Path, work: Path) -> Iterator[Path]:
    """`lower` as a tree that can be written to; the writes are in `work`."""
    for name in ("upper", "work", "merged"):
        (work / name).mkdir()
    merged = work / "merged"
    options = f"lowerdir={lower},upperdir={work}/upper,workdir={work}/work"
    run("mount", "-t", "overlay", "overlay", "-o", options, merged)
    try:
        yield merged
    finally:
        run("umount", "--recursive", merged)


def inside(root: Path, *argv: str) -> None:
    """Run a command in the tree, at this machine's speed."""
    run("mount", "-t", "proc", "proc", root / "proc")
    try:
        run("chroot", root, *argv)
    finally:
        run("umount", root / "proc")


def copy_checkout(root: Path) -> None:
    """This checkout as it is, with changes that are not committed yet."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "build", "*.egg-info", ".*_cache", "__pycache__"
    )
    shutil.copytree(CHECKOUT, root / "checkout", ignore=ignored, symlinks=True)


def build_plugin(root: Path) -> None:
    """As docs/admin says, with the distribution's Python packages in place of PyPI's."""
    inside(root, "/usr/bin/python3", "-m", "venv", "--system-site-packages", "/opt/socker")
    inside(
        root, "/opt/socker/bin/pip", "install", "--quiet", "--no-index", "--no-deps",
        "--no-build-isolation", "/checkout",
    )  # fmt: skip


def make_disk(release: str, work: Path, configure, words: list[str]) -> tuple[Path, Path]:
    """(disk, kernel) of a VM that runs `words` (see run_inside.py)."""
    base = tree(release)
    disk = work / "disk.img"
    with overlay(base, work) as root:
        shutil.copytree(HERE / "root", root, symlinks=True, dirs_exist_ok=True)
        with stage("the plugin, built against its Slurm"):
            copy_checkout(root)
            build_plugin(root)
            configure(root)
        (root / "checkout/tests/vm/words").write_text("\n".join(words))
        with stage("the disk"):
            run("mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,root_owner=0:0", "-m", "0",
                "-d", root, disk, DISK_SIZE)  # fmt: skip
            shutil.copy2(kernel(root), work / "vmlinuz")
    return disk, work / "vmlinuz"
