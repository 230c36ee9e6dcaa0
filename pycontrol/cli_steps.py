"""The `socker` commands about a step: run, pull, explain.

They run as the user and have no right of root's; run and pull become srun.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator

import click

from pycontrol import askslurm, cli_group, config, explain, identity, runstep
from pycontrol.errors import EngineError, NodeError, UserError, printable
from pycontrol.image import Image, Reference
from pycontrol.plaindata import replace


def become(argv: list[str], environ: dict[str, str]) -> None:
    """Execute srun in this process's place: from here on all is its own."""
    cli_group.show(argv)
    with starting_srun():
        os.execvpe(argv[0], argv, environ)


@contextlib.contextmanager
def starting_srun() -> Iterator[None]:
    """Where it cannot be started, why."""
    try:
        yield
    except FileNotFoundError:
        raise NodeError("srun: not in PATH: use a host of the cluster") from None
    except OSError as error:
        fix = "shorten the command line" if error.errno == errno.E2BIG else "tell the admin"
        raise NodeError(f"srun: it cannot be started: {error.strerror}: {fix}") from error


def _complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list:
    from pycontrol import completion

    return completion.image_or_command(context.params.get("words") or (), incomplete)


def _complete_pull(context: click.Context, parameter: click.Parameter, incomplete: str) -> list:
    from pycontrol import completion

    return completion.images(incomplete)


@click.command(
    "run",
    short_help="Run a command in an image.",
    context_settings={"allow_interspersed_args": False},
)
@cli_group.VERBOSE_OPTION
@click.option(
    "-e", "--env", multiple=True, metavar="NAME[=VAL]",
    help="Set a variable inside, or keep the job's whatever the image sets.",
)  # fmt: skip
@click.option(
    "--mount", "mounts", multiple=True, metavar="SRC:DST[:FLAGS]",
    help="Show a file or directory of the node inside; as in --container-mounts.",
)  # fmt: skip
@click.option("-w", "--workdir", metavar="DIR", help="Start in this directory of the image.")
@click.option("-n", "--ntasks", "tasks", type=click.IntRange(min=1), metavar="N",
              help="How many tasks; 1 if nothing else is said.")  # fmt: skip
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="[-- SRUN-OPTIONS] IMAGE COMMAND...",
    shell_complete=_complete_run,
)  # fmt: skip
def run_command(env, mounts, workdir, tasks, words) -> None:
    """Run COMMAND in IMAGE: an srun with the image, in an allocation or without.

    \b
      socker run debian:bookworm cat /etc/os-release
      socker run debian:bookworm bash
      socker run -n 4 -e THREADS=2 --mount data:/in:ro -w /in tool:1 solve
      socker run -- -N 2 --ntasks-per-node=1 --mem=1g debian:bookworm hostname

    IMAGE is what --container-image takes: a name, dockerd://NAME, or the path of
    a file. Options of srun stand behind -- and before IMAGE, as srun itself takes
    them. All words behind IMAGE are the command's. One task on a terminal has a
    terminal. In an allocation the step runs beside the others (--overlap).
    """
    place = cli_group.here()
    run = runstep.parse_run(
        words, place, env=env, mounts=mounts, workdir=workdir, tasks=tasks,
        verbose=cli_group.verbose(),
    )  # fmt: skip
    become(runstep.run_argv(run, place), runstep.run_environ(run, place))


@click.command("pull", short_help="Bring an image to all nodes of this allocation.")
@cli_group.VERBOSE_OPTION
@click.argument("image", shell_complete=_complete_pull)
def pull_command(image: str) -> int | None:
    """Bring IMAGE to all nodes of this allocation, before the steps need it.

    \b
      salloc -N2 sh -c 'socker pull debian:bookworm && srun --docker=debian:bookworm hostname'

    The registry is asked for the tag's present image; an image in a file is
    imported. Nothing of the image is executed. On a terminal each node has a
    bar; elsewhere, and with -v, what lasts shows lines with the number of the
    node's task in front. Ctrl-C ends it.
    """
    place = cli_group.here()
    launcher = cli_group.settings().launcher
    environ = runstep.without_job_options(place.environ)
    if cli_group.verbose():
        environ["SOCKER_VERBOSE"] = "1"
    elif cli_group.is_drawn_on(sys.stderr):
        from pycontrol import pullbars

        argv = runstep.pull_argv(image, place, launcher, bars=True)
        with starting_srun():
            return pullbars.pull(argv, environ, node_names(place))
    return become(runstep.pull_argv(image, place, launcher), environ)


def node_names(place: runstep.Place) -> list[str]:
    """The job's, in the order in which Slurm numbers one task on each."""
    names: list[str] = []
    for nodes in runstep.job_nodes(place.environ):
        names += askslurm.ask("scontrol", "show", "hostnames", nodes).split()
    return names


class LeadingOptions(click.Command):
    """Its own options are the first words; all behind them is somebody else's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        words = {name: 1 if p.is_flag else 2 for p in options for name in p.opts}
        count = 0
        while count < len(args) and (name := args[count].partition("=")[0]) in words:
            count += 1 if "=" in args[count] else words[name]
        return super().parse_args(ctx, [*args[:count], "--", *args[count:]])


@click.command(
    "explain", short_help="Show what an srun would do, and run nothing.", cls=LeadingOptions
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--user", metavar="NAME", help="(root) As if this user asked.")
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="[srun] SRUN-OPTIONS... [COMMAND...]"
)
def explain_command(as_json: bool, user: str | None, words: tuple[str, ...]) -> None:
    """Show what an srun command line asks for, gets and does, and run nothing.

    \b
      socker explain --docker=debian:bookworm --container-mounts=data:/in:ro solve
      socker explain -p gpu -A physics --docker=registry.example.org/team/tool:1 tool
      socker explain --json srun -N2 --container-image=./tool.sqsh tool
      socker explain --user=alice -p gpu hostname

    The site's rules are shown in the order in which they are asked, and which of
    them decides. Counted in are SOCKER_... variables, the job's own options, your
    account and this host's settings; with --user none of the variables. Whether
    files and images exist is left to the node.
    """
    place = cli_group.here()
    settings = cli_group.settings()
    if user is not None:
        place = replace(place, environ={})
    line = explain.line_of(words, place.prefix)
    if not line.words:
        raise UserError(
            "explain: no option: give the options of an srun: socker explain --docker=IMAGE ..."
        )
    found = explain.explain(
        line,
        account_of(user),
        settings,
        place,
        lambda reference: image_here(reference, settings),
        config.load_rules(settings),
    )
    if as_json:
        click.echo(json.dumps(explain.as_json(found), indent=2))
    else:
        for line in explain.lines(found):
            click.echo(printable(line, len(line)))


def account_of(user: str | None) -> identity.Account:
    """The caller's; root may ask for anybody's."""
    if user is None:
        return identity.of_caller()
    account = identity.of_name(user)
    if not account:
        raise UserError(f"explain: --user={user}: this host knows no such user")
    if os.geteuid() not in (0, account.uid):
        raise UserError(f"explain: --user={user}: only root may ask for others: leave it out")
    return account


def image_here(reference: Reference, settings: config.Config) -> Image | None:
    """The image if this host has it and the caller may ask: only root reaches the engine."""
    if os.geteuid() != 0 or reference.source == "file":
        return None
    from pycontrol.engine import Engine

    with contextlib.suppress(EngineError):
        with contextlib.closing(Engine(settings.engine, settings.engine_timeout)) as engine:
            return engine.find_image(reference)
    return None
