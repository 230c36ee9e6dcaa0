"""The digests of a job's images where sacct shows them: in its comment in Slurm.

Runs as root in the step's hook, where the site has said so (store_digest).  The
comment is the job owner's, so that user's rights write it; the admin_comment is
root's.  Slurm replaces the whole text, so what is there is read first.  A failure
is for the node's log: no step waits or fails for it.
"""

from __future__ import annotations

import os

from pycontrol import as_user
from pycontrol.askslurm import ask
from pycontrol.bridge import Channel
from pycontrol.config import Config
from pycontrol.errors import NodeError, SockerError
from pycontrol.policy import ContainerSpec
from pycontrol.state import Record

TIMEOUT = 5  # seconds for each of Slurm's commands
LONGEST = 1024  # characters that Slurm takes for a comment at submission


def note(spec: ContainerSpec, record: Record, job: int, config: Config, channel: Channel) -> None:
    """Of a container that the first node of a step has made."""
    if not record.digest:
        return
    name = f"{record.made_of.partition('@')[0]}@{record.digest}"
    field = config.store_digest

    def work() -> bytes:
        add(config.slurm_bin, job, field, name)
        return b""

    try:
        if field == "comment":
            as_user.call(spec.account, work)
        else:
            work()
    except (SockerError, OSError) as error:
        channel.log(f"the {field} of job {job} does not get {name}: {error}")


def add(folder: str, job: int, field: str, name: str) -> None:
    """Behind what is there, once; field: comment or admin_comment."""
    shown = ask(
        os.path.join(folder, "squeue"), "--noheader", f"--jobs={job}",
        f"--Format={field}:{LONGEST}", seconds=TIMEOUT,
    )  # fmt: skip
    before = shown.strip().removeprefix("(null)")
    if name in before.split():
        return
    text = f"{before} {name}".strip()
    if len(text) > LONGEST:
        raise NodeError(f"it has more than {LONGEST} characters")
    change = f"{field.replace('_', '')}={text}"
    ask(os.path.join(folder, "scontrol"), "update", f"jobid={job}", change, seconds=TIMEOUT)
