"""Removes a job's containers: the part of its end that needs the engine.

Runs as root in the hooks.  Imported only where there is something to remove.
"""

from __future__ import annotations

import contextlib
import time

from pycontrol import engine as engines
from pycontrol import ownroot
from pycontrol.bridge import JobFacts
from pycontrol.engine import Engine
from pycontrol.errors import EngineError
from pycontrol.settings import Config
from pycontrol.state import JobState

REMOVAL_WAIT = 30  # seconds for containers that are being removed
POLL = 0.005, 0.05  # seconds between two looks: at first, and at most
IN_FLIGHT_WAIT = 3  # seconds for a request whose sender was killed; 20 ms are usual


def connected(config: Config) -> contextlib.closing[Engine]:
    return contextlib.closing(Engine(config.engine, config.engine_timeout))


def job_labels(facts: JobFacts) -> dict[str, str]:
    """What finds all containers of a job on this node, whatever else is lost."""
    return {engines.JOB: str(facts.job_id), engines.NODE: facts.node}


def remove_all(facts: JobFacts, config: Config, in_flight: bool) -> None:
    """Kill the job's containers on this node and see them gone.

    in_flight: a hook was killed behind a request to create one, which the
    engine may still carry out.
    """
    labels = job_labels(facts)
    started = time.monotonic()
    surely_all = started + (IN_FLIGHT_WAIT if in_flight else 0)
    pause, longest = POLL
    with connected(config) as engine:
        while (found := engine.find_containers(labels)) or time.monotonic() < surely_all:
            if time.monotonic() > started + REMOVAL_WAIT:
                raise EngineError(f"the job's containers cannot be removed: {found}")
            for container in found:
                engine.remove(container)
            time.sleep(pause)
            pause = min(2 * pause, longest)


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
        root = folder / record.container[:12]
        if root.exists():
            ownroot.remove(root)  # what is not gone in time is the epilog's
