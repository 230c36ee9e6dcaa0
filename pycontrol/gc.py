"""Takes from a node what jobs have left: after a crash, a power loss, a killed epilog.

Runs as root, in `socker gc`.  First what is there is found, then who lives is
asked, so nothing of a job that starts meanwhile is touched.  What is not ours is
not found (leftovers.py); what may live stays (living.py).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cgroup import files
from pycontrol import jobend, kernel, leftovers, living, locks, ownroot
from pycontrol.bridge import Channel, JobFacts
from pycontrol.errors import EngineError, NodeError, SockerError
from pycontrol.leftovers import CONTAINER, DRAFT, LOCK, MOUNT, NOTE, ROOT, STATE, Thing
from pycontrol.living import Witnesses
from pycontrol.plaindata import dataclass, replace
from pycontrol.settings import Config

STAYS, GOES, REMOVED, FAILED = "stays", "goes", "removed", "failed"
GC_WAIT = 10  # seconds for another gc, or for a job's epilog
ORDER = (MOUNT, STATE, CONTAINER, ROOT, NOTE, DRAFT, LOCK)


@dataclass(frozen=True)
class Ruling:
    """What becomes of a thing, and why."""

    thing: Thing
    what: str  # STAYS, GOES; afterwards REMOVED or FAILED
    why: str


class Silent(Channel):
    """For what tells an epilog's user: nobody waits here."""

    def __init__(self, log: Callable[[str], None]):
        super().__init__(())
        self.log = log  # type: ignore[method-assign]

    def _broadcast(self, data: list[bytes], ancillary: list) -> None:
        pass


@dataclass(frozen=True)
class Collector:
    """gc on this node.

    arguments  of the plugstack.conf line
    say        takes what went wrong and concerns no single thing, and remarks
    """

    root: Path
    config: Config
    arguments: tuple[str, ...]
    say: Callable[[str], None]

    def survey(self) -> list[Ruling]:
        """What there is, and what would become of it.  Changes nothing."""
        things = list(self._find())
        witnesses = Witnesses(self.root, self.config.slurm_bin)
        return [rule(thing, witnesses) for thing in things]

    def collect(self) -> list[Ruling]:
        """The same, done."""
        with locks.locked(self.root / "gc.lock", lambda: None, GC_WAIT):
            rulings = self.survey()
            rulings.sort(key=lambda ruling: ORDER.index(ruling.thing.kind))
            return [self._carry_out(r) if r.what == GOES else r for r in rulings]

    def _find(self) -> Iterator[Thing]:
        writable = Path(self.config.writable_dir)
        yield from leftovers.mounts(files.read_proc("self", "mountinfo"), (self.root, writable))
        yield from leftovers.files(self.root, writable)
        try:
            with self._engine() as engine:
                yield from leftovers.containers(engine.containers([leftovers.JOB]))
        except EngineError as error:
            self.say(f"containers are not looked at: {error}")

    @contextlib.contextmanager
    def _engine(self) -> Iterator:
        from pycontrol.engine import Engine

        engine = Engine(self.config.engine, self.config.engine_timeout)
        with contextlib.closing(engine):
            yield engine

    def _carry_out(self, ruling: Ruling) -> Ruling:
        thing = ruling.thing
        if thing.job is not None and living.has_slurmstepd(thing.job):
            return replace(ruling, what=STAYS, why="its slurmstepd has begun to run")
        try:
            self._remove(thing)
        except FileNotFoundError:
            pass  # it went with another thing
        except (OSError, SockerError) as error:
            return replace(ruling, what=FAILED, why=f"{ruling.why}; {error}")
        return replace(ruling, what=REMOVED)

    def _remove(self, thing: Thing) -> None:
        path = Path(thing.name)
        if thing.kind == MOUNT:
            kernel.unmount(thing.name)
        elif thing.kind == STATE:
            self._end_job(thing)
        elif thing.kind == CONTAINER:
            with self._engine() as engine:
                engine.remove(thing.name)
        elif thing.kind == ROOT:
            if not ownroot.remove(path):
                raise NodeError("it is large: its removal goes on")
        elif thing.kind == LOCK:
            with locks.locked(path, lambda: None, 0):
                path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def _end_job(self, thing: Thing) -> None:
        """What the job's epilog would have done."""
        assert thing.job is not None
        facts = JobFacts(thing.job, 0, thing.node, self.root, self.arguments)
        jobend.remove(facts, Silent(self.say), GC_WAIT)


def rule(thing: Thing, witnesses: Witnesses) -> Ruling:
    """What becomes of one thing; in doubt it stays."""
    if thing.doubt:
        return Ruling(thing, STAYS, thing.doubt)
    if thing.job is None:
        return Ruling(thing, GOES, "nobody uses it")
    verdict = witnesses.verdict(thing.node, thing.job)
    if verdict.lives is None:
        return Ruling(thing, STAYS, f"whether its job lives is not known: {verdict.why}")
    return Ruling(thing, STAYS if verdict.lives else GOES, verdict.why)
