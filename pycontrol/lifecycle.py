"""One container per job, node and image (or name, or step): who makes it, and a step's end.

Runs as root in the hooks.  The second and later steps of a job find the record
of the running container and never ask the engine.  The job's end: jobend.py.
"""

from __future__ import annotations

import time

from cgroup import place
from pycontrol import anchors, firstprocess, locks, named, namespaces, ownroot, progress, shown
from pycontrol.bridge import Channel, StepFacts, Unheard
from pycontrol.config import Config
from pycontrol.errors import JobEnded, NodeError, UserError
from pycontrol.namespaces import Namespaces
from pycontrol.patience import Teller
from pycontrol.policy import ContainerSpec
from pycontrol.state import JobState, Record

NOT_THE_IMAGES = (ownroot.INSIDE, "/.dockerenv")  # ours, and a mark that Docker leaves
MOST_CONTAINERS = 32  # of one job on one node


def begin(facts: StepFacts) -> None:
    """Let the epilog know of the job before anything is done or refused for it."""
    job = JobState(facts.state_root, facts.node, facts.job_id)
    if not job.exists():
        job.make(anchors.job_groups(anchors.find(facts)))


def provide(spec: ContainerSpec, facts: StepFacts, config: Config, channel: Channel) -> Record:
    """The running container that the step joins, made if there is none."""
    since = time.time()
    job = JobState(facts.state_root, facts.node, facts.job_id)
    patience = config.pull_timeout + config.engine_timeout
    channel.ask_for_time(patience)
    teller = Teller(channel, config.progress_interval)

    def waiting() -> None:
        report = progress.last(job, spec.image.text) if spec.image else {}
        going_on = report or {"doing": "waiting for another step's set-up of", "what": spec.text}
        teller.tell(**going_on)

    with locks.locked(job.lock_file(spec.key), waiting, patience, in_job=True):
        record = job.load(spec.key)
        if record and not firstprocess.is_alive(record):
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
        from pycontrol import container  # half of the package: see there

        try:
            record = container.make(spec, facts, config, channel, since)
        except BaseException:
            if spec.own_root and not spec.name:
                job.forget(spec.key)  # no other step will ask for it
            raise
        shown.joined(spec, facts, record, made=True)
    if config.store_digest != "no" and facts.node_index == 0:
        from pycontrol import jobcomment  # seldom wanted

        jobcomment.note(spec, record, facts.job_id, config, channel)
    return record


def prepare(
    spec: ContainerSpec, facts: StepFacts, config: Config, channel: Unheard
) -> Record | None:
    """What can be done before a step asks: the image, and the container that steps share."""
    job = JobState(facts.state_root, facts.node, facts.job_id)
    with progress.noted(job, channel, spec.image.text if spec.image else ""):
        if not spec.own_root:
            return provide(spec, facts, config, channel)
        if spec.image:
            from pycontrol import container  # half of the package: see there

            container.bring_image(spec, facts, config, channel)
    return None


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
            from pycontrol import removal

            channel.ask_for_time(config.engine_timeout)
            removal.remove_one(own, job, config)
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


def keep(spec: ContainerSpec, facts: StepFacts, entered: Namespaces) -> None:
    """See to it that what is the step's alone ends with it."""
    if entered.init is not None:
        namespaces.place_init(entered, anchors.find_task())
    if spec.save or (spec.own_root and not spec.name):
        job = JobState(facts.state_root, facts.node, facts.job_id)
        job.note_step_end(facts.step_id, "" if spec.name else spec.key)
