"""The `socker` command; here those for admins: install, uninstall, check, config."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from pycontrol import __version__, check, cli_shows, cli_steps, config, install, plugstack
from pycontrol.cli_group import Commands

PLUGSTACK_OPTION = click.option(
    "--plugstack",
    type=click.Path(path_type=Path),
    default=install.PLUGSTACK,
    show_default=True,
    help="Slurm's plugstack.conf.",
)
DIRECTORY_OPTION = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=install.LIBRARY_DIRECTORY,
    show_default=True,
    help="Where the plugin and pause are.",
)


def _need_root(command: str) -> None:
    if os.geteuid() != 0:
        click.echo(f"socker: {command} changes the node: run it as root", err=True)
        sys.exit(2)


@click.group("socker", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="socker")
def main() -> None:
    """Docker containers as Slurm job steps.

    \b
      socker run debian:bookworm cat /etc/os-release
      socker explain --docker=debian:bookworm true
      socker COMMAND -h
    """


for command in (
    cli_steps.run_command,
    cli_steps.pull_command,
    cli_steps.explain_command,
    cli_shows.images_command,
    cli_shows.ps_command,
):
    main.add_command(command)


@main.command("install")
@click.option("--enable", is_flag=True, help="Write the plugstack line without its comment mark.")
@DIRECTORY_OPTION
@PLUGSTACK_OPTION
def install_command(enable: bool, directory: Path, plugstack: Path) -> None:
    """Put the plugin, pause and a plugstack.conf line in place."""
    _need_root("install")
    install.install(directory, plugstack, enable, click.echo)


@main.command("uninstall")
@DIRECTORY_OPTION
@PLUGSTACK_OPTION
def uninstall_command(directory: Path, plugstack: Path) -> None:
    """Undo `socker install`."""
    _need_root("uninstall")
    install.uninstall(directory, plugstack, click.echo)


@main.command("config")
@PLUGSTACK_OPTION
def config_command(plugstack: Path) -> None:
    """Print each setting, its value, and where the value came from."""
    loaded = config.load(_arguments(plugstack))
    width = max(map(len, config.FIELDS))
    for name in config.FIELDS:
        value = getattr(loaded.config, name)
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        click.echo(f"{name:{width}} = {shown}  ({loaded.origin[name]})")


def _arguments(path: Path) -> tuple[str, ...]:
    line = plugstack.find_line(path)
    return line.arguments if line else ()


@main.command("check")
@PLUGSTACK_OPTION
def check_command(plugstack: Path) -> None:
    """Tell what this node lacks: a line each, ok, warning or error with the fix.

    Ends with status 1 when there is an error.
    """
    worst = 0
    for finding in check.run(plugstack):
        click.echo(finding.line())
        worst = max(worst, finding.level)
    sys.exit(1 if worst == check.ERROR else 0)
