"""One container per job, image and node: which step makes it, and its end.

Runs as root in the hooks.  The second and later steps of a job find the record
of the running container and never ask the engine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from cgroup import remove as cgroups
from pycontrol import anchors, state
from pycontrol.bridge import Channel, JobFacts
from pycontrol.config import Config
from pycontrol.policy import ContainerSpec
from pycontrol.state import JobState, Record

FIRST_LINE_AFTER = 2  # seconds: shorter waits say nothing
EPILOG_WAIT = 30  # seconds that the epilog waits for a set-up that is being given up


def provide(spec: ContainerSpec, facts: JobFacts, config: Config, channel: Channel) -> Record:
    """The job's running container of the image, made if there is none."""
    since = time.time()
    job = JobState(facts.state_root, facts.node, facts.job_id)
    if not job.exists():
        job.make(anchors.job_groups(anchors.find()))
    patience = config.pull_timeout + config.engine_timeout
    channel.ask_for_time(patience)
    waiting = tell_now_and_then(
        channel, config, f"waiting for another step's set-up of {spec.image.text}"
    )
    with state.locked(job.lock_file(spec.image), waiting, patience):
        record = job.load(spec.image)
        if record and state.is_alive(record):
            return record
        from pycontrol import container  # with it the Docker SDK: see there

        return container.make(spec, facts, config, channel, since)


def remove(facts: JobFacts, config: Config, channel: Channel) -> None:
    """Kill the job's containers on this node, and forget its files.

    What Slurm lost track of goes too: the groups, and the processes in them, of
    a step whose slurmstepd was killed.
    """
    job = JobState(facts.state_root, facts.node, facts.job_id)
    if not job.exists():
        return
    channel.ask_for_time(EPILOG_WAIT * (len(job.locks()) + 1))
    with contextlib.ExitStack() as held:
        for lock in job.locks():
            held.enter_context(state.locked(lock, lambda: None, EPILOG_WAIT))
        if job.may_have_containers():
            from pycontrol import container  # with it the Docker SDK: see there

            channel.ask_for_time(config.engine_timeout + container.REMOVAL_WAIT)
            container.remove_all(facts, config)
        for group in job.groups():
            if not cgroups.remove(group):
                channel.log(f"epilog of job {facts.job_id}: {group} is still in use")
        job.remove()


def tell_now_and_then(channel: Channel, config: Config, text: str) -> Callable[[], None]:
    """A function that shows the user `text` every few seconds that it is called."""
    next_line = time.monotonic() + FIRST_LINE_AFTER

    def tell() -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            channel.tell(text)
            next_line = time.monotonic() + config.progress_interval

    return tell
