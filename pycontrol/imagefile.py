"""`--container-image=/PATH`: images in files that the user names, imported once per content.

Runs as root in the step's hook.  Root never opens the path: a child with the
owner's ids does (pycontrol/reader.py), and what it sends is verified here
(pycontrol/rebuild.py).  Files of a form that cannot be verified, squashfs, give
an image to their own user only: its content is that user's word.

    /run/socker/files/KEY.json      a file as it was, and the image made of it

KEY is of the user, too: the numbers that identify a file can be imitated by
whoever may mount a file system of his own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pycontrol import as_user, imageuse, limits, openfile, reader, rebuild, squashfs, state, trusted
from pycontrol.bridge import Channel
from pycontrol.config import Config
from pycontrol.engine import Engine
from pycontrol.errors import EngineError, UserError
from pycontrol.identity import Account
from pycontrol.image import Image, Reference
from pycontrol.locks import locked
from pycontrol.openfile import Identity
from pycontrol.patience import Teller, within
from pycontrol.plaindata import asdict
from pycontrol.rebuild import Plan
from pycontrol.source import chunks

REPOSITORY = "socker.local/file"  # its tags keep the images from `docker image prune`
RULES = "1"  # of making an image of a squashfs file: a change makes new images
SETTLED = 2  # seconds: a younger file may change again without a trace in its times
MOST_RECORDS = 4096
LONGEST_PLAN = 8 << 20  # bytes: a configuration in base64, and the layers


class Importer:
    """Brings one file's image to the engine for one step.

    judge: called with where the path leads, raises PolicyError; None where the
    site has no rules.
    """

    def __init__(
        self,
        path: str,
        account: Account,
        engine: Engine,
        config: Config,
        channel: Channel,
        root: Path,
        judge: Callable[[str], None] | None = None,
    ):
        self._path = path
        self._account = account
        self._engine = engine
        self._config = config
        self._channel = channel
        self._root = root
        self._judge = judge
        self._limits = limits.of(config)
        self._teller = Teller(channel, config.progress_interval)

    def provide(self) -> Image:
        """The image of the file, imported if this node does not have it."""
        file = self._look()
        image = self._recorded(file)
        if image:
            return image
        seconds = self._config.pull_timeout
        self._channel.ask_for_time(seconds + self._config.engine_timeout)
        too_long = f"image {self._path}: importing took longer than pull_timeout = {seconds} s"
        # A user's own locks, few: whoever holds one up keeps nobody else waiting.
        lock = self._root / "files" / f"{self._account.uid}-{self._key(file)[0]}.lock"
        with within(seconds, f"{too_long}: a smaller image, or a later try, may do"):
            with locked(lock, self._waiting, seconds):
                return self._recorded(file) or self._import(file)

    def _waiting(self) -> None:
        self._teller.tell("waiting for another step's import of", self._path)

    def _look(self) -> Identity:
        """The file as it is now; the user can open it."""
        text = as_user.call(self._account, partial(reader.look, self._path))
        found, path = json.loads(text)
        if self._judge:
            self._judge(path)
            self._path = path  # no link decides a second time
        return Identity(**found)

    # --- records ---

    def _key(self, file: Identity) -> str:
        return _hash(self._account.uid, *asdict(file).values())

    def _record(self, file: Identity) -> Path:
        return self._root / "files" / f"{self._key(file)}.json"

    def _recorded(self, file: Identity) -> Image | None:
        try:
            image_id = json.loads(trusted.read(self._record(file)))["image"]
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None
        return self._engine.image_by_id(image_id, self._path)

    def _note(self, file: Identity, image: Image) -> None:
        """Only of a file that is as it was, and whose next change its times will show."""
        newest = max(file.modified, file.changed) / 1e9
        if time.time() < newest + SETTLED or self._look() != file:
            return
        record = self._record(file)
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(record.parent)
        state.write(record, json.dumps({"image": image.image_id}), mode=0o600)

    # --- importing ---

    def _import(self, file: Identity) -> Image:
        if file.form == openfile.SQUASHFS:
            image = self._import_squashfs(file)
        else:
            image = self._import_archive()
        self._note(file, image)
        return image

    def _import_archive(self) -> Image:
        """The image's id is the hash of all of it: its users may share it."""
        plan = self._describe()
        self._limits.check(self._path, plan.size, len(plan.layers))
        content = plan.image_id.removeprefix("sha256:")
        present = self._engine.image_by_id(plan.image_id, self._path) or self._kept(content)
        with contextlib.closing(self._verified(plan)) as data:
            if not present:
                self._check_room()
                return self._keep(self._engine.load(data, self._path, self._unpacking), content)
            for _ in data:  # the file must hold what it claims, all the same
                pass
        return self._keep(present.image_id, content)

    def _kept(self, content: str) -> Image | None:
        return self._engine.find_image(Reference(f"{REPOSITORY}:{content}"))

    def _check_room(self) -> None:
        if self._limits.watch_room:
            self._limits.check_room(self._path, limits.taken(self._engine.disk_usage()))

    def _unpacking(self) -> None:
        self._teller.tell("importing", self._path, "the engine unpacks it")

    def _describe(self) -> Plan:
        """What the file holds, in the child's words; lines about its progress come before."""
        with as_user.reading(self._account, partial(reader.describe, self._path)) as lines:
            plan = None
            while line := lines.readline(LONGEST_PLAN):
                words = json.loads(line)
                if "config" in words:
                    plan = reader.plan_of(self._path, words)
                else:
                    self._teller.tell("reading", self._path, done=int(words["read"]))
        if not plan:
            raise EngineError(f"image {self._path}: the helper process said nothing of it")
        return plan

    def _verified(self, plan: Plan) -> Iterator[bytes]:
        """The archive for the engine; it has an end only when all of it is right."""
        progress = partial(self._progress, "importing", plan.size)
        with as_user.reading(self._account, partial(reader.pour, plan)) as layers:
            whole = yield from rebuild.rebuilt(plan, layers, progress)
        if not whole:  # and the child, which tells its errors first, saw none
            raise UserError(f"image {self._path}: it was cut short while it was read")
        yield rebuild.end(plan)

    def _import_squashfs(self, file: Identity) -> Image:
        """Nothing ties the tar to the hash but the user's process: hence the uid in `content`."""
        unpacker, viewer = squashfs.tool("sqfs2tar"), squashfs.tool("rdsquashfs")
        content = _hash("squashfs", RULES, self._account.uid, self._hash_of(file))
        present = self._kept(content)
        if present:
            return present
        self._check_room()
        settings = [
            as_user.call(self._account, partial(reader.setting, self._path, file, name, viewer))
            for name in (squashfs.ENVIRONMENT, squashfs.RC)
        ]
        changes = squashfs.changes(self._path, *settings)
        with contextlib.closing(self._unpacked(file, unpacker)) as tar:
            return self._keep(self._engine.import_root(tar, changes, self._path), content)

    def _hash_of(self, file: Identity) -> str:
        content = hashlib.sha256()
        done = 0
        with as_user.reading(self._account, partial(reader.copy, self._path, file)) as data:
            for chunk in chunks(data):
                content.update(chunk)
                done += len(chunk)
                self._progress("reading", file.size, done)
        return content.hexdigest()

    def _unpacked(self, file: Identity, program: str) -> Iterator[bytes]:
        """The tar; its end only when the child has ended well."""
        done, held = 0, b""
        with as_user.reading(
            self._account, partial(reader.unpack, self._path, file, program)
        ) as tar:
            for chunk in chunks(tar):
                if held:
                    yield held
                held = chunk
                done += len(chunk)
                self._limits.check(self._path, done, 1)
                self._teller.tell("importing", self._path, done=done)
        if held:
            yield held

    def _progress(self, doing: str, total: int, done: int) -> None:
        self._teller.tell(doing, self._path, done=done, total=total)

    def _keep(self, image_id: str, content: str) -> Image:
        image = self._engine.image_by_id(image_id, self._path)
        if not image:
            raise EngineError(f"image {self._path}: imported, but the engine does not have it")
        self._engine.tag(image_id, REPOSITORY, content)
        imageuse.note_brought(image_id, f"{REPOSITORY}:{content}")
        return image


def _hash(*words: object) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def _make_room(folder: Path) -> None:
    """Users make files without end: what is forgotten is only read once more."""
    records = list(folder.glob("*.json"))
    if len(records) >= MOST_RECORDS:
        for record in records[::2]:
            record.unlink(missing_ok=True)
