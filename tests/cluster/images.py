"""Images built locally and pushed to the cluster's registry.

No image comes from outside: busybox from the distribution's static binary,
Debian by debootstrap (slow, so its tar is cached).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from stages import StageError, run

CACHE = Path("/var/cache/socker-cluster")
REGISTRY = "127.0.0.1:5000"
USED_AT_MOST = 60  # seconds until the containers of a job that has ended are gone
PATH_ENV = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def in_registry(name: str, tag: str) -> bool:
    """Whether the registry has NAME:TAG."""
    url = f"http://{REGISTRY}/v2/{name}/manifests/{tag}"
    accept = "application/vnd.docker.distribution.manifest.v2+json"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"Accept": accept}), timeout=5
        ):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise StageError(f"the registry answered {error} for {url}") from error
    except OSError as error:
        raise StageError(f"no registry on {REGISTRY}: {error}") from error


def import_root(root: Path, reference: str, changes: list[str]) -> None:
    """Make an image of a root directory, with Dockerfile-like `changes`."""
    options = [word for change in changes for word in ("--change", change)]
    pack = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
    command = ["docker", "import", *options, "-", reference]
    load = subprocess.run(command, stdin=pack.stdout, capture_output=True, text=True, timeout=600)
    pack.stdout.close()
    if pack.wait() or load.returncode:
        raise StageError(f"docker import {reference}: {load.stderr.strip()}")


def push(reference: str) -> None:
    """Push to the registry, then remove it from the engine: jobs shall pull it."""
    run("docker", "push", reference)
    run("docker", "rmi", reference)


def busybox_root(root: Path) -> None:
    """Fill `root` with a static busybox and its links: 2 MB."""
    for folder in ("bin", "etc", "tmp", "root"):
        (root / folder).mkdir(parents=True)
    shutil.copy2(shutil.which("busybox", path="/bin:/usr/bin"), root / "bin/busybox")
    run("/bin/busybox", "--install", "-s", root / "bin")
    for link in (root / "bin").iterdir():
        if link.is_symlink():
            link.unlink()
            link.symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")


def debian_tar(suite: str) -> Path:
    """A minimal Debian userland as a tar, made once."""
    tar = CACHE / f"debian-{suite}.tar"
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            run("debootstrap", "--variant=minbase", suite, f"{work}/root", timeout=1800)
            shutil.rmtree(f"{work}/root/var/cache/apt")
            run("tar", "-C", f"{work}/root", "-cf", f"{work}/image.tar", ".")
            Path(f"{work}/image.tar").rename(tar)
    return tar


def provide_busybox() -> bool:
    """Put busybox:1 into the registry; true when it was not there."""
    if in_registry("busybox", "1"):
        return False
    with tempfile.TemporaryDirectory() as work:
        busybox_root(Path(work))
        import_root(Path(work), f"{REGISTRY}/busybox:1", ["ENV PATH=/bin", 'CMD ["/bin/sh"]'])
    push(f"{REGISTRY}/busybox:1")
    return True


def provide_debian(suite: str = "bookworm") -> bool:
    """Put debian:SUITE into the registry; true when it was not there."""
    if in_registry("debian", suite):
        return False
    reference = f"{REGISTRY}/debian:{suite}"
    run(
        "docker",
        "import",
        "--change",
        PATH_ENV,
        "--change",
        'CMD ["bash"]',
        debian_tar(suite),
        reference,
    )
    push(reference)
    return True


def in_engine(reference: str) -> bool:
    """Whether the engine holds the image already."""
    result = subprocess.run(["docker", "image", "inspect", reference], capture_output=True)
    return result.returncode == 0 and bool(json.loads(result.stdout))


def remove_from_engine(reference: str, in_use: bool = False) -> None:
    """Let the next job pull it again.

    First wait for the containers of jobs that are ending: of an image in use the engine
    takes only the name away and keeps the layers, so the next pull would bring nothing.
    `in_use`: just that is wanted.
    """
    if in_engine(reference):
        if not in_use:
            wait_until_unused(reference)
        run("docker", "rmi", "--force", reference)


def wait_until_unused(reference: str) -> None:
    """Raises StageError when a container still uses the image after USED_AT_MOST seconds."""
    command = ["docker", "ps", "--all", "--quiet", "--filter", f"ancestor={reference}"]
    end = time.monotonic() + USED_AT_MOST
    while used_by := subprocess.run(command, capture_output=True, text=True, timeout=60).stdout:
        if time.monotonic() > end:
            raise StageError(f"{reference}: in use by {' '.join(used_by.split())}: remove them")
        time.sleep(0.05)


def remove_all_of(repository: str, in_use: bool = False) -> None:
    """Every tag and digest of a repository that the engine holds."""
    form = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    command = ["docker", "images", "--digests", "--format", form, repository]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    for name in listed.split():
        if "<none>" not in name:
            remove_from_engine(name, in_use)
