"""What socker does, and when.  START READING HERE.

The C shim calls these functions as root, each in a process of its own
(spank_plugin/hook.c forks, pycontrol/bridge.py converts).  Returning is
success; raising a SockerError fails the step with its text.

    step_start   slurmstepd, once per node and step, while it forks the tasks,
                 which wait for the plan
    job_epilog   slurmd, once per node and job that used a container

The user's tasks are not started here: they stay children of slurmstepd and
enter the container by themselves (spank_plugin/join.c), following the plan
that step_start sends.
"""

from __future__ import annotations

import os

from pycontrol import config, environment, identity, lifecycle, policy, request, state
from pycontrol.bridge import Channel, JobFacts, StepFacts
from pycontrol.mounts import Mount
from pycontrol.policy import ContainerSpec
from pycontrol.state import JobState, Record


def step_start(facts: StepFacts, channel: Channel) -> None:
    """Make sure the step's container runs, and say how its tasks join it."""
    lifecycle.begin(facts)
    settings = config.load(facts.plugin_args).config
    asked = request.parse(facts.options, facts.cwd)
    account = identity.look_up(facts.uid, facts.gid, facts.groups)
    spec = policy.decide(
        asked, account, settings, cwd=facts.cwd, step_id=facts.step_id, argv=facts.argv
    )
    record = lifecycle.provide(spec, facts, settings, channel)
    send_plan(channel, facts, spec, record)


def job_epilog(facts: JobFacts, channel: Channel) -> None:
    """Nothing of the job's containers may stay on the node."""
    lifecycle.remove(facts, channel)


def send_plan(channel: Channel, facts: StepFacts, spec: ContainerSpec, record: Record) -> None:
    """Tell the shim what each task has to do."""
    namespace = state.open_namespace(record)
    channel.namespace(namespace)
    os.close(namespace)
    job = JobState(facts.state_root, facts.node, facts.job_id)
    passwd, group = job.account_files(spec.image)
    for mount in (
        *spec.mounts,
        Mount(str(passwd), "/etc/passwd", read_only=True),
        Mount(str(group), "/etc/group", read_only=True),
        *spec.user_mounts,
    ):
        channel.mount(mount.flags, mount.source, mount.target)
    if spec.read_only_root:
        channel.read_only_root()
    for workdir in workdirs(spec, record):
        channel.workdir(workdir)
    send_environment(channel, facts, spec, record)


def workdirs(spec: ContainerSpec, record: Record) -> list[str]:
    """The one that was asked for, or the first that the task can enter."""
    if spec.workdir:
        return [spec.workdir]
    return [path for path in (spec.cwd, record.image.workdir, "/") if path.startswith("/")]


def send_environment(
    channel: Channel, facts: StepFacts, spec: ContainerSpec, record: Record
) -> None:
    account = {"HOME": spec.account.home, "USER": spec.account.name, "LOGNAME": spec.account.name}
    changes = environment.merge(facts.env, record.image.env, account)
    for name, value in changes.set.items():
        channel.set_variable(name, value)
    for name in changes.remove:
        channel.remove_variable(name)
