"""Checks of one setting's value, from the configuration file or from plugstack.conf.

Pure functions; `fields` are those of config.Config.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pycontrol.errors import NodeError, UserError
from pycontrol.plaindata import Field

Fields = Mapping[str, Field]
# Without these there is no container at all.
ALWAYS_ON = ("container-image", "docker")


def unknown(name: str, where: str, known: Iterable[str]) -> NodeError:
    known = list(known)
    import difflib  # only for a mistake

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return NodeError(f"{where}: {name} is not a setting: {hint}")


def checked(fields: Fields, name: str, value: object, where: str) -> object:
    """The value of a TOML file, if it is one that the setting may have."""
    if name not in fields:
        raise unknown(name, where, fields)
    if name == "rule":
        from pycontrol import rulefile

        return rulefile.parse_rules(value, where)
    field = fields[name]
    wanted = type(field.default)
    if wanted is tuple and isinstance(value, list) and all(type(v) is str for v in value):
        value = tuple(value)
    if type(value) is not wanted:
        raise NodeError(
            f"{where}: {name} = {value!r} is {_type_name(type(value))}, it must be "
            f"{_type_name(wanted)}, like {field.metadata['example']}"
        )
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise NodeError(f"{where}: {name} = {value!r} is none of {', '.join(choices)}")
    least = field.metadata["least"]
    if wanted is int and value < least:
        raise NodeError(f"{where}: {name} = {value} must be {least} or more")
    _SPECIAL.get(name, lambda *_: None)(name, value, where)
    return value


def _type_name(kind: type) -> str:
    names = {bool: "true or false", int: "a number", str: "a text", tuple: "a list of texts"}
    return names.get(kind, f"a {kind.__name__}")


def from_text(fields: Fields, name: str, text: str, shims: tuple[str, ...]) -> object:
    """The value of a plugstack.conf argument, converted to the setting's type."""
    where = "plugstack.conf"
    if name not in fields:
        raise unknown(name, where, [*fields, *shims])
    if name == "rule":
        raise NodeError(f"{where}: rule: rules cannot be given here: write them into the file")
    wanted = type(fields[name].default)
    value: object = text
    if wanted is bool and text in ("true", "false"):
        value = text == "true"
    elif wanted is int and text.isdecimal():
        value = int(text)
    elif wanted is tuple:
        value = text.split(",") if text else []
    return checked(fields, name, value, where)


# Each imports what it needs where it is asked: most sites set few of them.


def _tmpfs_size(name: str, value: str, where: str) -> None:
    from pycontrol import mounts

    if not mounts.is_size(value):
        raise NodeError(f"{where}: {name} = {value!r} is no size: write it like 4g or 50%")


def _limit(name: str, value: str, where: str) -> None:
    from pycontrol import limits

    if value != limits.UNLIMITED and limits.bytes_of(value) is None:
        raise NodeError(f"{where}: {name} = {value!r} is no size: write it like 20g, or unlimited")


def _age(name: str, value: str, where: str) -> None:
    from pycontrol import limits

    if value != limits.UNLIMITED and limits.seconds_of(value) is None:
        raise NodeError(f"{where}: {name} = {value!r} is no time: write it like 30d, or unlimited")


def _mounts(name: str, value: tuple[str, ...], where: str) -> None:
    from pycontrol import mounts

    for text in value:
        try:
            found = mounts.parse_entry(text, "")
        except UserError as error:
            raise NodeError(f"{where}: {name}: {str(error).partition(': ')[2]}") from error
        if found.kind == "bind" and not found.source.startswith("/"):
            raise NodeError(f"{where}: {name}: {text}: the source must be an absolute path")


def _options(name: str, value: tuple[str, ...], where: str) -> None:
    from pycontrol.srunline import CONTAINER_SWITCHES, CONTAINER_VALUES

    known = {*CONTAINER_VALUES, *CONTAINER_SWITCHES} - {*ALWAYS_ON}
    for option in value:
        if option in ALWAYS_ON:
            raise NodeError(
                f"{where}: {name}: {option} cannot be switched off: take socker's line out of "
                "plugstack.conf, or deny images by a rule"
            )
        if option not in known:
            import difflib  # only for a mistake

            near = difflib.get_close_matches(option, sorted(known), n=1)
            hint = f"did you mean {near[0]}?" if near else "`srun --help` shows them"
            raise NodeError(f"{where}: {name}: {option} is no option of socker: {hint}")


def _path(name: str, value: str, where: str) -> None:
    if value and not value.startswith("/"):
        raise NodeError(f"{where}: {name} = {value!r} must be an absolute path")


def _repositories(name: str, value: tuple[str, ...], where: str) -> None:
    """No tag: whoever says which digest a tag has must not choose what is public."""
    from pycontrol import imagepattern

    for text in value:
        try:
            pattern = imagepattern.parse_pattern(text)
        except UserError as error:
            raise NodeError(f"{where}: {name}: {error}") from error
        if pattern.source == "file" or pattern.tag or pattern.digest:
            raise NodeError(f"{where}: {name}: {text}: write REGISTRY/PATH, without a tag")


def _program(name: str, value: tuple[str, ...], where: str) -> None:
    if value and not value[0].startswith("/"):
        raise NodeError(f"{where}: {name}: {value[0]} must be an absolute path")


_SPECIAL = {
    "tmpfs_size": _tmpfs_size,
    "max_image_size": _limit,
    "max_node_size": _limit,
    "prune_age": _age,
    "prune_size": _limit,
    "mounts": _mounts,
    "mounts_if_there": _mounts,
    "options_off": _options,
    "image_list": _path,
    "public_images": _repositories,
    "verify": _program,
}
