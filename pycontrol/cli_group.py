"""How `socker` reports what is wrong: one line, and exit status 2."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click

from pycontrol import config, plugstack, request
from pycontrol.errors import SockerError, UserError, printable
from pycontrol.runstep import Place

WRONG = 2  # what was asked for makes no sense, or cannot be had
UNHEARD = 1  # nobody reads what is printed
INTERRUPTED = 130


class Commands(click.Group):
    """Every error of a command becomes `socker: what: why: fix`."""

    asked: str  # the command that is being run: not all of click's errors know it

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        found = super().resolve_command(ctx, args)
        self.asked = found[0] or ""
        return found

    def main(self, *args: Any, standalone_mode: bool = True, **more: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **more)
        self.asked = ""
        try:
            status = super().main(*args, standalone_mode=False, **more)
            if sys.stdout:
                sys.stdout.flush()
        except click.ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # not in click before 8.2
                error.show()
                sys.exit(WRONG)
            fail(usage_line(error, self.asked))
        except SockerError as error:
            fail(request.with_prefix(str(error), _prefix()))
        except BrokenPipeError:  # of `socker images | head`, which has read enough
            _forget(sys.stdout)
            sys.exit(UNHEARD)
        except OSError as error:
            fail(_system_error(error))
        except click.Abort:
            sys.exit(INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)


def fail(text: str) -> None:
    """One line, whatever it quotes and however long that is."""
    short = re.sub(r"(\S{200})\S{200,}(\S{20})", r"\1...\2", text)
    try:
        click.echo(printable(f"socker: {short}"), err=True)
    except OSError:
        _forget(sys.stderr)
    sys.exit(WRONG)


def _forget(stream: TextIO | None) -> None:
    """Python would try once more at its end to write what could not be written."""
    if stream:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _system_error(error: OSError) -> str:
    if error.filename is None:
        _forget(sys.stdout)
        return f"the output cannot be written: {error.strerror}: write it elsewhere"
    return f"{error.filename}: {error.strerror}: check the path, or tell the admin"


def _prefix() -> str:
    try:
        return arguments().get("prefix", "")
    except (OSError, SockerError):  # it is what the error is about
        return ""


def usage_line(error: click.ClickException, command: str) -> str:
    """click's message as one line, with the command that it is about, and where help is."""
    path = f"socker {command}".rstrip()
    text = " ".join(error.format_message().split()).rstrip(".")
    fix = f"see `{path} -h`"
    if isinstance(error, click.NoSuchOption) and command == "run":
        fix = f"options of srun go behind --: socker run -- {error.option_name} ... IMAGE COMMAND"
    return ": ".join(filter(None, (command, text, fix)))


def _note_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta[VERBOSE] = True


VERBOSE = "socker.verbose"  # in click's meta, which a command has from its group
VERBOSE_OPTION = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_note_verbose,
    help="Show the commands of Slurm that are run, and the stages of a step's set-up.",
)  # fmt: skip


def verbose() -> bool:
    return click.get_current_context().meta.get(VERBOSE, False)


def show(argv: Sequence[str]) -> None:
    """With -v: the command that is about to be run."""
    if verbose():
        click.echo(f"socker: {shlex.join(argv)}", err=True)


def need_root(command: str) -> None:
    if os.geteuid() != 0:
        raise UserError(f"{command}: it changes the node: run it as root")


def is_drawn_on(stream: TextIO | None) -> bool:
    """A terminal that can do more than show lines."""
    return bool(stream and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb")


def here() -> Place:
    """Where the command was started."""
    terminal = os.isatty(0) and os.isatty(1)
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = "/"
    prefix = arguments().get("prefix", "")
    cpus = frozenset(os.sched_getaffinity(0))
    return Place(dict(os.environ), cwd, terminal, prefix, os.uname().nodename, cpus)


def arguments() -> dict[str, str]:
    """Of this host's plugstack.conf line."""
    line = plugstack.find_line(plugstack.PATH)
    return config.split_arguments(line.arguments) if line else {}


def settings() -> config.Config:
    """This host's settings."""
    line = plugstack.find_line(plugstack.PATH)
    return config.load(line.arguments if line else ()).config
