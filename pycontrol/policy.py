"""Request + account + configuration -> specification.  Pure: no effect, no look-up.

The one place that decides what a step may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pycontrol import mounts, ruling
from pycontrol.config import Config
from pycontrol.environment import NO_WISHES, Wishes
from pycontrol.errors import PolicyError, UserError
from pycontrol.identity import Account
from pycontrol.image import Reference
from pycontrol.judge import Judge
from pycontrol.mounts import Mount
from pycontrol.plaindata import dataclass, replace
from pycontrol.request import ContainerName, ContainerRequest
from pycontrol.savetarget import SaveTarget

_RANKS = re.compile(r"[0-9,*-]+")  # the first word of a --multi-prog line
NOBODY = 65534
LARGEST_UID = 2**31 - 1  # maxID of libcontainer/user (opencontainers/runc)
BATCH_STEP = 0xFFFFFFFB  # SLURM_BATCH_SCRIPT of slurm.h
INTERACTIVE_STEP = 0xFFFFFFFA  # SLURM_INTERACTIVE_STEP: what salloc starts


@dataclass(frozen=True)
class ContainerSpec:
    """What policy allowed: everything but the image's own part is fixed here.

    key       which of the job's containers on a node this is (state.py)
    own_root  a root file system that the job's owner may write to
    judges    the site's rules, for each place that the job runs in
    rule      what of them allowed the image
    """

    key: str
    image: Reference | None  # None: whatever the named container is made of
    account: Account
    mounts: tuple[Mount, ...]  # before the account files and the user's own
    user_mounts: tuple[Mount, ...]
    workdir: str | None  # None: the step's directory, or the image's
    cwd: str
    own_root: bool
    read_only_root: bool
    pull: str
    name: ContainerName | None = None
    save: SaveTarget | None = None
    entrypoint: bool = False
    entrypoint_log: bool = False
    wishes: Wishes = NO_WISHES
    env_file: str | None = None
    unshare: tuple[str, ...] = ()
    slurm: bool = False  # with Slurm's commands (slurm_commands.py)
    judges: tuple[Judge, ...] = ()
    rule: str = ""

    @property
    def inside(self) -> tuple[Mount, ...]:
        """The file systems that the step's tasks on a node have for themselves."""
        return tuple(m for m in (*self.mounts, *self.user_mounts) if m.kind in mounts.INSIDE)

    @property
    def text(self) -> str:
        """The container, in messages."""
        if self.name:
            return f"container {self.name.name}"
        return f"image {self.image.text if self.image else self.key}"


def _node_mounts(request: ContainerRequest, config: Config) -> Iterator[Mount]:
    """What a native step has, or what the step has of its own in its place."""
    for mount in mounts.NODE_MOUNTS:
        if mount.target == "/proc" and "pid" in request.unshare:
            yield Mount("", "/proc", kind="proc")
        elif mount.target == "/tmp" and (request.tmp or config.tmp) == "private":
            yield Mount("", "/tmp", kind="tmpfs")
        else:
            yield mount
        if mount.target == "/dev" and "ipc" in request.unshare:
            yield Mount("", "/dev/shm", kind="tmpfs")


def _site_mounts(config: Config) -> Iterator[Mount]:
    for text in config.mounts:
        yield mounts.parse_entry(text, "/")
    for text in config.mounts_if_there:
        yield replace(mounts.parse_entry(text, "/"), optional=True)


def _default_mounts(
    request: ContainerRequest,
    account: Account,
    cwd: str,
    config: Config,
    judges: tuple[Judge, ...],
) -> tuple[Mount, ...]:
    """What a step has without asking.  Its directory is the user's choice all the same."""
    found = [*_node_mounts(request, config), *_site_mounts(config)]
    home_wanted = config.mount_home if request.mount_home is None else request.mount_home
    home = mounts.home_mount(account.home) if home_wanted else None
    if home:
        found += (home,) if config.mount_home else ruling.checked((home,), judges)
    if config.mount_submit_dir and not (mounts.is_below(cwd, account.home) and not home_wanted):
        submit = mounts.submit_mount(cwd, tuple(found))
        if submit and ruling.passes(submit, judges, config):
            found += ruling.checked((submit,), judges)
    return tuple(found)


def own_mounts(request: ContainerRequest, account: Account, config: Config) -> tuple[Mount, ...]:
    """Those that the user asks for; the home directory only where the site shows it to nobody."""
    asked = request.mount_home and not config.mount_home
    home = mounts.home_mount(account.home) if asked else None
    return (home, *request.mounts) if home else request.mounts


def _of_pmix(
    wanted: tuple[Mount, ...],
    present: tuple[Mount, ...],
    config: Config,
    judges: tuple[Judge, ...],
) -> tuple[Mount, ...]:
    """What ranks of MPI open (mpi.py); what the user names is held against the rules."""
    return tuple(
        mount
        for mount in wanted
        if not mounts.shown_already(mount.target, present)
        and (not mount.checked or ruling.passes(mount, judges, config))
    )


def _batch_script(step_id: int, argv: tuple[str, ...]) -> tuple[Mount, ...]:
    """slurmd executes a batch script from its spool directory: show that file."""
    if step_id != BATCH_STEP or not argv or not argv[0].startswith("/"):
        return ()
    return (Mount(argv[0], argv[0], read_only=True),)


def _key(request: ContainerRequest, step_id: int) -> str:
    """The same for the steps of a job that share a container on a node."""
    if request.name:
        return f"name:{request.name.name}"
    if request.writable:
        return f"step:{step_id}"
    assert request.image  # request.parse() sees to it
    name, pinned = request.image.text, request.image.pinned
    return f"image:{name}@{pinned}" if pinned else f"image:{name}"  # name:1 is an image, too


def _slurm(request: ContainerRequest, config: Config, step_id: int, terminal: bool) -> bool:
    if request.slurm is not None:
        return request.slurm
    return config.slurm_commands and (step_id in (BATCH_STEP, INTERACTIVE_STEP) or terminal)


def _refuse_multi_prog(request: ContainerRequest, config: Config, argv: tuple[str, ...]) -> None:
    """Slurm keeps the programs of --multi-prog where no plugin reaches them."""
    lines = [line.split() for line in "".join(argv[1:2]).splitlines() if line[:1] not in ("", "#")]
    if not lines or not all(len(w) > 1 and _RANKS.fullmatch(w[0]) for w in lines):
        return
    entrypoint = config.entrypoint if request.entrypoint is None else request.entrypoint
    if entrypoint or "pid" in request.unshare:
        option = "--container-entrypoint" if entrypoint else "--container-unshare=pid"
        raise UserError(f"{option}: it does not work with --multi-prog: leave one of them out")


def _refuse_account(uid: int) -> None:
    if uid == 0:
        raise PolicyError(
            "root's jobs can have no containers: whatever an image holds would act as root of the "
            "node: use another account"
        )
    if uid == NOBODY:
        raise PolicyError(
            f"uid {NOBODY}: the first processes of containers run as that user, so it cannot have "
            "containers: use another account"
        )
    if uid > LARGEST_UID:
        raise PolicyError(f"uid {uid}: engines know none above {LARGEST_UID}: use another account")


def decide(
    request: ContainerRequest,
    account: Account,
    config: Config,
    *,
    cwd: str,
    step_id: int,
    argv: tuple[str, ...],
    terminal: bool = False,
    of_pmix: tuple[Mount, ...] = (),
    judges: tuple[Judge, ...] = (),
) -> ContainerSpec:
    """The specification of a step's container; terminal: of srun --pty.

    Raises PolicyError when the site does not allow it.
    """
    found = ruling.verdicts(request, own_mounts(request, account, config), judges, config)
    ruling.refuse(found)
    spec = specify(
        request, account, config,
        cwd=cwd, step_id=step_id, argv=argv, terminal=terminal, of_pmix=of_pmix, judges=judges,
    )  # fmt: skip
    return replace(spec, rule=ruling.of_image(found))


def specify(
    request: ContainerRequest,
    account: Account,
    config: Config,
    *,
    cwd: str,
    step_id: int,
    argv: tuple[str, ...],
    terminal: bool = False,
    of_pmix: tuple[Mount, ...] = (),
    judges: tuple[Judge, ...] = (),
) -> ContainerSpec:
    """The same, where it has been decided already that it may be."""
    _refuse_account(account.uid)
    _refuse_multi_prog(request, config, argv)
    own_root = bool(request.name or request.writable)
    files = mounts.NAME_FILES if own_root else ()
    shown = files + _default_mounts(request, account, cwd, config, judges)
    local = request.image is not None and request.image.source == "engine"
    return ContainerSpec(
        key=_key(request, step_id),
        image=request.image,
        account=account,
        mounts=shown + _batch_script(step_id, argv) + _of_pmix(of_pmix, shown, config, judges),
        user_mounts=ruling.checked(request.mounts, judges),
        workdir=request.workdir,
        cwd=request.directory or cwd,
        own_root=own_root,
        read_only_root=not own_root or request.writable is False,
        pull="never" if local else request.pull or config.pull,
        name=request.name,
        save=request.save,
        entrypoint=config.entrypoint if request.entrypoint is None else request.entrypoint,
        entrypoint_log=request.entrypoint_log,
        wishes=Wishes(request.env_keep, request.env_set),
        env_file=request.env_file,
        unshare=request.unshare,
        slurm=_slurm(request, config, step_id, terminal),
        judges=judges,
    )
