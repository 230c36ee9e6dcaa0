"""The `socker` commands that list: images, ps.

Root asks the engine.  For users each says what can be known without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator

import click

from pycontrol import cli_group, identity, present
from pycontrol.errors import NodeError

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
NO_LIST = "every image is allowed here: this site has no list of images"
ASK_ROOT = (
    "which images a node has, only root can ask its engine; to try one: "
    "srun --container-image=IMAGE --container-pull=never true"
)


@contextlib.contextmanager
def engine() -> Iterator:
    from pycontrol.engine import Engine  # with it the Docker SDK

    settings = cli_group.settings()
    with contextlib.closing(Engine(settings.engine, settings.engine_timeout)) as found:
        yield found


@click.command("images")
@JSON_OPTION
def images_command(as_json: bool) -> None:
    """List the images that you may run here; for root also those that this node has.

    \b
      socker images
      socker images --json
    """
    found = None
    if os.geteuid() == 0:
        with engine() as asked:
            found = present.images_of(asked.images())
    if as_json:
        images = None if found is None else present.as_json(found)
        answer = {"node": socket.gethostname(), "allowed": "all", "present": images}
        click.echo(json.dumps(answer | ({"note": ASK_ROOT} if found is None else {}), indent=2))
    elif found is None:
        click.echo(f"{NO_LIST}\n{ASK_ROOT}")
    else:
        click.echo(present.image_table(found))
        click.echo(f"socker: {NO_LIST}", err=True)


@click.command("ps")
@JSON_OPTION
def ps_command(as_json: bool) -> None:
    """List the containers on this node: your own; for root everybody's.

    \b
      socker ps
      srun --overlap --jobid=JOB --container-image=none socker ps

    STEPS are the running steps of the container's job, on all its nodes. For
    users, containers are seen on the nodes of a job only, one line for a job and
    node, and without their images, which only root can know.
    """
    found = _everybodys() if os.geteuid() == 0 else _own()
    if as_json:
        click.echo(json.dumps(present.as_json(found), indent=2))
        return
    click.echo(present.container_table(found))
    if os.geteuid() != 0:
        click.echo(
            f"socker: shown are your running jobs that asked for a container on "
            f"{socket.gethostname()}; images, only root can see",
            err=True,
        )


def _everybodys() -> list[present.PresentContainer]:
    steps: dict[int, int] = {}
    try:
        steps = _steps()
    except NodeError as error:  # the engine is what root wants to see
        click.echo(f"socker: {error}: steps are not counted", err=True)
    with engine() as asked:
        return present.containers_of(asked.containers([present.JOB]), steps)


def _own() -> list[present.PresentContainer]:
    account = identity.look_up(os.getuid(), os.getgid(), ())
    return present.own_containers(_steps(f"--user={account.name}"), account.uid)


def _steps(*options: str) -> dict[int, int]:
    """Running jobs, and how many steps each has."""
    jobs = present.squeue(*options, "--states=running,completing,suspended", "--format=%i %A")
    running = present.squeue(*options, "--steps", "--format=%i")
    return present.count_steps(running, present.job_numbers(jobs))
