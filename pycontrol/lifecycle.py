"""One container per job, node and image (or name, or step): who makes it, and its end.

Runs as root in the hooks.  The second and later steps of a job find the record
of the running container and never ask the engine.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial

from cgroup import place
from cgroup import remove as cgroups
from pycontrol import anchors, audit, named, namespaces, ownroot, shown, state
from pycontrol.bridge import Channel, JobFacts, StepFacts
from pycontrol.config import Config, load
from pycontrol.errors import JobEnded, NodeError, UserError
from pycontrol.namespaces import Namespaces
from pycontrol.patience import Teller
from pycontrol.policy import ContainerSpec
from pycontrol.state import JobState, Record

SET_UP_WAIT = 15  # seconds that the epilog waits for set-ups that are being given up
EPILOG_WAIT = 60  # seconds that an epilog may take, beside the engine's answers
NOT_THE_IMAGES = (ownroot.INSIDE, "/.dockerenv")  # ours, and a mark that Docker leaves
MOST_CONTAINERS = 32  # of one job on one node


def begin(facts: JobFacts) -> None:
    """Let the epilog know of the job before anything is done or refused for it."""
    job = JobState(facts.state_root, facts.node, facts.job_id)
    if not job.exists():
        job.make(anchors.job_groups(anchors.find()))


def provide(spec: ContainerSpec, facts: StepFacts, config: Config, channel: Channel) -> Record:
    """The running container that the step joins, made if there is none."""
    since = time.time()
    job = JobState(facts.state_root, facts.node, facts.job_id)
    patience = config.pull_timeout + config.engine_timeout
    channel.ask_for_time(patience)
    teller = Teller(channel, config.progress_interval)
    waiting = partial(teller.tell, "waiting for another step's set-up of", spec.text)
    with state.locked(job.lock_file(spec.key), waiting, patience):
        record = job.load(spec.key)
        if record and not state.is_alive(record):
            record = None
        named.check(spec, record)
        if record:
            shown.joined(spec, facts, record, made=False)
            return record
        if len(job.locks()) > MOST_CONTAINERS:
            raise UserError(
                f"{spec.text}: the job has asked for {MOST_CONTAINERS} images and names on this "
                "node already, that is the most: use another job"
            )
        from pycontrol import container  # with it the Docker SDK: see there

        try:
            record = container.make(spec, facts, config, channel, since)
        except BaseException:
            if spec.own_root and not spec.name:
                job.forget(spec.key)  # no other step will ask for it
            raise
        shown.joined(spec, facts, record, made=True)
        return record


def end_step(spec: ContainerSpec, facts: StepFacts, config: Config, channel: Channel) -> None:
    """Save what is to be saved, then remove what was the step's alone."""
    job = JobState(facts.state_root, facts.node, facts.job_id)
    own = job.step_end(facts.step_id)
    place.enter_step()  # Slurm can end us as it can the step, whatever we wait for
    try:
        if spec.save and facts.node_index == 0:
            save_container(spec, job, facts, config, channel)
    except JobEnded:
        raise UserError(f"saving of {spec.text}: cancelled: nothing was saved") from None
    finally:
        if own:
            from pycontrol import container

            channel.ask_for_time(config.engine_timeout)
            container.remove_one(own, job, config)
            shown.containers(job, facts.uid)
        job.forget_step_end(facts.step_id)


def check_target(spec: ContainerSpec, facts: StepFacts) -> None:
    """A --container-save that cannot work fails the step before it has computed for days."""
    if spec.save and facts.node_index == 0:
        from pycontrol import save  # half of the package: see there

        save.check(spec.save, spec.account)


def save_container(
    spec: ContainerSpec, job: JobState, facts: StepFacts, config: Config, channel: Channel
) -> None:
    """--container-save; only the first node of a step saves."""
    from pycontrol import save  # half of the package: see there

    record = job.load(spec.key)
    if not record or not spec.save:
        raise NodeError(f"{spec.text}: it has ended before it could be saved")
    owner = (spec.account.uid, spec.account.gid) if spec.account.uid else None
    with ownroot.opened_root(record) as root:
        save.save(
            spec.save, root, record.image, spec.account, facts.env, config, channel,
            skip=NOT_THE_IMAGES, swap=owner,
        )  # fmt: skip


def remove(facts: JobFacts, channel: Channel) -> None:
    """Kill the job's containers on this node, and forget its files.

    What Slurm lost track of goes too: the groups, and the processes in them, of
    a step whose slurmstepd was killed.
    """
    job = JobState(facts.state_root, facts.node, facts.job_id)
    if not job.exists():
        return
    channel.ask_for_time(EPILOG_WAIT)
    wait_for_set_ups(job)
    if job.noted_containers():  # only then the settings matter: they may be broken
        from pycontrol import container  # with it the Docker SDK: see there

        settings = load(facts.plugin_args).config
        channel.ask_for_time(EPILOG_WAIT + settings.engine_timeout)
        in_flight = job.noted_containers() > job.recorded_containers()
        container.remove_all(facts, settings, in_flight)
    audit.end_job(facts, job, channel)
    for group in job.groups():
        if not cgroups.remove(group):
            channel.log(f"epilog of job {facts.job_id}: {group} is still in use")
    for folder in job.roots():
        if not ownroot.remove(folder):
            channel.log(f"epilog of job {facts.job_id}: {folder} is large: its removal goes on")
    job.remove()


def wait_for_set_ups(job: JobState) -> None:
    """Hooks of the job's steps that are giving up hold a lock until they are done."""
    end = time.monotonic() + SET_UP_WAIT
    for lock in job.locks():
        with contextlib.suppress(NodeError):  # one that hangs must not stop the epilog
            with state.locked(lock, lambda: None, max(0, end - time.monotonic())):
                pass


def keep(spec: ContainerSpec, facts: StepFacts, entered: Namespaces) -> None:
    """See to it that what is the step's alone ends with it."""
    if entered.init is not None:
        namespaces.place_init(entered, anchors.find_task())
    if spec.save or (spec.own_root and not spec.name):
        job = JobState(facts.state_root, facts.node, facts.job_id)
        job.note_step_end(facts.step_id, "" if spec.name else spec.key)
