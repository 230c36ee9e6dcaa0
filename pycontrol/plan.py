"""Tells the tasks of a step, through the shim, what each has to do to join.

Runs as root in the step's hook; spank_plugin/bridge.h has the records.
"""

from __future__ import annotations

import os
import stat

from pycontrol import (
    as_user,
    environment,
    judge,
    mounts,
    mpi,
    namespaces,
    pytorch,
    request,
    ruling,
    slurm_commands,
)
from pycontrol.bridge import Channel, StepFacts
from pycontrol.config import Config, split_arguments
from pycontrol.environment import Wishes
from pycontrol.errors import UserError
from pycontrol.image import DIGEST_ENTRY
from pycontrol.mounts import Mount
from pycontrol.namespaces import Namespaces
from pycontrol.plaindata import replace
from pycontrol.policy import ContainerSpec
from pycontrol.state import JobState, Record

LARGEST_ENV_FILE = 1 << 18  # bytes


def send(
    channel: Channel,
    facts: StepFacts,
    spec: ContainerSpec,
    record: Record,
    config: Config,
    wanted: Wishes,
    entered: Namespaces,
) -> None:
    """Namespaces, mounts in order, working directory, command, environment."""
    for kind, descriptor in entered.descriptors.items():
        channel.namespace(kind, descriptor)
    send_mounts(channel, facts, spec, config)
    if spec.read_only_root:
        channel.read_only_root()
    for workdir in workdirs(spec, record):
        channel.workdir(workdir)
    channel.launcher(config.launcher)
    send_entrypoint(channel, facts, spec, record)
    send_environment(channel, facts, spec, record, wanted)
    if facts.node_index == 0:
        for hint in mpi.HINTS:
            channel.hint(*hint)


def send_mounts(channel: Channel, facts: StepFacts, spec: ContainerSpec, config: Config) -> None:
    job = JobState(facts.state_root, facts.node, facts.job_id)
    passwd, group = job.account_files(spec.key)
    accounts = (
        Mount(str(passwd), "/etc/passwd", read_only=True),
        Mount(str(group), "/etc/group", read_only=True),
    )
    send_path_rules(channel, spec, config)
    slurm = slurm_commands.mounts(config, facts.plugin_args) if spec.slurm else ()
    number = 0
    for mount in (*spec.mounts, *accounts, *slurm, *spec.user_mounts):
        if mount.kind in mounts.INSIDE:
            mount = replace(mount, source=namespaces.source(number))
            number += 1
        channel.mount(mount.flags, mount.source, mount.target)


def send_path_rules(channel: Channel, spec: ContainerSpec, config: Config) -> None:
    """For the mounts that are checked: the tasks know where their sources lead."""
    sources = judge.common_sources(spec.judges)
    if sources is not None:
        for path in (*sources, *ruling.sources_of_socker(config)):
            channel.path_rule("S", path)
    for path in judge.all_targets(spec.judges):
        channel.path_rule("G", path)


def workdirs(spec: ContainerSpec, record: Record) -> list[str]:
    """The one that was asked for, or the first that the task can enter."""
    if spec.workdir:
        return [spec.workdir]
    return [path for path in (spec.cwd, record.image.workdir, "/") if path.startswith("/")]


def send_entrypoint(
    channel: Channel, facts: StepFacts, spec: ContainerSpec, record: Record
) -> None:
    if not spec.entrypoint:
        return
    for word in record.image.entrypoint:
        channel.entrypoint(word)
    if spec.entrypoint_log and facts.node_index == 0:
        words = " ".join(record.image.entrypoint) or "none"
        channel.tell(f"image {record.made_of}: its entrypoint: {words}")


def wishes(spec: ContainerSpec) -> Wishes:
    """The variables of --container-env-file, then those of --container-env."""
    if not spec.env_file:
        return spec.wishes
    path = spec.env_file
    try:
        data = as_user.call(spec.account, lambda: _read(path), LARGEST_ENV_FILE)
    except UserError as error:
        raise UserError(f"--container-env-file: {error}: check the path") from error
    keep, pairs = environment.parse_file(data.decode(errors="surrogateescape"), path)
    return Wishes(keep + spec.wishes.keep, pairs + spec.wishes.set)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # of a pipe: no wait
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path}: it is not a regular file")
        return file.read(LARGEST_ENV_FILE + 1)


def send_environment(
    channel: Channel, facts: StepFacts, spec: ContainerSpec, record: Record, wanted: Wishes
) -> None:
    account = {"HOME": spec.account.home, "USER": spec.account.name, "LOGNAME": spec.account.name}
    last_in_path = slurm_commands.BIN if spec.slurm else ""
    defaults = pytorch.defaults(record.image.env, facts)
    changes = environment.merge(
        facts.env, record.image.env, account, wanted, last_in_path, defaults
    )
    for name, value in changes.set.items():
        channel.set_variable(name, value)
    for name in changes.remove:
        channel.remove_variable(name)
    if record.digest:
        channel.set_variable(environment.DIGEST, record.digest)
    else:
        channel.remove_variable(environment.DIGEST)  # of a step that this one was started in
    for name, other in changes.copies.items():
        channel.copy_variable(name, other)
    if spec.slurm:
        send_options(channel, facts, record)


def send_options(channel: Channel, facts: StepFacts, record: Record) -> None:
    """An srun inside has the options of the step that it is in, and its image's digest."""
    prefix = split_arguments(facts.plugin_args).get("prefix", "")
    wanted, others = slurm_commands.inherited(facts.options, facts.env, prefix)
    for name, value in wanted.items():
        channel.set_variable(name, value)
    for name in others:
        channel.remove_variable(name)
    given = dict(facts.options)
    image = given.get("docker", given.get("container-image"))
    if image and record.digest:
        entry = f"{DIGEST_ENTRY}={record.digest} {image}"
        channel.set_variable(request.JOBS_DIGEST, entry)
