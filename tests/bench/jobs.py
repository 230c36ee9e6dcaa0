"""Whole jobs: the first step with an image, and the end of a job."""

from __future__ import annotations

import pwd
import re
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from daemons import LOGS
from sampling import Comparison, pairs
from session import ALLOCATE, LONGEST, POLL, USER, Failed, Session, allocated, read, wait_until_idle
from steps import IMAGE, STEP

CONTAINER = f"--container-image={IMAGE}"
JOB = ("srun", "--nodes=1", "--ntasks=1", "--mem=300", "--nodelist=n1")
DOCKER = ("docker", "run", "--rm", "--network=host", IMAGE, "true")  # as socker's are
LATER = 2  # seconds that a job does something else before its first step


def first_step(rounds: int) -> Iterator[Comparison]:
    """S3: a job of one step, whose image is on the node."""
    read(*DOCKER)  # the engine has the image from here on
    yield of_srun(rounds)
    yield of_allocation(rounds)
    yield of_allocation_later(rounds)
    yield of_batch_script(rounds)


def of_srun(rounds: int) -> Comparison:
    """Against a native job and a `docker run` of the same image, one after the other."""
    with Session() as user, Session("root") as root:

        def job(*options: str) -> float:
            taken = user.time(*JOB, *options, "true")
            wait_until_idle()
            return taken

        def apart() -> float:
            return job() + root.time(*DOCKER)

        kinds = {"native + docker run": apart, "container": partial(job, CONTAINER)}
        found = pairs(kinds, rounds)
    return Comparison(
        "S3", "a job of one srun", "native + docker run", "container", 1.0, samples=found
    )


def of_allocation(rounds: int) -> Comparison:
    """The early start has no more than salloc's own time to be ahead of the step."""
    with Session() as user:

        def job(*options: str) -> float:
            taken = user.time(*ALLOCATE, *options, *STEP, "true")
            wait_until_idle()
            return taken

        kinds = {"native": job, "container": partial(job, CONTAINER)}
        found = pairs(kinds, rounds)
    return Comparison(
        "S3b", "salloc with the job's image and one srun at once, in whole", "native",
        "container", 40, extra=True, samples=found,
    )  # fmt: skip


def of_allocation_later(rounds: int) -> Comparison:
    def step(*options: str) -> float:
        with allocated(*options) as job:
            time.sleep(LATER)
            taken = job.time(*STEP, "true")
        wait_until_idle()
        return taken

    kinds = {"native": step, "container": partial(step, CONTAINER)}
    return Comparison(
        "S3c", f"first step, {LATER} s after the start of a job with an image", "native",
        "container", 40, extra=True, samples=pairs(kinds, rounds),
    )  # fmt: skip


def allocated_at(job: str) -> float:
    """When slurmctld gave the job its node, in seconds since the epoch, from its log."""
    return time_of_allocation((LOGS / "slurmctld.log").read_text(errors="replace"), job)


def time_of_allocation(log: str, job: str) -> float:
    """By one of its two schedulers."""
    words = f"sched(?:: Allocate|/backfill: _start_job: Started) JobId={job} "
    times = re.findall(rf"(?m)^\[(\S+)\] {words}", log)
    if not times:
        raise Failed(f"job {job}: slurmctld's log does not say when it began")
    return datetime.fromisoformat(times[-1]).timestamp()


def of_batch_script(rounds: int) -> Comparison:
    """The script's first command leaves its time; the scheduler's pauses are not in it."""
    mark = Path(pwd.getpwnam(USER).pw_dir) / ".socker-bench-mark"
    batch = ("sbatch", "--parsable", *JOB[1:], "--output=/dev/null", f"--wrap=touch {mark}")

    def until_script(user: Session, *options: str) -> float:
        mark.unlink(missing_ok=True)
        job = user.output(*batch, *options).strip()
        wait_for(mark)
        wait_until_idle()
        return (mark.stat().st_mtime - allocated_at(job)) * 1000

    with Session() as user:
        kinds = {
            "native": partial(until_script, user),
            "container": partial(until_script, user, CONTAINER),
        }
        found = pairs(kinds, rounds)
    mark.unlink()
    return Comparison(
        "S3d",
        "start of a batch job until its script runs",
        "native",
        "container",
        40,
        extra=True,
        samples=found,
    )


def wait_for(path: Path) -> None:
    end = time.monotonic() + LONGEST
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path}: not there after {LONGEST} s")
        time.sleep(POLL)


def job_end(rounds: int) -> Iterator[Comparison]:
    """S5: from the end of salloc until the node is idle."""
    with Session() as user:

        def end(*options: str) -> float:
            user.time(*ALLOCATE, "srun", *options, "true")
            since = time.perf_counter()
            wait_until_idle()
            return (time.perf_counter() - since) * 1000

        kinds = {"native": end, "container": partial(end, CONTAINER)}
        found = pairs(kinds, rounds)
    yield Comparison(
        "S5", "job end until the node is idle", "native", "container", 50, extra=True, samples=found
    )
