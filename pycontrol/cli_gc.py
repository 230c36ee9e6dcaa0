"""The `socker` commands that take away: gc, images prune.  For root."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

import click

from pycontrol import cli_group, cli_shows, limits, plugstack, present, tables
from pycontrol.errors import SockerError, UserError
from pycontrol.plaindata import asdict

NO_LIMIT = "without --max-age, --max-size, or the settings prune_age, prune_size all images stay"

DRY_RUN_OPTION = click.option(
    "--dry-run", is_flag=True, help="Remove nothing; print all that is there, and why it stays."
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.command("gc", short_help="Remove what ended jobs have left on this node.")
@DRY_RUN_OPTION
@JSON_OPTION
def gc_command(dry_run: bool, as_json: bool) -> int:
    """Remove what ended jobs have left on this node; print what went.

    \b
      socker gc
      socker gc --dry-run
      socker gc --json

    A job's epilog leaves nothing; this is for the night in which it did not come to
    that. Only what socker has made is looked at; what belongs to a living job stays,
    and what may do so. Ends with status 1 when something could not be removed, or
    not be looked at.
    """
    from pycontrol import gc

    cli_group.need_root("gc")
    troubles: list[str] = []
    collector = gc.Collector(present.STATE, _settings(troubles), _arguments(), troubles.append)
    rulings = collector.survey() if dry_run else collector.collect()
    shown = rulings if dry_run else [r for r in rulings if r.what != gc.STAYS]
    for text in troubles:
        click.echo(f"socker: gc: {text}", err=True)
    if as_json:
        things = [
            {"kind": t.kind, "name": t.name, "node": t.node, "job": t.job, "what": what, "why": why}
            for t, what, why in ((r.thing, r.what, r.why) for r in rulings)
        ]
        _print_json(dry_run, {"things": things, "troubles": troubles})
    elif shown:
        heads = ("WHAT", "KIND", "JOB", "NODE", "NAME", "WHY")
        rows = [
            (r.what, t.kind, str(t.job or "-"), t.node, _short(t.name), r.why)
            for r, t in ((r, r.thing) for r in shown)
        ]
        tables.show(heads, rows, cli_group.is_drawn_on(sys.stdout))
    return 1 if troubles or any(r.what == gc.FAILED for r in rulings) else 0


@click.command("prune", short_help="Remove images that nobody has used for long.")
@click.option("--max-age", help="How long an image may lie unused, like 30d; else prune_age.")
@click.option("--max-size", help="How much all images may take, like 200g; else prune_size.")
@click.option("--all", "everything", is_flag=True, help="Also images that socker did not bring.")
@DRY_RUN_OPTION
@JSON_OPTION
def prune_command(
    max_age: str | None, max_size: str | None, everything: bool, dry_run: bool, as_json: bool
) -> int:
    """Remove images that socker brought and nobody has used for long; print what went.

    \b
      socker images prune --max-age=30d --dry-run
      socker images prune --max-size=200g
      socker images prune

    Limits are the settings prune_age and prune_size, or the options. For a size the
    image that was not used for longest goes first. An image stays while a container or
    a job on this node uses it, and if it was used in the last 10 minutes. Ends with
    status 1 when an image could not be removed.
    """
    from pycontrol import prune

    cli_group.need_root("images prune")
    settings = cli_group.settings()
    wish = prune.Wish(
        _limit("--max-age", max_age, settings.prune_age, limits.seconds_of, "30d"),
        _limit("--max-size", max_size, settings.prune_size, limits.bytes_of, "200g"),
        everything,
    )
    if wish.seconds is None and wish.size is None:
        click.echo(f"socker: images prune: {NO_LIMIT}", err=True)
    with cli_shows.engine() as engine:
        pruner = prune.Pruner(engine, present.STATE, wish)
        decisions = pruner.survey() if dry_run else pruner.prune()
    shown = decisions if dry_run else [d for d in decisions if d.what != prune.STAYS]
    if as_json:
        images = [asdict(d.image) | {"what": d.what, "why": d.why} for d in decisions]
        _print_json(dry_run, {"images": images})
    elif shown:
        heads = ("WHAT", "IMAGE", "ID", "SIZE", "USED", "WHY")
        rows = prune.rows(shown, time.time())
        tables.show(heads, rows, cli_group.is_drawn_on(sys.stdout))
    return 1 if any(d.what == prune.FAILED for d in decisions) else 0


def _limit(
    option: str, given: str | None, setting: str, read: Callable[[str], int | None], example: str
) -> int | None:
    if given is None:
        return read(setting)
    found = read(given)
    if found is None and given != limits.UNLIMITED:
        raise UserError(f"images prune: {option}={given}: write it like {example}, or unlimited")
    return found


def _print_json(dry_run: bool, answer: dict) -> None:
    host = {"host": os.uname().nodename, "dry_run": dry_run}
    click.echo(json.dumps(host | answer, indent=2))


def _short(name: str) -> str:
    """A path, or a container's id as Docker shows it."""
    return name if name.startswith("/") else name[:12]


def _arguments() -> tuple[str, ...]:
    line = plugstack.find_line(plugstack.PATH)
    return line.arguments if line else ()


def _settings(troubles: list[str]):
    """A file that the admin is just breaking must not keep what is left over."""
    from pycontrol.settings import Config

    try:
        return cli_group.settings()
    except SockerError as error:
        troubles.append(f"{error}: it goes on with the defaults")
        return Config()
