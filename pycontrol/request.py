"""What the user asked for: option strings become a ContainerRequest.

Pure functions, no file system: the same parser serves the hooks and tests.
Messages name the option as the user wrote it.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from pycontrol import image
from pycontrol.errors import UserError
from pycontrol.image import Reference


@dataclass(frozen=True)
class MountRequest:
    """One entry of --container-mounts; source is absolute, outside."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ContainerRequest:
    """The options of one step.  None: not given, so the site's default holds."""

    image: Reference
    mounts: tuple[MountRequest, ...] = ()
    workdir: str | None = None
    mount_home: bool | None = None


def _absolute(path: str, option: str) -> str:
    """Normalised absolute path of the container, without `..`."""
    if not path.startswith("/"):
        raise UserError(f"{option}: {path} must be an absolute path: begin it with /")
    if ".." in path.split("/"):
        raise UserError(f"{option}: {path} must not contain `..`")
    return posixpath.normpath("/" + path.lstrip("/"))


def _source(path: str, cwd: str, option: str) -> str:
    """Absolute path of the node; a relative one starts at the step's directory."""
    if not path:
        raise UserError(f"{option}: an entry has no source: write SRC[:DST[:ro|rw]]")
    return posixpath.join(cwd, path)


def parse_mount(text: str, cwd: str, option: str = "--container-mounts") -> MountRequest:
    """SRC[:DST[:ro|rw]]; without DST the target is the source's own path."""
    parts = text.split(":")
    if len(parts) > 3:
        raise UserError(f"{option}: {text} has too many `:`: write SRC[:DST[:ro|rw]]")
    source = _source(parts[0], cwd, option)
    mode = parts[2] if len(parts) == 3 else "rw"
    if mode not in ("ro", "rw"):
        raise UserError(f"{option}: {text}: `{mode}` is no mount flag: ro and rw are")
    target = parts[1] if len(parts) > 1 else posixpath.normpath(source)
    target = _absolute(target, option)
    if target == "/":
        raise UserError(f"{option}: {text}: the target must not be / itself")
    return MountRequest(source, target, mode == "ro")


def parse_mounts(text: str, cwd: str) -> tuple[MountRequest, ...]:
    """A comma-separated list, in the order given."""
    return tuple(parse_mount(entry, cwd) for entry in text.split(","))


def _home_choice(given: dict[str, str]) -> bool | None:
    wanted, unwanted = "container-mount-home" in given, "no-container-mount-home" in given
    if wanted and unwanted:
        raise UserError(
            "--container-mount-home and --no-container-mount-home contradict each other: give one"
        )
    return wanted if wanted or unwanted else None


def _image(given: dict[str, str]) -> Reference:
    # Both: --docker is the srun's own and the other its job's (options.c refuses
    # two that contradict each other on one command line).
    name = given.get("docker", given.get("container-image"))
    if name is None:
        raise UserError(
            f"--{next(iter(given))} needs an image: add --container-image=IMAGE, or "
            "--container-image=none to run on the node itself"
        )
    return image.parse_reference(name)


def parse(options: tuple[tuple[str, str], ...], cwd: str) -> ContainerRequest:
    """The request of a step; `cwd` is where the step starts, outside.

    Raises UserError for what is wrong in itself; whether files, images and
    registries exist is not looked at here.
    """
    given = dict(options)
    workdir = given.get("container-workdir")
    return ContainerRequest(
        image=_image(given),
        mounts=parse_mounts(given["container-mounts"], cwd) if "container-mounts" in given else (),
        workdir=None if workdir is None else _absolute(workdir, "--container-workdir"),
        mount_home=_home_choice(given),
    )
