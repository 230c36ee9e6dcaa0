"""Makes a job's container; removal.py ends it.

Runs as root in the hooks.  Imported only where a container is made: a step that
finds its job's container running needs none of this.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cgroup import place, priority
from cgroup.place import Anchor
from pycontrol import (
    anchors,
    ending,
    firstprocess,
    identity,
    imageuse,
    kernel,
    ownroot,
    provide,
    removal,
    slurm_commands,
    sound,
    state,
)
from pycontrol import engine as engines
from pycontrol.bridge import Channel, JobFacts, StepFacts
from pycontrol.config import Config
from pycontrol.engine import Engine, NewContainer
from pycontrol.errors import EngineError, NodeError, NotHere
from pycontrol.image import Reference
from pycontrol.policy import ContainerSpec
from pycontrol.provide import Found
from pycontrol.rootfs import Root
from pycontrol.state import JobState, Record

ENGINES_OWN = ("/proc", "/sys", "/dev")  # file systems that it mounts in each container


def make(
    spec: ContainerSpec, facts: StepFacts, config: Config, channel: Channel, since: float
) -> Record:
    """Pull if need be, then create, start, seal and place the job's container.

    `since` is when the step began to ask (seconds, epoch).  Each effect
    registers its undo at once: a failure half-way leaves no container.
    """
    job = JobState(facts.state_root, facts.node, facts.job_id)
    anchor = anchors.find(facts)
    with removal.connected(config) as engine, contextlib.ExitStack() as undo:
        new, found, container = create(spec, engine, facts, config, channel, since, anchor)
        undo.callback(engine.remove, container)
        sound.check(engine, container, spec.image.text, found.image, facts.state_root)
        record = start(engine, container, new.name, found, spec.image)
        seal(record)
        if spec.own_root:
            undo.callback(make_own_root(spec, record, facts, config, job))
        place_in_job(record, anchor, facts)
        write_accounts(spec, record, job)
        job.save(spec.key, record)
        ending.keep(record, job, facts, config, since)
        undo.pop_all()
    return record


def bring_image(spec: ContainerSpec, facts: StepFacts, config: Config, channel: Channel) -> None:
    with removal.connected(config) as engine:
        provide.for_step(spec, engine, facts, config, channel, time.time())


def create(
    spec: ContainerSpec,
    engine: Engine,
    facts: StepFacts,
    config: Config,
    channel: Channel,
    since: float,
    anchor: Anchor,
) -> tuple[NewContainer, Found, str]:
    """A container that does not run yet; its id comes last.

    An image may be pruned between the look at it and here: then it is brought again.
    """
    job = JobState(facts.state_root, facts.node, facts.job_id)
    for again in (True, False):
        found = provide.for_step(spec, engine, facts, config, channel, since)
        imageuse.note(found.image.image_id)
        new = new_container(spec, found, facts, config, anchor)
        job.note_container(new.name)
        try:
            return new, found, engine.create(new)
        except NotHere:
            job.forget_container(new.name)
            if not again:
                raise
    raise AssertionError


def make_own_root(
    spec: ContainerSpec, record: Record, facts: JobFacts, config: Config, job: JobState
) -> Callable[[], None]:
    """A root that the user may write to; returns what undoes it."""
    base = Path(config.writable_dir)
    folder = base / facts.node / str(facts.job_id) / record.container[:12]
    ownroot.make_base(base)
    job.note_roots(folder.parent)
    ownroot.build(record, spec.account, folder)
    return partial(ownroot.remove, folder)


def new_container(
    spec: ContainerSpec, found: Found, facts: JobFacts, config: Config, anchor: Anchor
) -> NewContainer:
    # The time: one of the same name may still be being removed.
    name = f"socker-{facts.node}-{facts.job_id}-{time.time_ns() // 1000:x}"
    return NewContainer(
        name=name,
        image=found.image,
        pause=config.pause,
        labels={
            **removal.job_labels(facts),
            engines.USER: str(spec.account.uid),
            engines.IMAGE: spec.image.text,
            engines.DIGEST: found.digest,
        },
        ends_with=anchor.pid if anchor.lasts else None,
    )


def start(engine: Engine, container: str, name: str, found: Found, made_of: Reference) -> Record:
    """Start the container; its first process, believed only by its cgroup.

    The engine's groups are named by the container and closed to users, so a
    process that took over the number is not in them (DESIGN D8).
    """
    pid = engine.start(container)
    started = place.start_time(pid) or 0
    record = Record(container, name, pid, started, found.image, made_of.text, found.digest)
    if not any(container in m.path for m in _memberships(pid)) or not firstprocess.is_alive(record):
        raise EngineError(f"container {container[:12]} ended at once: see Docker's log")
    return record


def _memberships(pid: int):
    try:
        return place.memberships(pid)
    except OSError:
        return ()


def seal(record: Record) -> None:
    """Make the container's own mounts nosuid and nodev (DESIGN D13), and drop the engine's.

    Whoever reached them through /proc/PID/root would else find the image's
    device nodes working.  The tasks have the node's /proc, /sys and /dev; each would
    have to unmount the engine's first (spank_plugin/mounts.c), which takes as long as
    all its mounts.  In a child: this process stays where it is.
    """
    namespace = firstprocess.open_namespace(record)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kernel.enter_mount_namespace(namespace)
            kernel.forbid_setuid_and_devices("/")
            for folder in ENGINES_OWN:
                with contextlib.suppress(OSError):  # a link in the image: the tasks resolve it
                    kernel.unmount(folder)
            status = 0
        finally:
            os._exit(status)
    os.close(namespace)
    _, status = os.waitpid(child, 0)
    if status:
        raise NodeError(
            "the container's mounts cannot be made nosuid,nodev: Linux 5.12 or newer is needed"
        )


def place_in_job(record: Record, anchor: Anchor, facts: StepFacts) -> None:
    """Put the first process, or its leash, where Slurm kills it when the job ends."""
    try:
        if anchor.is_slurmstepd and facts.adopt:
            place.adopt(record.pid, record.start_time, facts.adopt)
        elif anchor.lasts:
            pid, started = firstprocess.leash(record)
            place.place(pid, started, anchor)
            priority.run_first(pid, started)  # it has 1 ms to end (decision 0020)
        else:
            place.place(record.pid, record.start_time, anchor)
    except (OSError, LookupError) as error:
        raise NodeError(f"the container cannot be placed in the job's cgroups: {error}") from error


def write_accounts(spec: ContainerSpec, record: Record, job: JobState) -> None:
    """The account files that tasks mount over the image's."""
    with root_of(record) as root:
        text, daemons = root.read_text("/etc/passwd"), identity.entries(slurm_commands.users())
        passwd = identity.passwd_file(spec.account, root.shell(), text, daemons)
        group = identity.group_file(spec.account, root.read_text("/etc/group"))
    passwd_path, group_path = job.make_account_files(spec.key)
    state.write(passwd_path, passwd, mode=0o644)
    state.write(group_path, group, mode=0o644)


@contextlib.contextmanager
def root_of(record: Record) -> Iterator[Root]:
    descriptor = os.open(f"/proc/{record.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        firstprocess.check_alive(record)
        yield Root(descriptor)
    finally:
        os.close(descriptor)
