"""`make bench`: measures on the one-machine cluster, prints a table, writes JSON.

    run.py [--rounds N] [--json FILE] [GROUP...]

A group is a function below.  No test depends on a time: machines differ, so what
counts is the ratio of two medians whose samples were taken in turns.  What a run of
some groups finds goes beside what earlier ones found of others.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "slurm"))

import alignment
import application
import jobs
import memory
import peers
import provide
import pulls
import results
import steps
import storage
import tasks
import throughput
from sampling import Comparison, Unmeasured, number, progress
from session import end_jobs

GROUPS = {
    "S1": steps.native_step,
    "S2": steps.later_step,
    "S3": jobs.first_step,
    "S4": tasks.many_tasks,
    "S5": jobs.job_end,
    "S6": throughput.array,
    "S7": throughput.many_steps,
    "S8": memory.resident,
    "S9": pulls.first_users,
    "S10": application.applications,
    "S11": alignment.alignment,
    "P": peers.peers,
}
ROUNDS = 25


def row(found: Comparison | Unmeasured) -> str:
    if isinstance(found, Unmeasured):
        return f"{found.name:4} not measured: {found.title}: {found.why}"

    def kind(name: str) -> str:
        low, high = found.spread(name)
        return f"{name} {number(found.median(name))} ({number(low)}-{number(high)}) {found.unit}"

    value = f"{number(found.value, '+')} {found.unit}" if found.extra else f"{found.value:.3f}"
    limit = f"{'>=' if found.at_least else '<='} {found.budget:g}"
    verdict = "ok" if found.holds else "OVER"
    kinds = ", ".join(map(kind, found.samples))
    return f"{found.name:4} {value:>8} {limit:>8} {verdict:5} {found.title}: {kinds}"


def measure(group: str, rounds: int, found: list[Comparison | Unmeasured]) -> bool:
    """False when it broke off: the others are measured all the same."""
    since = time.monotonic()
    print(f"==> {group}", flush=True)
    try:
        for one in GROUPS[group](rounds):
            print(row(one), flush=True)
            found.append(one)
    except (Exception, SystemExit) as error:  # whatever it is, it is this group's alone
        progress("")
        print(f"{group}: FAILED: {type(error).__name__}: {error}", flush=True)
        return False
    finally:
        print(f"    {time.monotonic() - since:.0f} s", flush=True)
    return True


def measure_all(groups: list[str], rounds: int, path: Path) -> list[str]:
    """The groups that failed.  Each one's results are kept at its end."""
    failed = []
    with storage.engine() as where, contextlib.ExitStack() as stack:
        stack.callback(end_jobs)
        machine = results.machine(where)
        if machine["load"] > machine["cpus"]:
            print(f"load {machine['load']:.1f}: others are at work here, and times will tell it")
        for group in groups:
            found: list[Comparison | Unmeasured] = []
            if not measure(group, rounds, found):
                failed.append(group)
            sorted_out: dict[bool, list[dict]] = {True: [], False: []}
            for one in found:
                sorted_out[isinstance(one, Comparison)].append(one.as_json())
            results.add(path, machine, sorted_out[True], sorted_out[False])
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, default=results.RESULTS)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=" ".join(GROUPS))
    asked = parser.parse_args()
    if unknown := set(asked.groups) - set(GROUPS):
        parser.error(f"no such group: {' '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        parser.error("only root can start jobs as other users: run it with sudo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: all is put back
    provide.packages()
    if failed := measure_all(asked.groups or list(GROUPS), asked.rounds, asked.json):
        sys.exit(f"failed: {' '.join(failed)}")


if __name__ == "__main__":
    main()
