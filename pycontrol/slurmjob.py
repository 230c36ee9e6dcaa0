"""What slurmctld has of a job: account and partition; and whether it is over.

Runs as root: in the hooks, only for rules that need the place.  The job's
environment says it too, but its user writes that; SPANK has no item for it.
Neither can change while a job runs (_update_job() in Slurm's job_mgr.c), so it is
asked for once a job and node.  gc asks whether a job is over (living.py).
"""

from __future__ import annotations

import json
import re

from pycontrol import askslurm, state, trusted
from pycontrol.bridge import JobFacts
from pycontrol.errors import NodeError
from pycontrol.plaindata import asdict, dataclass
from pycontrol.rules import Place
from pycontrol.state import JobState

# The account comes first: only there may a user have written something.
_FORMAT = "%a|%P|%U|%A|%i"
_ROW = re.compile(
    r"(?P<account>.*)\|(?P<partitions>[^|]*)\|(?P<uid>\d+)\|(?P<job>\d+)\|(?P<name>\S+)"
)
_NO_ACCOUNT = "(null)"


def places(facts: JobFacts, slurm_bin: str) -> tuple[Place, ...]:
    """Of the job; of a heterogeneous one those of all its components.

    slurm_bin: where Slurm's commands are.

    Raises NodeError where it cannot be known: nothing may be decided then.
    """
    job = JobState(facts.state_root, facts.node, facts.job_id)
    kept = job.folder / "places"
    try:
        return tuple(Place(**found) for found in json.loads(trusted.read(kept)))
    except FileNotFoundError:
        found = _ask(facts, slurm_bin)
    if job.exists():  # not so for steps without a container
        state.write(kept, json.dumps([asdict(place) for place in found]), mode=0o600)
    return found


def _ask(facts: JobFacts, slurm_bin: str) -> tuple[Place, ...]:
    try:
        printed = askslurm.ask(
            f"{slurm_bin}/squeue", "--noheader", f"--jobs={facts.job_id}", "--states=all",
            "--array", f"--format={_FORMAT}",
        )  # fmt: skip
    except NodeError as error:
        raise NodeError(
            f"rules of this site depend on the job's account or partition: {error}"
        ) from error
    return read_rows(printed, facts.job_id, facts.uid)


def read_rows(printed: str, job_id: int, uid: int) -> tuple[Place, ...]:
    """What squeue printed of this job.  Whatever is odd is no answer."""
    found = [_ROW.fullmatch(line) for line in printed.removesuffix("\n").split("\n")]
    rows = [row for row in found if row]
    own = [row for row in rows if int(row["job"]) == job_id]
    parts = [row for row in rows if row["name"].startswith(f"{job_id}+")]
    strange = len(rows) < len(found) or any(int(row["uid"]) != uid for row in (*own, *parts))
    if strange or len(own) != 1:
        raise NodeError(
            f"rules of this site depend on the job's account or partition: Slurm does not tell "
            f"those of job {job_id}: try again, or tell the admin"
        )
    return tuple(dict.fromkeys(place for row in (*own, *parts) for place in _of_row(row)))


def _of_row(row: re.Match) -> list[Place]:
    account = "" if row["account"] == _NO_ACCOUNT else row["account"]
    return [Place(account, partition) for partition in row["partitions"].split(",")]


# --- whether it lives ---------------------------------------------------------------

# job_state_string() in slurm_protocol_defs.c; any other is of a job that is not over.
FINAL = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "TIMEOUT",
}  # fmt: skip
_UNKNOWN = "Invalid job id specified"  # ESLURM_INVALID_JOB_ID: over, and forgotten


@dataclass(frozen=True)
class Told:
    """What slurmctld says of a job on a node: over, not; None where it does not answer."""

    over: bool | None
    why: str


def told_of(job_id: int, node: str, slurm_bin: str) -> Told:
    """The job's state, as far as this node is concerned."""
    try:
        printed = askslurm.ask(
            f"{slurm_bin}/squeue", "--noheader", f"--jobs={job_id}", f"--nodelist={node}",
            "--states=all", "--array", "--format=%A|%i|%T", clean=True,
        )  # fmt: skip
    except NodeError as error:
        if _UNKNOWN in str(error):
            return Told(True, "Slurm does not know it any more")
        return Told(None, str(error))
    return read_states(printed, job_id)


def read_states(printed: str, job_id: int) -> Told:
    """What squeue printed of a job on a node; it prints the others of a job array, too."""
    rows = [line.split("|") for line in printed.splitlines()]
    if any(len(row) != 3 for row in rows):
        return Told(None, f"squeue: not understood: {printed[:80]!r}")
    states = {state for number, name, state in rows if number == str(job_id) or "+" in name}
    lively = sorted(states - FINAL)
    if lively:
        return Told(False, f"Slurm: {' '.join(lively)}")
    if states:
        return Told(True, f"Slurm: {' '.join(sorted(states))}")
    return Told(True, "Slurm does not have it on this node")
