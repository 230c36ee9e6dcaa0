"""Steps of many tasks on a node."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sampling import Comparison, pairs
from session import allocated
from steps import IMAGE

COUNTS = (1, 4, 16, 64)
BUDGET, OF_ONE = 1.1, 1.25  # one task is a later step, as S2


def many_tasks(rounds: int) -> Iterator[Comparison]:
    """S4: 64 tasks are more than the node has CPUs, natively, too."""
    with allocated("--overcommit") as session:
        for count in COUNTS:
            step = ("srun", f"--ntasks={count}", "--overcommit")
            kinds = {
                "native": partial(session.time, *step, "true"),
                "container": partial(session.time, *step, f"--container-image={IMAGE}", "true"),
            }
            samples = pairs(kinds, rounds)
            yield Comparison(
                "S4", f"step of {count} tasks on a node", "native", "container",
                OF_ONE if count == 1 else BUDGET,
                at=count, samples=samples,
            )  # fmt: skip
    parts = {kind: [value / count for value in values] for kind, values in samples.items()}
    yield Comparison(
        "S4b", f"one of {count} tasks' part of it", "native", "container", 1, extra=True,
        samples=parts,
    )  # fmt: skip
