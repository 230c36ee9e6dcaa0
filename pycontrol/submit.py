"""Checks a step's options before anything is queued: `python -I -m pycontrol.submit`.

Started by srun, sbatch and salloc (spank_plugin/submit_check.c), as the user.
The words of the plugstack line are its arguments.  Options come on stdin as
NAME=VALUE, each ended by NUL; pyxis's variables go back the same way, where the
site lets them count.  Exit status 2: the options are
refused, and stderr says why.  The node checks all of it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from pycontrol import request
from pycontrol.errors import SockerError, UserError, printable

REFUSED = 2
_PYXIS = "PYXIS_CONTAINER_"
# Both call these by the same name.
_PYXIS_OPTIONS = (
    "image", "mounts", "workdir", "name", "save", "mount-home", "remap-root", "entrypoint",
    "entrypoint-log", "writable", "readonly", "env", "unshare",
)  # fmt: skip
_SWITCHES = ("mount-home", "remap-root", "entrypoint", "writable")


def pyxis_options(env: Mapping[str, str]) -> dict[str, str]:
    """The options that pyxis's variables stand for."""
    found = {}
    for name in _PYXIS_OPTIONS:
        value = env.get(_PYXIS + name.upper().replace("-", "_"))
        if value is None:
            continue
        option = f"container-{name}"
        if name in (*_SWITCHES, "entrypoint-log", "readonly"):
            option = _switched(option, value)
            value = ""
        if option:
            found[option] = value
    return found


def _switched(option: str, value: str) -> str | None:
    """The option, its opposite, or neither."""
    if value.lower() in ("1", "true", "yes"):
        return option
    opposite = (request.SWITCHES | {"container-readonly": "container-writable"})[option]
    return opposite if value.lower() in ("0", "false", "no") else None


def unless_given(added: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Those that neither are given, nor contradict what is."""
    taken = set(given)
    for name, opposite in request.SWITCHES.items():
        if taken & {name, opposite}:
            taken |= {name, opposite or name}
    if "docker" in taken:
        taken.add("container-image")
    return {name: value for name, value in added.items() if name not in taken}


def options_of(data: bytes) -> dict[str, str]:
    """The options of stdin."""
    entries = data.decode(errors="surrogateescape").split("\0")
    return {name: value for name, _, value in (e.partition("=") for e in entries) if name}


def check(given: Mapping[str, str], cwd: str) -> None:
    """Raises UserError when the options cannot be right on any node."""
    image = given.get("docker", given.get("container-image"))
    if image != "none":
        request.parse(tuple(given.items()), cwd)


def _site_lets_pyxis_count(arguments: list[str]) -> bool:
    from pycontrol import config  # only where the variables are there

    return config.load(arguments).config.pyxis_compat


def _write(options: Iterable[tuple[str, str]]) -> None:
    answer = "".join(f"{name}={value}\0" for name, value in options)
    os.write(sys.stdout.fileno(), answer.encode(errors="surrogateescape"))


def main() -> int:
    plugstack = sys.argv[1:]
    prefix = next((a.removeprefix("prefix=") for a in plugstack if a.startswith("prefix=")), "")
    given = options_of(sys.stdin.buffer.read())
    try:
        added: dict[str, str] = {}
        if any(name.startswith(_PYXIS) for name in os.environ) and _site_lets_pyxis_count(
            plugstack
        ):
            added = unless_given(pyxis_options(os.environ), given)
        if given or added:
            check(added | given, os.getcwd())
        _write(added.items())
    except UserError as error:
        print(f"socker: {printable(request.with_prefix(str(error), prefix))}", file=sys.stderr)
        return REFUSED
    except (SockerError, OSError) as error:
        print(f"socker: {printable(str(error))}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
