"""Runs jobs on the real cluster (tests/cluster) as ordinary users.

After every test the nodes must be as before: no container of ours, no cgroup
of a job, no mount, no file of a job, no drained node.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))

import images
import mpi_images
from locked_registry import locked, login, private  # noqa: F401  fixtures

from cgroup import remove as cgroup_remove

REGISTRY = images.REGISTRY
BUSYBOX = f"{REGISTRY}/busybox:1"
DEBIAN = f"{REGISTRY}/debian:bookworm"
STATE = Path("/run/socker")
SETTINGS = Path("/etc/socker/socker.toml")
PLUGSTACK = Path("/etc/slurm/plugstack.conf")
SOCKER = "/opt/socker/bin/socker"
LOGS = Path("/var/log/socker-cluster")
PATIENCE = float(os.environ.get("SOCKER_TEST_PATIENCE", "1"))  # more on an emulated machine
LONGEST = 150 * PATIENCE  # seconds for a command that a test has started
CLEAN_WITHIN = 30 * PATIENCE  # seconds for a node to be clean after a job
# What steps tell of a start that takes longer than two seconds, as one may on a busy machine.
PROGRESS = tuple(f"socker: {word} " for word in ("pulling", "unpacking", "waiting"))


def pytest_configure():
    """A run that is told to end puts back what it has changed: SIGTERM as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    reason = None
    if os.geteuid() != 0:
        reason = "starts jobs as other users: run as root"
    elif subprocess.run(["sinfo", "-h"], capture_output=True, timeout=60).returncode:
        reason = "no cluster: `make cluster` starts it"
    for item in items:
        item.add_marker(pytest.mark.slurm)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def said(self) -> list[str]:
        """socker's own lines; where srun's stand between them is a matter of chance."""
        return [line for line in self.stderr.splitlines() if line.startswith("socker: ")]


def without_progress(text: str) -> str:
    """What a step wrote, whether its start took long or not."""
    return "".join(x for x in text.splitlines(keepends=True) if not x.startswith(PROGRESS))


class User:
    """An ordinary user at the command line of the submit host."""

    def __init__(self, name: str):
        self.name = name
        self.home = Path(f"/home/{name}")

    def command(self, *argv: str) -> list[str]:
        return ["/usr/sbin/runuser", "-u", self.name, "--", *argv]

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        base = {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name}
        base |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "SHELL": "/bin/bash"}
        base |= {"SLURM_PMIX_FENCE": "ring"}  # else OpenMPI crashes at times, natively too: mpi.md
        return base | (extra or {})

    def start(self, *argv: str, cwd=None, env=None, **options) -> subprocess.Popen:
        process = subprocess.Popen(
            self.command(*argv),
            cwd=cwd or self.home,
            env=self.environment(env),
            text=True,
            **options,
        )
        limit = threading.Timer(LONGEST, process.terminate)  # whatever a test waits for: it ends
        limit.daemon = True
        limit.start()
        return process

    def run(self, *argv: str, stdin: str = "", timeout: float = 90, cwd=None, env=None) -> Result:
        """Run to the end; what stdin holds is given, nothing else."""
        done = subprocess.run(
            self.command(*argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout * PATIENCE,
            cwd=cwd or self.home,
            env=self.environment(env),
        )
        print(f"$ {' '.join(argv)}  [{done.returncode}]\n{done.stdout}{done.stderr}")
        return Result(done.returncode, done.stdout, done.stderr)

    def srun(self, *argv: str, **options) -> Result:
        return self.run("srun", "--quiet", *argv, **options)

    def signalled(self, name: str, *argv: str) -> tuple[str, int]:
        """Output and status of an srun that gets a signal once it has printed `ready`."""
        job = self.start("srun", "--job-name=signalled", *argv, stdout=subprocess.PIPE)
        for line in job.stdout:
            if "ready" in line:
                break
        self.run("scancel", f"--signal={name}", "--name=signalled")
        output, _ = job.communicate(timeout=60)
        return output, job.returncode

    def script(self, text: str, *argv: str, name: str = "job", env=None) -> Result:
        """Submit a batch script, wait for its end; stdout is what the job printed itself."""
        path = self.home / f"{name}.sh"
        output = self.home / f"{name}.out"
        path.write_text(text)
        output.unlink(missing_ok=True)
        done = self.run("sbatch", "--wait", f"--output={output}", *argv, str(path), env=env)
        printed = output.read_text(errors="replace") if output.exists() else ""
        print(printed)
        return Result(done.status, without_progress(printed), done.stderr)


@pytest.fixture
def alice() -> User:
    return User("alice")


@pytest.fixture
def bob() -> User:
    return User("bob")


def read(*argv: str) -> str:
    """The output of a command run as root."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=60 * PATIENCE).stdout


def slurm_release() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", read("sinfo", "--version"))[:2]))


def has_sleeper() -> bool:
    """Whether an extern step has a process of Slurm's; later releases' adopt processes only."""
    return slurm_release() < (25, 5)


def containers() -> list[str]:
    """The containers that carry our label, running or not."""
    return read("docker", "ps", "-aq", "--filter", "label=socker.job").split()


def job_cgroups() -> list[str]:
    """Slurm's cgroups of jobs, in v1's hierarchies or in v2's tree."""
    found = []
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        if re.search(
            r"/slurm[^/]*/uid_\d+/job_\d+$|slurmstepd\.scope/(job_\d+|s[0-9A-Z]+)$", folder
        ):
            found.append(folder)
    return [folder for folder in found if not slurms_own_race(Path(folder))]


def slurms_own_race(group: Path) -> bool:
    """An empty freezer group of a job that is in no other hierarchy any more.

    Slurm 22.05 can leave one when a step's slurmstepd has not quite ended as the
    extern step's removes the job's group (seen once, for a job whose only step
    was refused).  For jobs that asked for a container the epilog takes it.
    """
    if "/freezer/" not in str(group):
        return False
    others = [Path(str(group).replace("/freezer/", f"/{name}/")) for name in ("memory", "cpuset")]
    return is_empty(group) and not any(other.exists() for other in others)


def is_empty(group: Path) -> bool:
    """Whether a cgroup holds nothing; one that is gone by now holds nothing."""
    try:
        if any(path.is_dir() for path in group.iterdir()):
            return False
        return not (group / "cgroup.procs").read_text()
    except OSError:  # removed while we look
        return True


def leftovers() -> list[str]:
    """Everything that a finished job must not leave, in words."""
    found = [f"container {c}" for c in containers()]
    found += [f"cgroup {path}" for path in job_cgroups()]
    kept = (
        "pulls",
        "files",
        "images",
        "confirmed",
        "settings",
        "sound",
    )  # of the node, not of a job
    found += [f"file {path}" for path in STATE.glob("*/*") if path.parent.name not in kept]
    found += [f"writable root {path}" for path in Path("/var/lib/socker").glob("[!.]*/*")]
    extern = read("pgrep", "-f", "^sleep 100000000").split()  # Slurm's own, of each job
    found += [f"process {pid} of an extern step" for pid in extern]
    found += [f"process {pid}, a first process" for pid in read("pgrep", "-x", "pause").split()]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [f"mount {m}" for m in mounts if "/run/socker" in m or "/overlay2/" in m]
    found += [f"node {n}" for n in read("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
              if not n.endswith(" idle")]  # fmt: skip
    return found


@pytest.fixture(scope="session", autouse=True)
def start_clean() -> None:
    """What an interrupted run, or somebody's native job, left is no fault of the first test."""
    if leftovers():
        _sweep()


@pytest.fixture(autouse=True)
def settings() -> Iterator[Path]:
    """The site's settings: a test may write to the file, and the next one has the old text."""
    before = SETTINGS.read_text()
    yield SETTINGS
    if SETTINGS.is_symlink() or SETTINGS.is_dir():
        read("rm", "-rf", str(SETTINGS))
    if not SETTINGS.exists() or SETTINGS.read_text() != before:
        SETTINGS.write_text(before)
    if SETTINGS.stat().st_mtime > time.time():
        os.utime(SETTINGS)
    os.chown(SETTINGS, 0, 0)
    SETTINGS.chmod(0o644)
    SETTINGS.parent.chmod(0o755)


@pytest.fixture
def configure(settings):
    """Writes what the settings' file shall say."""
    return settings.write_text


@pytest.fixture
def plugstack():
    """Gives plugstack.conf another text: change(function of the text)."""
    before = PLUGSTACK.read_text()
    yield lambda change: PLUGSTACK.write_text(change(before))
    PLUGSTACK.write_text(before)


@pytest.fixture
def gated(wait_for):
    """A second partition, which rules may name."""
    read("scontrol", "create", "PartitionName=gated", "Nodes=ALL", "State=UP")
    yield "gated"
    wait_for(lambda: subprocess.run(["scontrol", "delete", "PartitionName=gated"]).returncode == 0)


@pytest.fixture(autouse=True)
def clean_nodes(request) -> Iterator[None]:
    """Fail the test that leaves something; take away what would fail the next."""
    yield
    end = time.monotonic() + CLEAN_WITHIN
    while (left := leftovers()) and time.monotonic() < end:
        time.sleep(0.1 * PATIENCE)
    if left:
        for path in LOGS.glob("slurmd-n?.log"):
            print(f"--- {path.name}\n", "\n".join(path.read_text().splitlines()[-40:]))
        _sweep()
        pytest.fail("left behind: " + "; ".join(left))


def _sweep() -> None:
    """So that one leak fails one test."""
    for user in ("alice", "bob"):  # of several --user scancel takes the last
        read("scancel", f"--user={user}")
    for container in containers():
        read("docker", "rm", "-f", container)
    for node in ("n1", "n2", "n3", "n4"):
        read("scontrol", "update", f"nodename={node}", "state=resume")
    time.sleep(2)
    for group in job_cgroups():
        cgroup_remove.remove(Path(group))
    for path in [*STATE.glob("n?/*"), *Path("/var/lib/socker").glob("n?/*")]:
        read("rm", "-rf", str(path))


def file_images() -> set[str]:
    """The tags of images that came from users' files."""
    form = "{{.Repository}}:{{.Tag}}"
    return set(read("docker", "images", "--format", form, "socker.local/file").split())


@pytest.fixture
def no_file_images():
    """The engine holds no image of a user's file, before and after."""

    def remove() -> None:
        for reference in file_images():
            images.remove_from_engine(reference)

    remove()
    yield
    remove()


@pytest.fixture
def make_image(tmp_path):
    """Makes an image of a root directory in the registry: make_image(name, fill, changes)."""
    made = []

    def make(name: str, fill=lambda root: None, changes=()) -> str:
        root = tmp_path / name
        shutil.rmtree(root, ignore_errors=True)
        images.busybox_root(root)
        fill(root)
        reference = f"{REGISTRY}/{name}:test"
        images.import_root(root, reference, list(changes))
        images.push(reference)
        made.append(reference)
        return reference

    yield make
    for reference in made:
        images.remove_from_engine(reference)


def _mpi_image(request, image: mpi_images.MpiImage) -> str:
    """The image, with a line on the screen: from nothing it takes half a minute."""
    started = time.monotonic()
    reference = mpi_images.provide(image)
    seconds = time.monotonic() - started
    if seconds > 2:
        screen = request.config.pluginmanager.getplugin("terminalreporter")
        screen.write_line(f" the image {image.name} was made in {seconds:.0f} s")
    return reference


@pytest.fixture(scope="session")
def mpis_files() -> Iterator[None]:
    """What ranks that are killed leave on a node, natively too."""
    yield
    for path in (*Path("/dev/shm").iterdir(), *Path("/tmp").glob("ompi.*")):
        if path.owner() == "alice":
            read("rm", "-rf", str(path))


@pytest.fixture(scope="session")
def openmpi(request, mpis_files) -> str:
    return _mpi_image(request, mpi_images.OPENMPI)


@pytest.fixture(scope="session")
def newer_openmpi(request, mpis_files) -> str:
    return _mpi_image(request, mpi_images.NEWER_OPENMPI)


@pytest.fixture(scope="session")
def mpich(request, mpis_files) -> str:
    return _mpi_image(request, mpi_images.MPICH)


@pytest.fixture
def wait_for():
    """wait_for(condition, seconds): polls until it is true and returns its value."""

    def wait(condition, seconds: float = 30):
        end = time.monotonic() + seconds * PATIENCE
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, f"waited {seconds} s in vain"
            time.sleep(0.1)

    return wait
