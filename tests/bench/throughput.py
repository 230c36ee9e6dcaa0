"""Many jobs, and many steps in one job: how many a second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from functools import partial

from sampling import Comparison, pairs, progress
from session import NODES, Failed, Session, allocated, read, wait_until_idle
from steps import IMAGE

CONTAINER = f"--container-image={IMAGE}"
DOCKER = f"docker run --rm --network=host {IMAGE} true"
JOBS, STEPS = 100, 1000
TRIED = 5  # the part of them for a few rounds, which only try whether all works
PARTS = 20  # of the steps: their rates one after the other are the figure over time
LONGEST = 300
POLL = 0.05


def few(rounds: int) -> int:
    """Each of these samples is of many jobs or steps already."""
    return max(1, rounds // 8)


def number_of(all_of_them: int, rounds: int) -> int:
    return all_of_them if rounds >= 20 else all_of_them // TRIED


def wait_for_array(job: str) -> None:
    """squeue in place of `sbatch --wait`, which looks again after up to half a minute."""
    end = time.monotonic() + LONGEST
    while read("squeue", "-h", "-j", job, "-o", "%i"):
        if time.monotonic() > end:
            raise TimeoutError(f"job array {job}: not done after {LONGEST} s")
        time.sleep(POLL)


def array_rate(user: Session, count: int, command: str) -> float:
    since = time.monotonic()
    job = user.output(
        "sbatch", "--parsable", f"--array=1-{count}", "--ntasks=1", "--mem=300",
        "--output=/dev/null", f"--wrap={command}",
    ).strip()  # fmt: skip
    wait_for_array(job)
    taken = time.monotonic() - since
    ends = read("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%T").split()
    if ends != ["COMPLETED"] * count:
        raise Failed(f"job array {job}: {len(ends)} jobs, ended as {sorted(set(ends))}")
    wait_until_idle(NODES)
    return count / taken


def array(rounds: int) -> Iterator[Comparison]:
    """S6: an array of jobs, each of one container step; also against `docker run` in each."""
    count = number_of(JOBS, rounds)
    read(*DOCKER.split())  # the engine has the image from here on
    with Session() as user, Session("root") as root:
        kinds = {
            "native": partial(array_rate, user, count, "srun --quiet true"),
            "docker run": partial(array_rate, root, count, f"srun --quiet {DOCKER}"),
            "container": partial(array_rate, user, count, f"srun --quiet {CONTAINER} true"),
        }
        found = pairs(kinds, few(rounds))
    title = f"array of {count} jobs of one step"
    yield Comparison(
        "S6", title, "native", "container", 0.8, at_least=True, unit="jobs/s", samples=found
    )
    yield Comparison(
        "S6b", f"{title}, by `docker run`", "docker run", "container", 1, at_least=True,
        unit="jobs/s", samples={kind: found[kind] for kind in ("docker run", "container")},
    )  # fmt: skip


def rates(session: Session, count: int, *options: str) -> list[float]:
    """Steps a second, part by part."""
    step = " ".join(("srun --quiet -n1", *options, "true"))
    script = f"for i in $(seq {count // PARTS}); do {step} || exit; done"
    found = []
    for part in range(PARTS):
        progress(f"    part {part} of {PARTS}: {step}")
        found.append(1000 * (count // PARTS) / session.time("sh", "-c", script))
    return found


def many_steps(rounds: int) -> Iterator[Comparison]:
    """S7: one srun after the other, as a script does it."""
    count = number_of(STEPS, rounds)
    runs: dict[str, list[list[float]]] = {"native": [], "container": []}

    def run(kind: str, *options: str) -> float:
        runs[kind].append(rates(session, count, *options))
        return statistics.harmonic_mean(runs[kind][-1])

    with allocated() as session:
        kinds = {
            "native": partial(run, "native"),
            "container": partial(run, "container", CONTAINER),
        }
        found = pairs(kinds, few(rounds))
    series = {
        kind: [statistics.median(part) for part in zip(*parts[1:], strict=True)]
        for kind, parts in runs.items()
    }
    yield Comparison(
        "S7", f"{count} steps of one job", "native", "container", 0.9, at_least=True,
        unit="steps/s", samples=found, series=series,
    )  # fmt: skip
