"""Writes docs/user/socker.1 from the commands' own definitions (pycontrol/cli.py).

click-man, which does the same for any click program, drops the line breaks of
the examples and makes a page for each command: this is less code than its
configuration would be.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pycontrol import __version__, cli  # noqa: E402 (found through the path above)

PAGE = ROOT / "docs/user/socker.1"
HEAD = f"""\
.\\" Generated from pycontrol/cli.py by `make docs`.
.TH SOCKER 1 "" "socker {__version__}" "User Commands"
.SH NAME
socker \\- Docker containers as Slurm job steps
.SH SYNOPSIS
.B socker
.I COMMAND
[OPTIONS] [ARGUMENTS]
.SH DESCRIPTION
"""
FOOT = """\
.SH EXIT STATUS
.B run
and
.B pull
end as their srun does. All others: 0; 1 if
.B check
has found an error; 2 for bad input and for what cannot be done, with one line
.I socker: what: why: fix
on standard error.
.SH ENVIRONMENT
.TP
.B SOCKER_CONTAINER_IMAGE, SOCKER_CONTAINER_MOUNTS, ...
Defaults of srun's container options; see
.BR "srun \\-\\-help" .
.SH SEE ALSO
.BR srun (1),
.BR salloc (1),
.BR sbatch (1),
.BR docker (1)
"""


def escaped(text: str) -> str:
    """Text that roff does not take for its own."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.splitlines())


def paragraphs(help_text: str) -> Iterator[str]:
    """A command's help; click keeps the lines of a paragraph that begins with \\b."""
    for part in inspect.cleandoc(help_text).split("\n\n"):
        if part.startswith("\b"):
            yield ".PP\n.nf\n" + escaped(part.removeprefix("\b\n")) + "\n.fi\n"
        else:
            yield ".PP\n" + escaped(part) + "\n"


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        named = isinstance(parameter, click.Option) and "--help" not in parameter.opts
        if record and named:
            yield f".TP\n.B {escaped(record[0])}\n{escaped(record[1])}\n"


def section(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS socker {escaped(name)} {escaped(usage)}\n"
    yield from paragraphs(command.help or "")
    yield from options(command, context)


def page() -> str:
    main = cli.main
    context = click.Context(main, info_name="socker", **main.context_settings)
    parts = [HEAD, *paragraphs(main.help or ""), ".SH OPTIONS\n", *options(main, context)]
    parts.append(".TP\n.B \\-h, \\-\\-help\nShow help; also of each command.\n.SH COMMANDS\n")
    for name in main.list_commands(context):
        parts += section(name, main.commands[name], context)
    return "".join([*parts, FOOT])


if __name__ == "__main__":
    PAGE.write_text(page())
