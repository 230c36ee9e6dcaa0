"""What a container step keeps in memory while it runs: slurmstepd, our child of it, pause."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from sampling import Comparison
from session import USER, read, wait_until_idle
from steps import IMAGE

KIB = 1024
SLEEP = ("sleep", "3")


def private_kib(pid: str) -> float:
    """Its own memory, and nothing that it shares with another process (proc(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("Private_"))


def of_step(*options: str) -> tuple[float, float]:
    """KiB of a running step's slurmstepd with its children but the task; of pause."""
    step = ("runuser", "-u", USER, "--", "srun", "--quiet", "-n1", "-w", "n1", "--mem=300")
    with subprocess.Popen([*step, *options, *SLEEP], cwd="/") as running:
        time.sleep(1.5)
        [task] = read("pgrep", "-f", "-u", USER, f"(^|/){' '.join(SLEEP)}$").split()
        stepd = read("ps", "-o", "ppid=", "-p", task).strip()
        children = read("ps", "-o", "pid=", "--ppid", stepd).split()
        own = sum(private_kib(pid) for pid in (stepd, *children) if pid != task)
        pauses = subprocess.run(["pgrep", "-x", "pause"], capture_output=True, text=True).stdout
        paused = sum(private_kib(pid) for pid in pauses.split())
        running.wait()
    wait_until_idle()
    return own / KIB, paused / KIB


def resident(rounds: int) -> Iterator[Comparison]:
    """S8: of one step at a time, on an otherwise idle node."""
    few = max(2, rounds // 2)
    native = [of_step()[0] for _ in range(few)]
    with_container = [of_step(f"--container-image={IMAGE}") for _ in range(few)]
    yield Comparison(
        "S8", "memory of slurmstepd and our child", "native", "container", 1, extra=True,
        unit="MiB", samples={"native": native, "container": [own for own, _ in with_container]},
    )  # fmt: skip
    yield Comparison(
        "S8b", "memory of pause", "nothing", "pause", 0.2, extra=True, unit="MiB",
        samples={"nothing": [0.0] * few, "pause": [paused for _, paused in with_container]},
    )  # fmt: skip
