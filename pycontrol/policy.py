"""Request + account + configuration -> specification.  Pure: no effect, no look-up.

The one place that decides what a step may have.
"""

from __future__ import annotations

from dataclasses import dataclass

from pycontrol import mounts
from pycontrol.config import Config
from pycontrol.identity import Account
from pycontrol.image import Reference
from pycontrol.mounts import Mount
from pycontrol.request import ContainerRequest

BATCH_STEP = 0xFFFFFFFB  # SLURM_BATCH_SCRIPT of slurm.h


@dataclass(frozen=True)
class ContainerSpec:
    """What policy allowed: everything but the image's own part is fixed here."""

    image: Reference
    account: Account
    mounts: tuple[Mount, ...]  # before the account files and the user's own
    user_mounts: tuple[Mount, ...]
    workdir: str | None  # None: the step's directory, or the image's
    cwd: str
    read_only_root: bool = True


def _default_mounts(request: ContainerRequest, account: Account, cwd: str, config: Config):
    found = list(mounts.NODE_MOUNTS)
    home_wanted = config.mount_home if request.mount_home is None else request.mount_home
    if home_wanted:
        found.append(mounts.home_mount(account.home))
    if config.mount_submit_dir and not (mounts.is_below(cwd, account.home) and not home_wanted):
        found.append(mounts.submit_mount(cwd, tuple(filter(None, found))))
    return tuple(filter(None, found))


def _batch_script(step_id: int, argv: tuple[str, ...]) -> tuple[Mount, ...]:
    """slurmd executes a batch script from its spool directory: show that file."""
    if step_id != BATCH_STEP or not argv or not argv[0].startswith("/"):
        return ()
    return (Mount(argv[0], argv[0], read_only=True),)


def decide(
    request: ContainerRequest,
    account: Account,
    config: Config,
    *,
    cwd: str,
    step_id: int,
    argv: tuple[str, ...],
) -> ContainerSpec:
    """The specification of a step's container."""
    own = tuple(Mount(m.source, m.target, m.read_only) for m in request.mounts)
    return ContainerSpec(
        image=request.image,
        account=account,
        mounts=_default_mounts(request, account, cwd, config) + _batch_script(step_id, argv),
        user_mounts=own,
        workdir=request.workdir,
        cwd=cwd,
    )
