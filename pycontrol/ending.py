"""Leaves what the end of a job needs of a container, so that it needs no Python.

Runs as root in the hook that has made one.  The shim does what is in the records
(spank_plugin/job_end.c) where each container of the job has one, and all that it
depends on is as it was; else jobend.py does it, without them.  The entries are
spank_plugin/recorded.c's.
"""

from __future__ import annotations

import contextlib

from pycontrol import bridge, imageuse, reads
from pycontrol.bridge import JobFacts
from pycontrol.config import Config
from pycontrol.replay import SETTLED, file_entry, seal
from pycontrol.state import JobState, Record

SOCKET = "unix://"  # an engine by the network is Python's


def keep(record: Record, job: JobState, facts: JobFacts, config: Config, since: float) -> None:
    """Nothing that fails here matters to anyone: the end has its other way.

    since: when the settings had been read (seconds, epoch)
    """
    newest = max((max(identity[3:]) for identity in reads.policy_files.values()), default=None)
    if newest is None or newest > (since - SETTLED) * 1e9:
        return
    if not config.engine.startswith(SOCKET):
        return
    entries = [(b"B", str(bridge.ABI)), (b"A", "".join(f"{a}\0" for a in facts.plugin_args))]
    entries += [file_entry(path, identity) for path, identity in reads.policy_files.items()]
    entries += [
        (b"S", config.engine.removeprefix(SOCKET)),
        (b"C", record.container),
        (b"G", str(imageuse.path_of(record.image.image_id))),
        (b"O", config.audit_log),
    ]
    if config.audit_syslog:
        entries.append((b"Y", ""))
    with contextlib.suppress(OSError):  # a full disk
        job.note_end_of(record.name, seal(entries))
