"""What socker does, and when.  START READING HERE.

The C shim calls these functions as root, each in a process of its own
(spank_plugin/hook.c forks, pycontrol/bridge.py converts).  Returning is
success; raising a SockerError fails the step with its text.

    step_start   slurmstepd, once per node and step, while it forks the tasks,
                 which wait for the plan
    step_end     slurmstepd, behind the last task, where the step left something
                 to save or to remove
    job_epilog   slurmd, once per node and job that asked for a container

The user's tasks are not started here: they stay children of slurmstepd and
enter the container by themselves (spank_plugin/join.c), following the plan
that step_start sends.
"""

from __future__ import annotations

from pycontrol import (
    audit,
    authorised,
    config,
    identity,
    lifecycle,
    mpi,
    namespaces,
    plan,
    policy,
    request,
)
from pycontrol.bridge import Channel, JobFacts, StepFacts
from pycontrol.config import Config
from pycontrol.policy import ContainerSpec
from pycontrol.stages import Stages


def step_start(facts: StepFacts, channel: Channel) -> None:
    """Make sure the step's container runs, and say how its tasks join it."""
    with audit.step(facts, channel) as seen:
        stages = Stages(facts, channel)
        lifecycle.begin(facts)
        settings = seen.config = config.load(facts.plugin_args).config
        spec = seen.spec = specify(facts, settings)
        authorised.check(spec.image, settings)
        lifecycle.check_target(spec, facts)
        wishes = plan.wishes(spec)
        stages.done("options, configuration and account")
        record = seen.record = lifecycle.provide(spec, facts, settings, channel)
        stages.done(f"container of {record.made_of}")
        with namespaces.of_step(spec, record, settings.pause, settings.tmpfs_size) as entered:
            lifecycle.keep(spec, facts, entered)
            plan.send(channel, facts, spec, record, settings, wishes, entered)
        stages.done("plan for the tasks")
        stages.ready()


def step_end(facts: StepFacts, channel: Channel) -> None:
    """Save the step's container if that was asked for, and remove what was its alone."""
    settings = config.load(facts.plugin_args).config
    lifecycle.end_step(specify(facts, settings), facts, settings, channel)


def job_epilog(facts: JobFacts, channel: Channel) -> None:
    """Nothing of the job's containers may stay on the node."""
    lifecycle.remove(facts, channel)


def specify(facts: StepFacts, settings: Config) -> ContainerSpec:
    """Options + account + configuration: what the step may have."""
    return policy.decide(
        request.parse(facts.options, facts.cwd),
        identity.look_up(facts.uid, facts.gid, facts.groups),
        settings,
        cwd=facts.cwd,
        step_id=facts.step_id,
        argv=facts.argv,
        terminal="SLURM_PTY_PORT" in facts.env,
        of_pmix=tuple(mpi.directories(facts)),
    )
