"""Reads aligned to a genome by bowtie2 in 1 to 8 processes: natively, by docker run, in a step."""

from __future__ import annotations

import pwd
import random
from collections.abc import Iterator
from functools import partial

import provide
from sampling import Comparison, pairs
from session import USER, Session
from stages import run, stage
from storage import DATA

PROCESSES = (1, 2, 4, 8)
ON_A_NODE = 2
BASES = 2_000_000
READS = 60_000
LENGTH = 100
WRONG = 0.01  # of a read's bases
SEED = 1
FOLDER = DATA / "alignment"
SCRIPT = FOLDER / "align"


def reads(genome: str) -> Iterator[str]:
    """In FASTQ, each from somewhere and with errors."""
    for number in range(READS):
        start = random.randrange(len(genome) - LENGTH)
        read = [
            random.choice("ACGT") if random.random() < WRONG else base
            for base in genome[start : start + LENGTH]
        ]
        yield f"@{number}\n{''.join(read)}\n+\n{'I' * LENGTH}\n"


def make_data() -> None:
    """The genome's index, and the same reads shared out among so many processes."""
    if SCRIPT.exists():
        return
    with stage("a genome and reads of it"):
        FOLDER.mkdir(exist_ok=True)
        random.seed(SEED)
        genome = "".join(random.choices("ACGT", k=BASES))
        (FOLDER / "genome.fa").write_text(f">made\n{genome}\n")
        run("bowtie2-build", "--quiet", FOLDER / "genome.fa", FOLDER / "genome")
        made = list(reads(genome))
        for count in PROCESSES:
            for process in range(count):
                share = "".join(made[process::count])
                (FOLDER / f"reads.{count}.{process}.fq").write_text(share)
        SCRIPT.write_text(
            "#!/bin/sh\n"
            f"cd {FOLDER} || exit\n"
            "exec bowtie2 --quiet -x genome -U reads.$SLURM_NTASKS.$SLURM_PROCID.fq -S /dev/null\n"
        )
        SCRIPT.chmod(0o755)


def allocation() -> list[str]:
    """Shared with the other user's: whose turn it is, is alone on it."""
    nodes = max(PROCESSES) // ON_A_NODE
    size = ("--mem=600", f"--nodes={nodes}", f"--ntasks={max(PROCESSES)}")
    return ["salloc", "--quiet", "--oversubscribe", *size]


def docker_run(image: str) -> list[str]:
    account = pwd.getpwnam(USER)
    words = [
        "docker",
        "run",
        "--rm",
        "--network=host",
        "--user",
        f"{account.pw_uid}:{account.pw_gid}",
    ]
    words += ["--env=SLURM_NTASKS", "--env=SLURM_PROCID", f"--volume={DATA}:{DATA}"]
    return [*words, image, str(SCRIPT)]


def step_of(count: int) -> list[str]:
    """On as few nodes as hold them: each node's first task is bound to the same CPU."""
    return ["srun", f"--nodes={-(-count // ON_A_NODE)}", f"--ntasks={count}"]


def alignment(rounds: int) -> Iterator[Comparison]:
    """S11: the same reads, shared out; the job's first step is not counted."""
    make_data()
    image = provide.image()
    inside = [f"--container-image=dockerd://{image}", f"--container-mounts={DATA}"]
    with Session(USER, allocation()) as user, Session("root", allocation()) as root:
        for count in PROCESSES:
            step = step_of(count)
            kinds = {
                "native": partial(user.time, *step, str(SCRIPT)),
                "docker run": partial(root.time, *step, *docker_run(image)),
                "container": partial(user.time, *step, *inside, str(SCRIPT)),
            }
            found = pairs(kinds, rounds)
            title = f"bowtie2 in {count} process{'es' * (count > 1)}"
            yield Comparison("S11", title, "native", "container", 1.02, at=count, samples=found)
            others = {kind: found[kind] for kind in ("docker run", "container")}
            yield Comparison(
                "S11b", f"{title}, by `docker run`", "docker run", "container", 1.0, at=count,
                samples=others,
            )  # fmt: skip
