"""What socker does, and when.  START READING HERE.

The C shim calls these functions as root, each in a process of its own
(spank_plugin/hook.c forks, pycontrol/bridge.py converts).  Returning is
success; raising a SockerError fails the step with its text.

    job_start    slurmstepd of the job's extern step, once per job and node, where
                 the job was submitted with container options
    step_start   slurmstepd, once per node and step, while it forks the tasks,
                 which wait for the plan
    step_native  slurmstepd, once per job and node, for a step without a container,
                 where plugstack.conf says native=check
    step_end     slurmstepd, behind the last task, where the step left something
                 to save or to remove
    job_epilog   (jobend.py) slurmd, once per node and job that asked for a container:
                 nothing of the job's containers stays on the node; where all that
                 takes is recorded the shim does it (spank_plugin/job_end.c)

The user's tasks are not started here: they stay children of slurmstepd and
enter the container by themselves (spank_plugin/join.c), following the plan
that step_start sends.  It is kept: later steps of the job that ask the same get
it from the shim (spank_plugin/replay.c), and step_start is not called.  So does
the first, where job_start was in time.
"""

from __future__ import annotations

from pycontrol import (
    audit,
    config,
    identity,
    lifecycle,
    mpi,
    namespaces,
    native,
    plan,
    policy,
    replay,
    request,
    ruling,
    slurmjob,
)
from pycontrol.bridge import Channel, StepFacts, Unheard
from pycontrol.config import Config
from pycontrol.environment import Wishes
from pycontrol.errors import NodeError, disk_errors
from pycontrol.identity import Account
from pycontrol.policy import ContainerSpec
from pycontrol.request import ContainerRequest
from pycontrol.rules import NOWHERE
from pycontrol.stages import Stages


def job_start(facts: StepFacts, channel: Unheard) -> None:
    """Begin with what the job's first step will ask for; what fails here, that step tells."""
    recorder = replay.Recorder(facts, channel)
    settings = config.load(facts.plugin_args).config
    if not settings.early_start:
        return recorder.give_up()
    seen = audit.Step(facts, channel, config=settings)
    with disk_errors():
        lifecycle.begin(facts)
        spec = seen.spec = decide(facts, settings)
        if not recorder.may_keep(spec, settings):
            recorder.give_up()
        seen.record = lifecycle.prepare(spec, facts, settings, channel)
        if seen.record and replay.is_plain(spec):
            tell(seen, plan.wishes(spec))
            recorder.keep(seen, settings)


def step_start(facts: StepFacts, channel: Channel) -> None:
    """Make sure the step's container runs, and say how its tasks join it."""
    recorder = replay.Recorder(facts, channel)
    with audit.step(facts, channel) as seen, disk_errors():
        stages = Stages(facts, channel)
        lifecycle.begin(facts)
        settings = seen.config = config.load(facts.plugin_args).config
        spec = seen.spec = decide(facts, settings)
        lifecycle.check_target(spec, facts)
        variables = plan.wishes(spec)
        stages.done("options, configuration and account")
        record = seen.record = lifecycle.provide(spec, facts, settings, channel)
        stages.done(f"container of {record.made_of}")
        tell(seen, variables)
        recorder.keep(seen, settings)
        stages.done("plan for the tasks")
        stages.ready()


def tell(seen: audit.Step, variables: Wishes) -> None:
    """How the tasks join the container, and what is the step's alone."""
    facts, spec, record, settings = seen.facts, seen.spec, seen.record, seen.config
    assert spec and record
    with namespaces.of_step(spec, record, settings.pause, settings.tmpfs_size) as entered:
        lifecycle.keep(spec, facts, entered)
        plan.send(seen.channel, facts, spec, record, settings, variables, entered)


def step_native(facts: StepFacts, channel: Channel) -> None:
    """Refuse a step that wants no container where the site's rules require one."""
    try:
        settings = config.load(facts.plugin_args).config
        rules = config.load_rules(settings)
    except NodeError as error:  # of the admin's; it must not stop the cluster's other jobs
        channel.log(f"native steps are not checked: {error}")
        return
    native.check(rules, settings, facts)
    native.note(facts)


def step_end(facts: StepFacts, channel: Channel) -> None:
    """Save the step's container if that was asked for, and remove what was its alone."""
    settings = config.load(facts.plugin_args).config
    asked, account = wishes(facts)
    spec = policy.specify(
        asked, account, settings, cwd=facts.cwd, step_id=facts.step_id, argv=facts.argv
    )
    lifecycle.end_step(spec, facts, settings, channel)


def decide(facts: StepFacts, settings: Config) -> ContainerSpec:
    """Options + account + configuration and rules: what the step may have."""
    rules = config.load_rules(settings)
    asked, account = wishes(facts)
    places = slurmjob.places(facts, settings.slurm_bin) if rules.need_place() else (NOWHERE,)
    judges = ruling.judges_of(rules, account, places)
    return policy.decide(
        asked,
        account,
        settings,
        cwd=facts.cwd,
        step_id=facts.step_id,
        argv=facts.argv,
        terminal="SLURM_PTY_PORT" in facts.env,
        of_pmix=mpi.shown(facts),
        judges=judges,
    )


def wishes(facts: StepFacts) -> tuple[ContainerRequest, Account]:
    """What was asked for, and who asks."""
    asked = request.parse(facts.options, facts.cwd)
    return asked, identity.look_up(facts.uid, facts.gid, facts.groups)
