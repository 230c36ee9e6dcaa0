"""The `socker` commands that list: images, ps.

Root asks the engine.  Users see what the hooks have written down for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence

import click

from pycontrol import askslurm, authorised, cli_group, present, ruleshow, tables
from pycontrol.errors import NodeError
from pycontrol.plaindata import asdict
from pycontrol.present import PresentContainer, PresentImage

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
NO_LIST = "every image is allowed here: this site has no list of images"
OTHERS = "those that only others have run here, root alone can see"


@contextlib.contextmanager
def engine() -> Iterator:
    from pycontrol.engine import Engine

    settings = cli_group.settings()
    with contextlib.closing(Engine(settings.engine, settings.engine_timeout)) as found:
        yield found


@click.group(
    "images",
    short_help="List the images that you may run and the node has.",
    invoke_without_command=True,
)
@JSON_OPTION
@click.pass_context
def images_command(context: click.Context, as_json: bool) -> None:
    """List the images that you may run, and which of them this node has.

    \b
      socker images
      socker images --json
      srun --overlap --jobid=JOB --container-image=none socker images

    Root sees all that the engine has. Others see the images that they have run on
    this node since it booted, and of the site's list, if there is one, those that
    are here.
    """
    if context.invoked_subcommand:
        return
    settings = cli_group.settings()
    allowed = authorised.names(settings)
    rules = authorised.rules_of_caller(settings)
    may_run = ruleshow.allows(*rules)
    is_root = os.geteuid() == 0
    found = _all_images(allowed) if is_root else present.own_images(os.getuid())
    if not is_root and allowed is not None:
        found = [image for image in found if image.image in allowed or may_run(image.image)]
    entries = ruleshow.authorised(*rules)
    if as_json:
        answer = _images_as_json(found, allowed) | {"rules": [asdict(e) for e in entries]}
        click.echo(json.dumps(answer, indent=2))
        return
    here = {image.image for image in found}
    absent = [name for name in allowed or () if name not in here]
    heads = ("IMAGE", "DIGEST", "ID", "SIZE", "AGE" if is_root else "USED")
    drawn = cli_group.is_drawn_on(sys.stdout)
    tables.show(heads, tables.image_rows(found, absent), drawn)
    if entries:
        click.echo("\nby the site's rules, in the order in which they are asked:\n")
        tables.show(("IMAGES", "ALLOWED", "BY", "ONLY IN"), tables.rule_rows(entries), drawn)
    if allowed is None:
        click.echo(f"socker: {NO_LIST}" + ("" if is_root else f"; {OTHERS}"), err=True)


def _all_images(allowed: Sequence[str] | None) -> list[PresentImage]:
    """What the engine has; and users learn what of the site's list is here."""
    with engine() as asked:
        found = present.images_of(asked.images())
    if allowed is not None:
        from pycontrol import shown

        shown.listed(present.STATE, tables.as_json(i for i in found if i.image in allowed))
    return found


def _images_as_json(found: list[PresentImage], allowed: Sequence[str] | None) -> dict:
    answer = {"node": os.uname().nodename, "allowed": "all" if allowed is None else list(allowed)}
    return answer | {"present": tables.as_json(found)}


@click.command("ps", short_help="List your containers on this node.")
@JSON_OPTION
@cli_group.VERBOSE_OPTION
def ps_command(as_json: bool) -> None:
    """List the containers on this node: your own; for root everybody's.

    \b
      socker ps
      socker ps --json
      srun --overlap --jobid=JOB --container-image=none socker ps

    STEPS are the running steps in the container. A job's container waits for the
    next step when none is. Containers are seen on the nodes of a job only.
    """
    found = _everybodys() if os.geteuid() == 0 else _own()
    if as_json:
        click.echo(json.dumps(tables.as_json(found), indent=2))
        return
    heads = ("JOB", "STEPS", "IMAGE", "NODE", "USER", "AGE")
    tables.show(heads, tables.container_rows(found), cli_group.is_drawn_on(sys.stdout))
    if not found:
        whose = "" if os.geteuid() == 0 else "of yours "
        click.echo(f"socker: no container {whose}is on {os.uname().nodename}", err=True)


def _everybodys() -> list[PresentContainer]:
    running = None
    try:
        running = _running()
    except NodeError as error:  # the engine is what root wants to see
        click.echo(f"socker: {error}: steps are not shown", err=True)
    with engine() as asked:
        return present.containers_of(asked.containers([present.JOB]), running)


def _own() -> list[PresentContainer]:
    return present.own_containers(_running("--me"), os.getuid())


def _running(*options: str) -> dict[int, set[str]]:
    """The running steps of each running job."""
    jobs = _squeue(*options, "--states=running,completing,suspended", "--format=%i %A")
    steps = _squeue(*options, "--steps", "--format=%i")
    return present.running_steps(steps, present.job_numbers(jobs))


def _squeue(*options: str) -> str:
    argv = ("squeue", "--noheader", *options)
    cli_group.show(argv)
    return askslurm.ask(*argv)
