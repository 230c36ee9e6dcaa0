"""What the user asked for: option strings become a ContainerRequest.

Pure functions, no file system: the same parser checks at submission (submit.py)
and on the node (hooks.py).  Messages name the option as the user wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pycontrol import environment, image, mounts, savetarget
from pycontrol.errors import UserError
from pycontrol.image import Reference
from pycontrol.mounts import Mount
from pycontrol.plaindata import dataclass, field, replace
from pycontrol.savetarget import SaveTarget

NAMESPACES = ("net", "ipc", "uts", "pid")
PULLS = ("always", "missing", "never")
TMPS = ("host", "private")
NAME_MODES = ("auto", "create", "exec", "no_exec")
NO_DIRECTORY = "/"  # the step's, where srun's own is the image's (submit_directory.c)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

# Switches, and what says the opposite.
SWITCHES = {
    "container-mount-home": "no-container-mount-home",
    "container-writable": "container-readonly",
    "container-entrypoint": "no-container-entrypoint",
    "container-slurm": "no-container-slurm",
    "container-remap-root": "no-container-remap-root",
    "container-entrypoint-log": None,
}


_OPTION = re.compile(r"--(?=(?:no-)?container-[a-z]|docker\b)")


def with_prefix(text: str, prefix: str) -> str:
    """A message with its options as the site names them (plugstack.conf: prefix=)."""
    return _OPTION.sub(f"--{prefix}", text) if prefix else text


# Slurm's names for what a job's options are to the commands in it (plugstack.c).
JOB_VARIABLES = "SLURM_SPANK__SLURM_SPANK_OPTION_socker_"
OF_ONE_STEP = ("container-save", "verbose", "directory", image.DIGEST_ENTRY)  # not inherited
JOBS_DIGEST = "SLURM_SOCKER_DIGEST"  # of the job's image, for the same (spank_plugin/digest.c)


def job_variable(option: str, prefix: str = "") -> str:
    plain = (c if c.isascii() and c.isalnum() else "_" for c in prefix + option)
    return JOB_VARIABLES + "".join(plain)


@dataclass(frozen=True)
class ContainerName:
    """The job's container that a step wants; mode: one of NAME_MODES."""

    name: str
    mode: str = "auto"


@dataclass(frozen=True)
class ContainerRequest:
    """The options of one step.  None: not given, so the site's default holds.

    given: the names of all of them
    """

    image: Reference | None  # None: of the named container, which must be there
    mounts: tuple[Mount, ...] = ()
    workdir: str | None = None
    mount_home: bool | None = None
    writable: bool | None = None
    name: ContainerName | None = None
    save: SaveTarget | None = None
    entrypoint: bool | None = None
    entrypoint_log: bool = False
    env_keep: tuple[str, ...] = ()  # the job's values win over the image's
    env_set: tuple[tuple[str, str], ...] = ()
    env_file: str | None = None
    unshare: tuple[str, ...] = ()
    pull: str | None = None
    tmp: str | None = None
    slurm: bool | None = None
    verbose: bool = False
    directory: str | None = None  # of the image: where an srun in a container was started
    given: tuple[str, ...] = field(default=(), compare=False)


def _switch(given: Mapping[str, str], name: str) -> bool | None:
    """True and False as given, None when neither is."""
    opposite = SWITCHES[name]
    for option in filter(None, (name, opposite)):
        if given.get(option):
            variable = f"SOCKER_{option.upper().replace('-', '_')}"
            raise UserError(f"{variable}: `{given[option]}` is neither 1 nor 0")
    if name in given and opposite in given:
        raise UserError(f"--{name} and --{opposite} contradict each other: give one")
    if name in given:
        return True
    return False if opposite in given else None


def _one_of(given: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    if name in given and given[name] not in allowed:
        raise UserError(f"--{name}: `{given[name]}` is none of {', '.join(allowed)}")
    return given.get(name)


def _image(given: Mapping[str, str], cwd: str, digest: str) -> Reference | None:
    names = [name for name in ("docker", "container-image") if name in given]
    if not names:
        return None
    if len(names) == 2 and given["docker"] != given["container-image"]:
        raise UserError(
            f"--container-image={given['container-image']} and --docker={given['docker']} "
            "contradict each other: they are one option, give one of them"
        )
    found = image.parse_reference(given[names[0]], cwd, f"--{names[0]}")
    return found if found.source != "registry" else replace(found, pinned=digest)


def _container_name(given: Mapping[str, str]) -> ContainerName | None:
    if "container-name" not in given:
        return None
    name, separator, mode = given["container-name"].partition(":")
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--container-name: `{name}` is no name: use up to 64 letters, digits, and . _ -, "
            "beginning with a letter or digit"
        )
    if separator and mode not in NAME_MODES:
        raise UserError(f"--container-name: `{mode}` is none of {', '.join(NAME_MODES)}")
    return ContainerName(name, mode or "auto")


def _unshare(given: Mapping[str, str]) -> tuple[str, ...]:
    kinds = given["container-unshare"].split(",") if "container-unshare" in given else []
    for kind in kinds:
        if kind not in NAMESPACES:
            raise UserError(f"--container-unshare: `{kind}` is none of {', '.join(NAMESPACES)}")
    return tuple(dict.fromkeys(kinds))


def _refuse_contradictions(given: Mapping[str, str], asked: ContainerRequest) -> None:
    if _switch(given, "container-remap-root"):
        raise UserError("--container-remap-root is not supported yet: leave it out")
    if not asked.image and not asked.name:
        raise UserError(
            f"--{next(iter(given))} needs an image: add --container-image=IMAGE, or "
            "--container-image=none to run on the node itself"
        )
    if asked.name and asked.name.mode == "create" and not asked.image:
        raise UserError(
            f"--container-name={asked.name.name}:create needs an image to make it of: add "
            "--container-image=IMAGE"
        )
    if asked.save and not (asked.name or asked.writable):
        raise UserError(
            "--container-save needs a container that can be written to: add "
            "--container-writable or --container-name=NAME"
        )
    if asked.pull in ("always", "missing") and asked.image and asked.image.source != "registry":
        raise UserError(
            f"--container-pull={asked.pull}: {asked.image.text} does not come from a registry: "
            "leave --container-pull out"
        )


def parse(options: tuple[tuple[str, str], ...], cwd: str) -> ContainerRequest:
    """The request of a step; `cwd` is where relative paths start.

    Raises UserError for what is wrong in itself; whether files, images and
    registries exist is not looked at here.
    """
    given = dict(options)
    verbose = given.pop("verbose", "") == "1"
    digest = given.pop(image.DIGEST_ENTRY, "")
    if digest and not image.is_digest(digest):
        raise UserError(f"`{digest}` is no digest: leave SLURM_SOCKER_... variables alone")
    directory = given.pop("directory", None)
    for name, value in given.items():
        if "\0" in value or "\x1f" in value:
            raise UserError(f"--{name}: its value has a character that cannot be printed")
    keep, values = (
        environment.parse_option(given["container-env"]) if "container-env" in given else ((), ())
    )
    asked = ContainerRequest(
        image=_image(given, cwd, digest),
        mounts=mounts.parse(given["container-mounts"], cwd) if "container-mounts" in given else (),
        workdir=_path(given, "container-workdir"),
        mount_home=_switch(given, "container-mount-home"),
        writable=_switch(given, "container-writable"),
        name=_container_name(given),
        save=savetarget.parse_target(given["container-save"])
        if "container-save" in given
        else None,
        entrypoint=_switch(given, "container-entrypoint"),
        entrypoint_log=_switch(given, "container-entrypoint-log") or False,
        env_keep=keep,
        env_set=values,
        env_file=_path(given, "container-env-file"),
        unshare=_unshare(given),
        pull=_one_of(given, "container-pull", PULLS),
        tmp=_one_of(given, "container-tmp", TMPS),
        slurm=_switch(given, "container-slurm"),
        verbose=verbose,
        directory=directory if directory and cwd == NO_DIRECTORY else None,
        given=tuple(given),
    )
    _refuse_contradictions(given, asked)
    return asked


def _path(given: Mapping[str, str], name: str) -> str | None:
    return mounts.absolute(given[name], f"--{name}") if name in given else None
