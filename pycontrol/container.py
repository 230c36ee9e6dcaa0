"""Makes and removes a job's container: everything that needs the engine.

Runs as root in the hooks.  Imported only where a container is made or removed:
the Docker SDK takes 0.2 s to import, and a step that finds its job's container
running needs none of this.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cgroup import place
from cgroup.place import Anchor
from pycontrol import anchors, identity, kernel, ownroot, slurm_commands, state
from pycontrol import engine as engines
from pycontrol.bridge import Channel, JobFacts
from pycontrol.config import Config
from pycontrol.engine import Engine, NewContainer
from pycontrol.errors import EngineError, NodeError, UserError
from pycontrol.image import Image, Reference
from pycontrol.policy import ContainerSpec
from pycontrol.pull import Puller
from pycontrol.rootfs import LARGEST, Root
from pycontrol.state import JobState, Record

REMOVAL_WAIT = 30  # seconds for containers that are being removed
IN_FLIGHT_WAIT = 3  # seconds for a request whose sender was killed; 20 ms are usual


@contextlib.contextmanager
def connected(config: Config) -> Iterator[Engine]:
    engine = Engine(config.engine, config.engine_timeout)
    try:
        yield engine
    finally:
        engine.close()


# --- making -------------------------------------------------------------------


def make(
    spec: ContainerSpec, facts: JobFacts, config: Config, channel: Channel, since: float
) -> Record:
    """Pull if need be, then create, start, seal and place the job's container.

    `since` is when the step began to ask (seconds, epoch).  Each effect
    registers its undo at once: a failure half-way leaves no container.
    """
    job = JobState(facts.state_root, facts.node, facts.job_id)
    anchor = anchors.find()
    with connected(config) as engine, contextlib.ExitStack() as undo:
        image = provide_image(spec, engine, facts, config, channel, since)
        new = new_container(spec, image, facts, config)
        job.note_container(new.name)
        container = engine.create(new)
        undo.callback(engine.remove, container)
        refuse_strange_accounts(engine, container, spec)
        record = start(engine, container, new.name, image, spec.image)
        seal(record)
        if spec.own_root:
            undo.callback(make_own_root(spec, record, facts, config, job))
        place_in_job(record, anchor)
        write_accounts(spec, record, job)
        job.save(spec.key, record)
        undo.pop_all()
    return record


def provide_image(
    spec: ContainerSpec,
    engine: Engine,
    facts: JobFacts,
    config: Config,
    channel: Channel,
    since: float,
) -> Image:
    """The image on this node: pulled or imported if need be."""
    assert spec.image  # lifecycle.provide() has seen to it
    if spec.image.source == "file":
        from pycontrol import imagefile

        path = spec.image.text
        return imagefile.provide(path, spec.account, engine, config, channel, facts.state_root)
    puller = Puller(engine, config, channel, facts.state_root, since)
    return puller.provide(spec.image, spec.pull)


def make_own_root(
    spec: ContainerSpec, record: Record, facts: JobFacts, config: Config, job: JobState
) -> Callable[[], None]:
    """A root that the user may write to; returns what undoes it."""
    base = Path(config.writable_dir)
    folder = base / facts.node / str(facts.job_id) / record.container[:12]
    ownroot.make_base(base)
    job.note_root(folder)
    ownroot.build(record, spec.account, folder)
    return partial(ownroot.remove, folder)


def refuse_strange_accounts(engine: Engine, container: str, spec: ContainerSpec) -> None:
    """The engine opens these files, as root and without a check, when it starts the container.

    A pipe in their place would hang it (seen with Docker 20.10), a device node
    would be opened, gigabytes of lines would be read.
    """
    for path in ("/etc/passwd", "/etc/group"):
        if not engine.is_small_regular_or_missing(container, path, LARGEST):
            raise UserError(
                f"image {spec.image.text}: its {path} is not a regular file of less than "
                "1 MiB: such an image cannot be run: rebuild it"
            )


def new_container(
    spec: ContainerSpec, image: Image, facts: JobFacts, config: Config
) -> NewContainer:
    # The time keeps the name apart from that of one still being removed.
    name = f"socker-{facts.node}-{facts.job_id}-{time.time_ns() // 1000:x}"
    return NewContainer(
        name=name,
        image=image,
        pause=config.pause,
        labels={
            **job_labels(facts),
            engines.USER: str(spec.account.uid),
            engines.IMAGE: spec.image.text,
        },
    )


def job_labels(facts: JobFacts) -> dict[str, str]:
    """What finds all containers of a job on this node, whatever else is lost."""
    return {engines.JOB: str(facts.job_id), engines.NODE: facts.node}


def start(engine: Engine, container: str, name: str, image: Image, made_of: Reference) -> Record:
    """Start the container; its first process, believed only by its cgroup.

    The engine's groups are named by the container and closed to users, so a
    process that took over the number is not in them (DESIGN D8).
    """
    pid = engine.start(container)
    record = Record(container, name, pid, place.start_time(pid) or 0, image, made_of.text)
    if not any(container in m.path for m in _memberships(pid)) or not state.is_alive(record):
        raise EngineError(f"container {container[:12]} ended at once: see Docker's log")
    return record


def _memberships(pid: int):
    try:
        return place.memberships(pid)
    except OSError:
        return ()


def seal(record: Record) -> None:
    """Make the container's own mounts nosuid and nodev (DESIGN D13).

    Whoever reached them through /proc/PID/root would else find the image's
    device nodes working.  In a child: this process stays where it is.
    """
    namespace = state.open_namespace(record)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kernel.enter_mount_namespace(namespace)
            kernel.forbid_setuid_and_devices("/")
            status = 0
        finally:
            os._exit(status)
    os.close(namespace)
    _, status = os.waitpid(child, 0)
    if status:
        raise NodeError(
            "the container's mounts cannot be made nosuid,nodev: Linux 5.12 or newer is needed"
        )


def place_in_job(record: Record, anchor: Anchor) -> None:
    """Put the first process where Slurm kills it when the job ends."""
    try:
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
        state.check_alive(record)
        yield Root(descriptor)
    finally:
        os.close(descriptor)


# --- removing -----------------------------------------------------------------


def remove_all(facts: JobFacts, config: Config, in_flight: bool) -> None:
    """Kill the job's containers on this node and see them gone.

    in_flight: a hook was killed behind a request to create one, which the
    engine may still carry out.
    """
    labels = job_labels(facts)
    started = time.monotonic()
    surely_all = started + (IN_FLIGHT_WAIT if in_flight else 0)
    with connected(config) as engine:
        while (found := engine.find_containers(labels)) or time.monotonic() < surely_all:
            if time.monotonic() > started + REMOVAL_WAIT:
                raise EngineError(f"the job's containers cannot be removed: {found}")
            for container in found:
                engine.remove(container)
            time.sleep(0.05)


def remove_one(key: str, job: JobState, config: Config) -> None:
    """Remove a container of the job, and what was written to it."""
    record = job.load(key)
    job.forget(key)
    if not record:
        return
    with connected(config) as engine:
        engine.remove(record.container)
    job.forget_container(record.name)
    for folder in job.roots():
        # What is not gone in time is the epilog's.
        if folder.name == record.container[:12] and ownroot.remove(folder):
            job.forget_root(folder)
