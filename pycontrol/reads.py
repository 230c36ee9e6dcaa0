"""What a step's plan depends on beside its request: variables and files, as they were read.

For replay.py.  Both are noted where they are read, so that nothing is forgotten
when something new is read one day.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

Identity = tuple[int, int, int, int, int]  # device, inode, size, mtime and ctime in ns
tasks_matter = False  # how many the step has on this node: pytorch.py
policy_files: dict[str, Identity] = {}  # of this process, by path: trusted.read_policy()


def identity(status: os.stat_result) -> Identity:
    """What changes whenever a file does."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


class Environment(Mapping[str, str]):
    """The job's variables.

    looked_up: those that somebody asked for, with their values; None: not there
    all_read: somebody went through all
    """

    def __init__(self, variables: Iterable[tuple[str, str]]):
        self._variables = dict(variables)
        self.looked_up: dict[str, str | None] = {}
        self.all_read = False

    def __getitem__(self, name: str) -> str:
        self.looked_up[name] = self._variables.get(name)
        return self._variables[name]

    def peek(self, name: str) -> str | None:
        """For what changes nothing of a plan: it is not noted."""
        return self._variables.get(name)

    def __iter__(self) -> Iterator[str]:
        self.all_read = True
        return iter(self._variables)

    def __len__(self) -> int:
        self.all_read = True
        return len(self._variables)
