"""Reads the site's settings (settings.py) and its rules.

A setting comes from, later ones winning: its default, the configuration file
(/etc/socker/socker.toml), an argument of the plugstack.conf line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pycontrol import tomlcache, trusted
from pycontrol.configvalues import checked, from_text
from pycontrol.errors import NodeError
from pycontrol.plaindata import dataclass
from pycontrol.rules import Rules
from pycontrol.settings import FIELDS, Config

DEFAULT_FILE = Path("/etc/socker/socker.toml")
NATIVE_CHECKED = "check"
# Arguments of the plugstack.conf line that are not settings of the hooks.
SHIM_ARGUMENTS = ("python", "library", "timeout", "config", "prefix", "native")


@dataclass(frozen=True)
class Loaded:
    """The settings, and for each where its value came from."""

    config: Config
    origin: dict[str, str]


def parse_file(text: str, where: str) -> dict[str, object]:
    """The settings of a configuration file's text."""
    try:
        table = tomlcache.parse(text, where)
    except ValueError as error:
        raise NodeError(f"{where}: it is not valid TOML: {error}: correct it") from error
    return {name: checked(FIELDS, name, value, where) for name, value in table.items()}


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
    if given.get("native", NATIVE_CHECKED) != NATIVE_CHECKED:
        raise NodeError(f"plugstack.conf: native={given['native']}: only native=check is known")
    path = Path(given.get("config", DEFAULT_FILE))
    values = parse_file(read_text(path), str(path))
    origin = dict.fromkeys(FIELDS, "default") | dict.fromkeys(values, str(path))
    for name, text in given.items():
        if name not in SHIM_ARGUMENTS:
            values[name] = from_text(FIELDS, name, text, SHIM_ARGUMENTS)
            origin[name] = "plugstack.conf"
    return Loaded(Config(**values), origin)


def read_text(path: Path) -> str:
    """Without the file the site's rules are not known: its absence must not be a permission."""
    try:
        return trusted.read_policy(path)
    except FileNotFoundError:
        raise NodeError(
            f"{path}: there is no such file, and without it no container runs: make it by "
            "`socker install`"
        ) from None
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}: tell the admin") from error


def load_rules(settings: Config) -> Rules:
    """The rules, with the list of authorised images if the site has one."""
    if not settings.image_list:
        return Rules(settings.rule)
    from pycontrol import rulefile

    path = settings.image_list
    try:
        listed = rulefile.parse_list(trusted.read_policy(Path(path)), path)
    except OSError as error:
        raise NodeError(
            f"{path}: {error.strerror}: image_list names this file: tell the admin"
        ) from error
    return Rules(settings.rule, listed, path)
