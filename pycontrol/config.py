"""The site's settings: one definition for defaults, checks, `socker config` and docs.

A setting comes from, later ones winning: its default, the configuration file
(/etc/socker/socker.toml), an argument of the plugstack.conf line.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pycontrol import mounts, trusted
from pycontrol.errors import NodeError

DEFAULT_FILE = Path("/etc/socker/socker.toml")
# Arguments of the plugstack.conf line that are not settings of the hooks.
SHIM_ARGUMENTS = ("python", "library", "timeout", "config", "prefix")


def _setting(default, meaning: str, example: str, choices: tuple[str, ...] = ()):
    metadata = {"meaning": meaning, "example": example, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """Every setting, with its default; types are bool, int (seconds) or str."""

    engine: str = _setting(
        "unix:///var/run/docker.sock",
        "Where Docker Engine, or an engine with its interface, listens.",
        "unix:///run/podman/podman.sock",
    )
    engine_timeout: int = _setting(
        60, "Seconds that the engine may take to answer one request.", "120"
    )
    pull_timeout: int = _setting(
        1800, "Seconds that pulling one image may take, waiting for others included.", "3600"
    )
    progress_interval: int = _setting(
        5, "Seconds between two progress lines on the user's terminal.", "10"
    )
    pause: str = _setting(
        "/usr/lib/socker/pause",
        "The idle first process of a container, put in place by `socker install`.",
        "/opt/socker/lib/pause",
    )
    mount_home: bool = _setting(
        True,
        "Show the user's home directory inside; users can ask for the other with "
        "--[no-]container-mount-home.",
        "false",
    )
    mount_submit_dir: bool = _setting(
        True, "Show the directory that the step starts in, outside, also inside.", "false"
    )
    launcher: str = _setting(
        "/usr/lib/socker/launch",
        "What stands before a command with an ENTRYPOINT, put in place by `socker install`.",
        "/opt/socker/lib/launch",
    )
    pull: str = _setting(
        "missing",
        "When to ask the registry for an image: always (once a job), when the node has none "
        "(missing), or never; users can choose with --container-pull.",
        "always",
        choices=("always", "missing", "never"),
    )
    entrypoint: bool = _setting(
        False,
        "Run commands through the image's ENTRYPOINT; users can ask for the other with "
        "--[no-]container-entrypoint.",
        "true",
    )
    tmp: str = _setting(
        "host",
        "What /tmp is inside: the node's (host), or a memory file system of the step's own "
        "(private); users can choose with --container-tmp.",
        "private",
        choices=("host", "private"),
    )
    tmpfs_size: str = _setting(
        "50%",
        "How large a memory file system may get that has no size of its own: bytes with k, m "
        "or g, or a part of the node's memory. What is in it counts as the job's memory.",
        "4g",
    )
    writable_dir: str = _setting(
        "/var/lib/socker",
        "Where writable containers keep what is written to them, on a local file system; root's "
        "alone. It is removed with the container.",
        "/scratch/socker",
    )
    save_timeout: int = _setting(
        1800, "Seconds that --container-save may take when a step ends.", "3600"
    )
    image_list: str = _setting(
        "",
        "A file of root's with the images that users may run, one name a line, # for comments; "
        "all others, and images in files, are refused. Empty: every image is allowed.",
        "/etc/socker/images",
    )
    slurm_commands: bool = _setting(
        True,
        "Have srun, sbatch and Slurm's other commands in batch scripts and interactive steps; "
        "users choose with --[no-]container-slurm.",
        "false",
    )
    slurm_bin: str = _setting(
        "/usr/bin", "Where Slurm's commands are on the nodes.", "/opt/slurm/bin"
    )
    slurm_paths: str = _setting(
        "",
        "More files and directories of the node, joined by `:`, that Slurm's commands need inside "
        "at their own paths, beside Slurm's configuration and plugins.",
        "/opt/slurm/lib:/opt/pmix",
    )
    audit_log: str = _setting(
        "/var/log/socker/audit.jsonl",
        "Where a JSON line is added for each container step that starts, is refused or ends; "
        "empty: nowhere.",
        "/var/log/slurm/socker.jsonl",
    )
    audit_syslog: bool = _setting(
        True, "Send the same lines to the node's syslog, if there is one.", "false"
    )
    pyxis_compat: bool = _setting(
        False, "Let PYXIS_CONTAINER_... variables count where no option says otherwise.", "true"
    )


FIELDS = {f.name: f for f in dataclasses.fields(Config)}


@dataclass(frozen=True)
class Loaded:
    """The settings, and for each where its value came from."""

    config: Config
    origin: dict[str, str]


def _unknown(name: str, where: str, known: Iterable[str]) -> NodeError:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return NodeError(f"{where}: {name} is not a setting: {hint}")


def _checked(name: str, value: object, where: str) -> bool | int | str:
    """The value of a TOML file, if it has the setting's type."""
    if name not in FIELDS:
        raise _unknown(name, where, FIELDS)
    wanted = type(FIELDS[name].default)
    if type(value) is not wanted:
        raise NodeError(
            f"{where}: {name} = {value!r} is {_type_name(type(value))}, it must be "
            f"{_type_name(wanted)}, like {FIELDS[name].metadata['example']}"
        )
    choices = FIELDS[name].metadata["choices"]
    if choices and value not in choices:
        raise NodeError(f"{where}: {name} = {value!r} is none of {', '.join(choices)}")
    if name == "tmpfs_size" and not mounts.is_size(str(value)):
        raise NodeError(f"{where}: {name} = {value!r} is no size: write it like 4g or 50%")
    if wanted is int and value < 1:
        raise NodeError(f"{where}: {name} = {value} must be 1 or more")
    return value


def _type_name(kind: type) -> str:
    names = {bool: "true or false", int: "a number", str: "a text"}
    return names.get(kind, f"a {kind.__name__}")


def _from_text(name: str, text: str, where: str) -> bool | int | str:
    """The value of a plugstack.conf argument, converted to the setting's type."""
    if name not in FIELDS:
        raise _unknown(name, where, [*FIELDS, *SHIM_ARGUMENTS])
    wanted = type(FIELDS[name].default)
    if wanted is bool and text in ("true", "false"):
        return _checked(name, text == "true", where)
    if wanted is int and text.isdecimal():
        return _checked(name, int(text), where)
    return _checked(name, text, where)


def parse_file(text: str, where: str) -> dict[str, bool | int | str]:
    """The settings of a configuration file's text."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NodeError(f"{where}: it is not valid TOML: {error}: correct it") from error
    return {name: _checked(name, value, where) for name, value in table.items()}


def split_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """plugstack.conf's "name=value" words; a word without "=" is an error."""
    found = {}
    for word in arguments:
        name, equals, value = word.partition("=")
        if not equals:
            raise NodeError(f"plugstack.conf: {word} is no argument: write name=value")
        found[name] = value
    return found


def load(arguments: Iterable[str] = ()) -> Loaded:
    """Read the settings; raises NodeError with the file, the name and the fix."""
    given = split_arguments(arguments)
    path = Path(given.get("config", DEFAULT_FILE))
    values: dict[str, bool | int | str] = {}
    origin = dict.fromkeys(FIELDS, "default")
    try:
        from_file = parse_file(trusted.read(path), str(path))
    except FileNotFoundError:
        if "config" in given:
            raise NodeError(
                f"{path}: plugstack.conf names this file, but there is none: make it"
            ) from None
        from_file = {}
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}: tell the admin") from error
    values |= from_file
    origin |= dict.fromkeys(from_file, str(path))
    for name, text in given.items():
        if name not in SHIM_ARGUMENTS:
            values[name] = _from_text(name, text, "plugstack.conf")
            origin[name] = "plugstack.conf"
    return Loaded(Config(**values), origin)


def reference() -> str:
    """Every setting for the admin's guide, in one form, as Markdown."""
    parts = []
    for name, setting in FIELDS.items():
        kind = type(setting.default).__name__
        default = str(setting.default).lower() if kind == "bool" else setting.default
        example = setting.metadata["example"]
        quoted = f'"{example}"' if kind == "str" else example
        parts.append(
            f"### {name} ({kind}, optional)\n\n{setting.metadata['meaning']} "
            f"Default: `{default}`.\n\n```toml\n{name} = {quoted}\n```\n"
        )
    return "\n".join(parts)
