"""What is kept of a job's containers: root-owned files under /run/socker.

    /run/socker/NODE/JOB/           a job that asked for a container on this node
        groups, places              its cgroups, one a line; account, partition (slurmjob.py)
        containers/NAME             those the engine was asked for; what ends one (ending.py)
        removal                     held while its end is worked on (jobend.py)
        progress                    of its early start (progress.py)
        KEY.lock, KEY.json          held while a container is made or removed; its record
        KEY/passwd, KEY/group       what tasks mount over the image's own
        roots/HASH                  the directory of the job's writable roots
        steps/, ended               of steps that started and ended (audit.py)
        step-ID                     what is to be done when that step ends
        shown, KEY.steps, plan-*    what its owner may see (shown.py); for later steps (replay.py)
    /run/socker/pulls/NN.lock       held while an image is pulled or imported; 256 of them
    /run/socker/settings/           parsed settings (tomlcache.py)
    /run/socker/native/NODE.JOB     its steps need no container (native.py)
    /run/socker/early/NODE.JOB      its options, then held by its early start (early.c)
    /run/socker/files/              image files that were imported (imagefile.py)
    /run/socker/confirmed/          what registries have confirmed lately (confirmed.py)
    /run/socker/images/             what users may know of the node's images (shown.py)
    /run/socker/sound/              images that were looked at (sound.py)

KEY is a hash of what the container is for: an image, a name, or a step (DESIGN D8).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from pycontrol import tree, trusted
from pycontrol.errors import NodeError
from pycontrol.filename import file_name
from pycontrol.image import Image
from pycontrol.plaindata import asdict, dataclass


@dataclass(frozen=True)
class Record:
    """A running container: enough for a later step to join it without the engine."""

    container: str  # the engine's id of it
    name: str
    pid: int
    start_time: int  # ticks since boot: a pid alone may be another process's
    image: Image
    made_of: str = ""  # the image's name, as the step that made it gave it
    digest: str = ""  # of the registry that it came from


def pull_lock(root: Path, content: str) -> Path:
    """One of 256 locks: names are the users', their number must not grow with them."""
    return root / "pulls" / f"{file_name(content)[:2]}.lock"


class JobState:
    """The files of one job on one node."""

    def __init__(self, root: Path, node: str, job_id: int):
        self.folder = root / node / str(job_id)

    def make(self, groups: Iterable[Path]) -> None:
        """Begin the job's state with its cgroups, as Slurm named them.

        In one step: whoever finds the folder finds the groups, so the epilog can
        clear them however early the hook is killed.  Users pass through (to the
        account files) and read nothing else.
        """
        self.folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        draft = self.folder.parent / f".new-{os.urandom(8).hex()}"
        draft.mkdir(mode=0o700)
        try:
            write(draft / "groups", "".join(f"{group}\n" for group in groups), mode=0o600)
            draft.chmod(0o711)
            draft.rename(self.folder)
        except OSError:
            tree.remove(draft)
            if not self.exists():  # else another step of the job was faster
                raise

    def exists(self) -> bool:
        return self.folder.exists()

    def lock_file(self, key: str) -> Path:
        return self.folder / f"{file_name(key)}.lock"

    @property
    def removal_lock(self) -> Path:
        """Held while the job's containers and files are removed; none of locks()."""
        return self.folder / "removal"

    def locks(self) -> list[Path]:
        return sorted(self.folder.glob("*.lock"))

    def load(self, key: str) -> Record | None:
        """The record of a running container, if there is one."""
        return _load(self.folder / f"{file_name(key)}.json")

    def groups(self) -> list[Path]:
        """The job's cgroups, as directories."""
        return [Path(line) for line in trusted.read(self.folder / "groups").splitlines()]

    def note_container(self, name: str) -> None:
        """Before the engine is asked for one: the epilog looks for it from now on."""
        self._note("containers", name, "")

    def note_end_of(self, name: str, data: bytes) -> None:
        """It runs, and is recorded."""
        write(self.folder / "containers" / name, data, mode=0o600)

    def forget_container(self, name: str) -> None:
        """It has been seen gone."""
        (self.folder / "containers" / name).unlink(missing_ok=True)

    def noted_containers(self) -> int:
        """How many containers of the job the engine was asked for, and has not removed."""
        return len(list(self.folder.glob("containers/*")))

    def _note(self, kind: str, name: str, text: str) -> None:
        (self.folder / kind).mkdir(mode=0o700, exist_ok=True)
        write(self.folder / kind / name, text, mode=0o600)

    def recorded_containers(self) -> int:
        """How many of them came to run, and were recorded."""
        return len(list(self.folder.glob("*.json")))

    def image_ids(self) -> set[str]:
        """Of the images that its containers run, or ran."""
        records = [_load(path) for path in self.folder.glob("*.json")]
        return {record.image.image_id for record in records if record}

    def save(self, key: str, record: Record) -> None:
        write(self.folder / f"{file_name(key)}.json", json.dumps(asdict(record)), mode=0o600)

    def account_files(self, key: str) -> tuple[Path, Path]:
        """The passwd and group files that the tasks of a container see."""
        folder = self.folder / file_name(key)
        return folder / "passwd", folder / "group"

    def make_account_files(self, key: str) -> tuple[Path, Path]:
        """The same, with their directory made."""
        files = self.account_files(key)
        files[0].parent.mkdir(mode=0o711, exist_ok=True)
        return files

    def forget(self, key: str) -> None:
        """Of a container that no other step looks for."""
        for name in (f"{file_name(key)}.json", f"{file_name(key)}.lock"):
            (self.folder / name).unlink(missing_ok=True)
        tree.remove(self.folder / file_name(key))

    def note_roots(self, folder: Path) -> None:
        """Before the first is made there: whatever happens, the epilog removes it."""
        self._note("roots", file_name(str(folder)), str(folder))

    def roots(self) -> list[Path]:
        """One directory, or more if the setting was changed during the job."""
        return [Path(trusted.read(path)) for path in sorted(self.folder.glob("roots/*"))]

    def note_step_end(self, step_id: int, own_container: str) -> None:
        """Something is to be done when the step ends; the key of its container, or ""."""
        write(self.folder / f"step-{step_id}", own_container, mode=0o600)

    def step_end(self, step_id: int) -> str:
        return trusted.read(self.folder / f"step-{step_id}")

    def forget_step_end(self, step_id: int) -> None:
        (self.folder / f"step-{step_id}").unlink(missing_ok=True)

    def remove(self) -> None:
        tree.remove(self.folder)


def jobs(root: Path, node: str) -> list[int]:
    """The jobs that asked for a container on this node, and have not been forgotten."""
    return sorted(int(path.name) for path in (root / node).glob("*") if path.name.isdecimal())


def _load(path: Path) -> Record | None:
    try:
        fields = json.loads(trusted.read(path))
        image = fields.pop("image")
        return Record(
            image=Image(**{n: tuple(v) if isinstance(v, list) else v for n, v in image.items()}),
            **fields,
        )
    except FileNotFoundError:
        return None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NodeError(f"{path}: the record is damaged: {error}") from error


def write(path: Path, text: str | bytes, mode: int, owner: int = -1) -> None:
    """Replace a file in one step: a reader sees the old or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchown(descriptor, owner, -1)  # -1: its maker's
            file.write(text.encode(errors="surrogateescape") if isinstance(text, str) else text)
    except OSError as error:  # the disk is full
        draft.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    draft.replace(path)
