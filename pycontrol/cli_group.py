"""How `socker` reports what is wrong: one line, and exit status 2."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from pycontrol import config, install, plugstack
from pycontrol.errors import SockerError
from pycontrol.runstep import Place

WRONG = 2  # what was asked for makes no sense, or cannot be had
INTERRUPTED = 130


class Commands(click.Group):
    """Every error of a command becomes `socker: what: why: fix`."""

    def main(self, *args: Any, standalone_mode: bool = True, **more: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **more)
        try:
            status = super().main(*args, standalone_mode=False, **more)
        except click.ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # not in click before 8.2
                error.show()
                sys.exit(WRONG)
            fail(usage_line(error))
        except SockerError as error:
            fail(str(error))
        except BrokenPipeError:  # of `socker images | head`: Python would say more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            fail(f"{error.filename or 'this host'}: {error.strerror}: tell the admin")
        except click.Abort:
            sys.exit(INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)


def fail(text: str) -> None:
    click.echo(f"socker: {text}", err=True)
    sys.exit(WRONG)


def usage_line(error: click.ClickException) -> str:
    """click's message as one line, with the command that it is about, and where help is."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "socker"
    command = path.removeprefix("socker").strip()
    text = " ".join(error.format_message().split()).rstrip(".")
    fix = f"see `{path} -h`"
    if isinstance(error, click.NoSuchOption) and command == "run":
        fix = f"options of srun go behind --: socker run -- {error.option_name} ... IMAGE COMMAND"
    return ": ".join(filter(None, (command, text, fix)))


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
    line = plugstack.find_line(install.PLUGSTACK)
    return config.split_arguments(line.arguments) if line else {}


def settings() -> config.Config:
    """This host's settings."""
    line = plugstack.find_line(install.PLUGSTACK)
    return config.load(line.arguments if line else ()).config
