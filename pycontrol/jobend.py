"""The end of a job on a node: nothing of its containers stays.

Runs as root in the job's epilog; and in gc, for a job whose epilog did not come
or could not do all.  Each part is done whatever became of the others.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from cgroup import remove as cgroups
from pycontrol import audit, imageuse, living, locks, ownroot, state
from pycontrol.bridge import Channel, JobFacts
from pycontrol.config import Config, load
from pycontrol.errors import JobEnded, NodeError, SockerError
from pycontrol.plaindata import replace
from pycontrol.state import JobState

SET_UP_WAIT = 15  # seconds that the epilog waits for set-ups that are being given up
EPILOG_WAIT = 60  # seconds that an epilog may take, beside the engine's answers
MOST_FORGOTTEN = 4  # other jobs that one epilog clears away; gc takes more


def job_epilog(facts: JobFacts, channel: Channel) -> None:
    """The hook (hooks.py): this job's, and what others have left."""
    try:
        remove(facts, channel)
    finally:
        remove_forgotten(facts, channel)


def remove(facts: JobFacts, channel: Channel, patience: float = EPILOG_WAIT) -> None:
    """Kill the job's containers on this node, and forget its files.

    What Slurm lost track of goes too: the groups, and the processes in them, of
    a step whose slurmstepd was killed.  The files stay, for gc, while a container
    or a group does: NodeError then.  patience: seconds to wait for another
    process that does the same.
    """
    job = JobState(facts.state_root, facts.node, facts.job_id)
    if not job.exists():
        return
    channel.ask_for_time(EPILOG_WAIT)
    with contextlib.suppress(FileNotFoundError, JobEnded):  # another process was faster
        with locks.locked(job.removal_lock, lambda: None, patience, in_job=True):
            _remove_locked(job, facts, channel)


def _remove_locked(job: JobState, facts: JobFacts, channel: Channel) -> None:
    wait_for_set_ups(job)
    left: list[str] = []
    for part in (_containers, _groups):
        left += _attempt(part, job, facts, channel)
    for part in (_audit, _roots, _note_images):
        for text in _attempt(part, job, facts, channel):
            channel.log(f"epilog of job {facts.job_id}: {text}")
    if left:
        raise NodeError(f"job {facts.job_id}: {'; '.join(left)}: `socker gc` tries again")
    job.remove()


Part = Callable[[JobState, JobFacts, Channel], list[str]]


def _attempt(part: Part, job: JobState, facts: JobFacts, channel: Channel) -> list[str]:
    """What it could not do, in words."""
    try:
        return part(job, facts, channel)
    except (OSError, ValueError, SockerError) as error:
        return [str(error)]


def _containers(job: JobState, facts: JobFacts, channel: Channel) -> list[str]:
    if job.noted_containers():
        from pycontrol import removal

        settings = settings_or_defaults(facts, channel)
        channel.ask_for_time(EPILOG_WAIT + settings.engine_timeout)
        in_flight = job.noted_containers() > job.recorded_containers()
        removal.remove_all(facts, settings, in_flight)
    return []


def _groups(job: JobState, facts: JobFacts, channel: Channel) -> list[str]:
    try:
        groups = job.groups()
    except (OSError, NodeError) as error:  # nothing to be done about it, now or later
        channel.log(f"epilog of job {facts.job_id}: {error}: its cgroups are not looked at")
        return []
    left = [group for group in groups if cgroups.is_removable(group) and not cgroups.remove(group)]
    return [f"{group} is still in use" for group in left]


def _audit(job: JobState, facts: JobFacts, channel: Channel) -> list[str]:
    audit.end_job(facts, job, channel)
    return []


def _roots(job: JobState, facts: JobFacts, channel: Channel) -> list[str]:
    late = []
    for folder in job.roots():
        if not ownroot.remove(folder):
            late.append(f"{folder} is large: its removal goes on")
    return late


def _note_images(job: JobState, facts: JobFacts, channel: Channel) -> list[str]:
    """The job used them until now."""
    for image_id in job.image_ids():
        imageuse.note(image_id)
    return []


def settings_or_defaults(facts: JobFacts, channel: Channel) -> Config:
    """A file that the admin is just breaking must not keep containers alive."""
    try:
        return load(facts.plugin_args).config
    except NodeError as error:
        channel.log(f"epilog of job {facts.job_id}: {error}: it goes on with the defaults")
        return Config()


def wait_for_set_ups(job: JobState) -> None:
    """Hooks of the job's steps that are giving up hold a lock until they are done."""
    end = time.monotonic() + SET_UP_WAIT
    for lock in job.locks():
        with contextlib.suppress(NodeError):  # one that hangs must not stop the epilog
            with locks.locked(lock, lambda: None, max(0, end - time.monotonic())):
                pass


def remove_forgotten(facts: JobFacts, channel: Channel) -> None:
    """Other jobs that have surely ended here, by their cgroups alone: gc's cheap part."""
    others = [job for job in state.jobs(facts.state_root, facts.node) if job != facts.job_id]
    for job_id in [job for job in others if _has_ended(facts, job)][:MOST_FORGOTTEN]:
        try:
            remove(replace(facts, job_id=job_id), channel, patience=0)
        except (OSError, SockerError) as error:
            channel.log(f"what job {job_id} has left: {error}")


def _has_ended(facts: JobFacts, job_id: int) -> bool:
    job = JobState(facts.state_root, facts.node, job_id)
    return living.groups_gone(job) is True and not living.has_slurmstepd(job_id)
