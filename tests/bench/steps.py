"""Steps in an allocation: what the plugin costs natively, and what a container costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sampling import Comparison, pairs
from session import allocated

IMAGE = "127.0.0.1:5000/busybox:1"
PLUGSTACK = Path("/etc/slurm/plugstack.conf")
STEP = ("srun", "--ntasks=1")


def native_step(rounds: int) -> Iterator[Comparison]:
    """S1: srun and slurmstepd read plugstack.conf for each step."""
    loaded = PLUGSTACK.read_text()
    without = "".join(f"# {line}" for line in loaded.splitlines(keepends=True))
    compared = Comparison(
        "S1", "step without container options: plugin loaded / not", "not loaded", "loaded", 1.02
    )
    try:
        with allocated() as session:

            def step(text: str) -> float:
                PLUGSTACK.write_text(text)
                return session.time(*STEP, "true")

            kinds = {"not loaded": partial(step, without), "loaded": partial(step, loaded)}
            compared.samples = pairs(kinds, rounds)
    finally:
        PLUGSTACK.write_text(loaded)
    yield compared


def later_step(rounds: int) -> Iterator[Comparison]:
    """S2: the image on srun's command line, and as the allocation's own."""
    native = (*STEP, "--container-image=none", "true")
    with allocated() as session:
        kinds = {
            "native": partial(session.time, *STEP, "true"),
            "container": partial(session.time, *STEP, f"--container-image={IMAGE}", "true"),
        }
        found = pairs(kinds, rounds)
    yield Comparison(
        "S2", "later step of a job, the image named by srun", "native", "container", 1.25,
        samples=found,
    )  # fmt: skip
    with allocated(f"--container-image={IMAGE}") as session:
        kinds = {
            "native": partial(session.time, *native),
            "container": partial(session.time, *STEP, "true"),
        }
        found = pairs(kinds, rounds)
    yield Comparison(
        "S2b", "later step of a job, the image named by salloc", "native", "container", 1.25,
        samples=found,
    )  # fmt: skip
