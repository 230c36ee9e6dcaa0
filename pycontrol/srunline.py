"""srun's command line: which words are options, what they say, and where they end.

Pure functions, run as the user by `socker run` and `socker explain`.  Which
options of srun take a value in the next word is of slurm_opt.c in Slurm 22.05,
with those that later releases added.
"""

from __future__ import annotations

from collections.abc import Sequence

from pycontrol import request
from pycontrol.errors import UserError
from pycontrol.plaindata import dataclass

# The options of this plugin (spank_plugin/options.c).
CONTAINER_VALUES = (
    "container-image", "docker", "container-mounts", "container-workdir", "container-name",
    "container-save", "container-env", "container-env-file", "container-unshare",
    "container-pull", "container-tmp",
)  # fmt: skip
CONTAINER_SWITCHES = tuple(
    name for pair in request.SWITCHES.items() for name in pair if name is not None
)
LISTS = ("container-mounts", "container-env", "container-unshare")

_SHORT_WITH_VALUE = frozenset("ABbcCdDeGiJLmMnNopqrSTtwWx")
_LONG_WITH_VALUE = frozenset((
    "account", "acctg-freq", "bb", "bbf", "bcast", "bcast-exclude", "begin", "chdir",
    "cluster-constraint", "clusters", "comment", "constraint", "container", "container-id",
    "core-spec", "cores-per-socket", "cpu-bind", "cpu-freq", "cpus-per-gpu", "cpus-per-task",
    "deadline", "delay-boot", "dependency", "distribution", "epilog", "error", "exclude",
    "export", "export-file", "extra", "extra-node-info", "gpu-bind", "gpu-freq", "gpus",
    "gpus-per-node", "gpus-per-socket", "gpus-per-task", "gres", "gres-flags", "het-group",
    "hint", "input", "job-name", "jobid", "licenses", "mail-type", "mail-user", "mcs-label",
    "mem", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "mpi", "network", "nodefile",
    "nodelist", "nodes", "ntasks", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-node",
    "ntasks-per-socket", "ntasks-per-tres", "open-mode", "output", "partition", "power",
    "priority", "profile", "prolog", "qos", "relative", "reservation", "signal", "slurmd-debug",
    "sockets-per-node", "switches", "task-epilog", "task-prolog", "thread-spec", "threads",
    "threads-per-core", "time", "time-min", "tmp", "tres-bind", "tres-per-task", "wait", "wckey",
))  # fmt: skip
LONG_OF = {
    "A": "account", "D": "chdir", "n": "ntasks", "N": "nodes", "p": "partition", "w": "nodelist",
}  # fmt: skip


@dataclass(frozen=True)
class Word:
    """One option as srun reads it; `value` is None for one without."""

    name: str  # the long name where LONG_OF has it, else as given, without dashes
    value: str | None


@dataclass(frozen=True)
class Line:
    """srun's command line: the words of the options, what they say, and the command."""

    words: tuple[str, ...]
    options: tuple[Word, ...]
    command: tuple[str, ...]

    def names(self) -> set[str]:
        return {option.name for option in self.options}


def _takes_value(word: str, prefix: str) -> bool:
    if word.startswith("--"):
        name = word[2:]
        return name in _LONG_WITH_VALUE or name.removeprefix(prefix) in CONTAINER_VALUES
    flags = word[1:]
    # Of a cluster of flags only the last may have its value in the next word.
    return flags[-1:] in _SHORT_WITH_VALUE and not set(flags[:-1]) & _SHORT_WITH_VALUE


def _short(word: str, value: str | None) -> list[Word]:
    found = []
    for place, letter in enumerate(word[1:], start=1):
        name = LONG_OF.get(letter, letter)
        if letter in _SHORT_WITH_VALUE or letter == "I":
            return [*found, Word(name, word[place + 1 :] or value)]
        found.append(Word(name, None))
    return found


def _read(word: str, value: str | None) -> list[Word]:
    if not word.startswith("--"):
        return _short(word, value)
    name, equals, attached = word[2:].partition("=")
    return [Word(name, attached if equals else value)]


def split(words: Sequence[str], prefix: str = "") -> Line:
    """Options up to the first word that is none, as srun reads them."""
    options: list[Word] = []
    position = 0
    while position < len(words) and words[position][:1] == "-" and words[position] != "-":
        word, value = words[position], None
        position += 1
        if word == "--":
            return Line(tuple(words[: position - 1]), tuple(options), tuple(words[position:]))
        if _takes_value(word, prefix):
            if position == len(words):
                raise UserError(f"{word}: its value is missing: write it behind the option")
            value = words[position]
            position += 1
        options += _read(word, value)
    return Line(tuple(words[:position]), tuple(options), tuple(words[position:]))
