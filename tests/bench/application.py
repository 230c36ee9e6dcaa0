"""What a program gets of the machine inside, against the very same program outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import provide
from sampling import Comparison, pairs
from session import Session, allocated
from storage import DATA

EQUAL = 0.01


def inside() -> list[str]:
    return [f"--container-image=dockerd://{provide.image()}", f"--container-mounts={DATA}"]


def compared(
    session: Session, rounds: int, step: Sequence[str], program: Sequence[object], fields: int = 1
) -> list[dict[str, list[float]]]:
    """Samples of each number that the program prints, of a native step and one in the image."""
    numbers: dict[str, list[list[float]]] = {}
    words = [str(word) for word in program]

    def of_kind(kind: str, options: Sequence[str]) -> Callable[[], float]:
        def one() -> float:
            line = session.output(*step, *options, *words).split()
            numbers.setdefault(kind, []).append([float(number) for number in line])
            return numbers[kind][-1][0]

        return one

    pairs({"native": of_kind("native", ()), "container": of_kind("container", inside())}, rounds)
    return [
        {kind: [line[field] for line in lines[1:]] for kind, lines in numbers.items()}
        for field in range(fields)
    ]


def applications(rounds: int) -> Iterator[Comparison]:
    """S10: programs time themselves: the start of their step is not in it."""
    provide.programs()
    kinds = ("native", "container")
    with allocated("--ntasks=2") as session:
        one, ranks = ("srun", "-n1"), ("srun", "-n2", "--mpi=pmix")
        [found] = compared(session, rounds, one, (provide.MEASURE, "triad"))
        yield Comparison(
            "S10", "memory bandwidth (triad)", *kinds, 1 - EQUAL, at_least=True, unit="MB/s",
            samples=found,
        )  # fmt: skip
        small, large = compared(session, rounds, ranks, (provide.PINGPONG,), fields=2)
        title = "MPI between two ranks of a node"
        yield Comparison(
            "S10b", f"{title}: one way of 8 bytes", *kinds, 1 + EQUAL, unit="µs", samples=small
        )
        yield Comparison(
            "S10c", f"{title}: 4 MiB messages", *kinds, 1 - EQUAL, at_least=True, unit="MB/s",
            samples=large,
        )  # fmt: skip
        there = (*one, f"--chdir={DATA}")
        [found] = compared(session, rounds, there, (provide.MEASURE, "files", "."))
        yield Comparison(
            "S10d", "64 MiB and 500 small files in a mounted directory", *kinds, 1 + EQUAL,
            samples=found,
        )  # fmt: skip
        python = (provide.MEASURE, "start", "/usr/bin/python3", "-c", "import numpy")
        [found] = compared(session, rounds, one, python)
        yield Comparison(
            "S10e", "start of Python with numpy, warm; the image's and the node's",
            *kinds, 1.0, samples=found,
        )  # fmt: skip
