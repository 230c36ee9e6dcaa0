"""The `socker` command; here those for admins: install, uninstall, check, config.

What only one command needs is imported there: `socker run` must become srun at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from pycontrol import __version__, cli_gc, cli_group, cli_shows, cli_steps, plugstack
from pycontrol.errors import NodeError

PLUGSTACK_OPTION = click.option(
    "--plugstack",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=plugstack.PATH,
    show_default=True,
    help="Slurm's plugstack.conf.",
)
DIRECTORY_OPTION = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=plugstack.LIBRARY_DIRECTORY,
    show_default=True,
    help="Where the plugin and pause are.",
)


@click.group(
    "socker",
    cls=cli_group.Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="socker")
@cli_group.VERBOSE_OPTION
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
    cli_gc.gc_command,
):
    main.add_command(command)


if "_SOCKER_COMPLETE" in os.environ:  # the shell asks
    from pycontrol import completion  # noqa: F401 (it makes itself known to click)


cli_shows.images_command.add_command(cli_gc.prune_command)


@main.command("install", short_help="Put the plugin in place.")
@click.option("--enable", is_flag=True, help="Write the plugstack line without its comment mark.")
@DIRECTORY_OPTION
@PLUGSTACK_OPTION
def install_command(enable: bool, directory: Path, path: Path) -> None:
    """Put the plugin, pause and a plugstack.conf line in place.

    \b
      socker install
      socker install --enable --plugstack=/etc/slurm/plugstack.conf.d/socker.conf

    To be repeated after each upgrade of socker or Slurm. A line that is enabled
    stays enabled.
    """
    from pycontrol import install

    cli_group.need_root("install")
    install.install(directory, path, enable, click.echo)


@main.command("uninstall")
@DIRECTORY_OPTION
@PLUGSTACK_OPTION
def uninstall_command(directory: Path, path: Path) -> None:
    """Undo `socker install`.

    \b
      socker uninstall
    """
    from pycontrol import install

    cli_group.need_root("uninstall")
    install.uninstall(directory, path, click.echo)


@main.command("config", short_help="Print each setting and where it came from.")
@PLUGSTACK_OPTION
def config_command(path: Path) -> None:
    """Print each setting, its value, and where the value came from.

    \b
      socker config
      socker config | grep -v '(default)$'
    """
    from pycontrol import config

    if path != plugstack.PATH and not path.exists():
        raise NodeError(f"config: {path}: no such file: check the path")
    loaded = config.load(_arguments(path))
    width = max(map(len, config.FIELDS))
    for name in config.FIELDS:
        value = getattr(loaded.config, name)
        click.echo(f"{name:{width}} = {_shown(value)}  ({loaded.origin[name]})")


def _shown(value: object) -> str:
    """As the file has it; of rules only how many, `socker explain` shows them."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, tuple):
        return repr(value)
    texts = all(isinstance(part, str) for part in value)
    return repr(list(value)) if texts else f"{len(value)} rules"


def _arguments(path: Path) -> tuple[str, ...]:
    line = plugstack.find_line(path)
    return line.arguments if line else ()


@main.command("check", short_help="Tell what this node lacks.")
@PLUGSTACK_OPTION
def check_command(path: Path) -> int:
    """Tell what this node lacks: a line each, ok, warning or error with the fix.

    \b
      socker check
      socker check | grep -v ^ok

    Ends with status 1 when there is an error.
    """
    from pycontrol import check

    worst = 0
    for finding in check.run(path):
        click.echo(finding.line())
        worst = max(worst, finding.level)
    return 1 if worst == check.ERROR else 0
