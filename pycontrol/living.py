"""Whether a job still lives on this node, and what says so.

Runs as root, in `socker gc`.  Two witnesses: the kernel, by the job's slurmstepds
and the cgroups that were noted when its first container step began; and
slurmctld.  Where neither can tell, a job counts as living.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cgroup import stepd
from pycontrol import slurmjob
from pycontrol.errors import NodeError
from pycontrol.plaindata import dataclass
from pycontrol.slurmjob import Told
from pycontrol.state import JobState


@dataclass(frozen=True)
class Verdict:
    """lives: None where nobody can tell."""

    lives: bool | None
    why: str


def judge(
    job: int, stepds: Mapping[int | None, int], groups_gone: bool | None, told: Told | None
) -> Verdict:
    """What the witnesses' words come to.

    stepds       pids of slurmstepds by job (cgroup/stepd.py)
    groups_gone  whether Slurm has removed the job's cgroups, which it does when the
                 extern step ends; None where they were not noted
    told         slurmctld's word; None: it has not been asked
    """
    if job in stepds:
        return Verdict(True, f"its slurmstepd runs (pid {stepds[job]})")
    if told and told.over is False:
        return Verdict(True, told.why)
    if groups_gone and (told is None or told.over is None):
        return Verdict(False, "Slurm has removed its cgroups")
    if told is None or told.over is None:
        return Verdict(None, told.why if told else "slurmctld was not asked")
    if None in stepds and not groups_gone:
        return Verdict(None, f"slurmstepd {stepds[None]} does not tell its job's number")
    return Verdict(False, told.why)


class Witnesses:
    """Asks each once a job; slurmctld only about what the kernel does not show to live."""

    def __init__(self, root: Path, slurm_bin: str):
        self._root = root
        self._slurm_bin = slurm_bin
        self._stepds = stepd.running()
        self._silent: dict[str, Told] = {}
        self._verdicts: dict[tuple[str, int], Verdict] = {}

    def verdict(self, node: str, job: int) -> Verdict:
        if (node, job) not in self._verdicts:
            told = None if job in self._stepds else self._ask(node, job)
            gone = groups_gone(JobState(self._root, node, job))
            self._verdicts[node, job] = judge(job, self._stepds, gone, told)
        return self._verdicts[node, job]

    def _ask(self, node: str, job: int) -> Told:
        """A slurmctld that is away costs one time-out, not one for each job."""
        if node in self._silent:
            return self._silent[node]
        told = slurmjob.told_of(job, node, self._slurm_bin)
        if told.over is None:
            self._silent[node] = told
        return told


def groups_gone(job: JobState) -> bool | None:
    """Whether all cgroups that were noted for a job are gone; None where none were."""
    try:
        groups = job.groups()
    except (OSError, NodeError):
        return None
    return not any(group.exists() for group in groups) if groups else None


def has_slurmstepd(job: int) -> bool:
    """Just now: to be asked before anything of the job is removed."""
    return job in stepd.running()
