"""The container options of a command line, as the plugin in srun settles them.

The same rule as spank_plugin/submit.c: the command line wins over SOCKER_...
variables, these over the options of the job that the srun runs in.  Pure; for
`socker explain`, which starts nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

from pycontrol import request, submit
from pycontrol.errors import UserError
from pycontrol.srunline import CONTAINER_SWITCHES, CONTAINER_VALUES, LISTS, Word

NAMES = (*CONTAINER_VALUES, *CONTAINER_SWITCHES)
_OFF = ("0", "false", "no")


def from_line(options: Iterable[Word], prefix: str = "") -> dict[str, str]:
    """Those of a command line; repeated lists add up, of others the last holds."""
    found: dict[str, str] = {}
    for option in options:
        name = option.name.removeprefix(prefix)
        if name not in NAMES or not option.name.startswith(prefix):
            continue
        if name in CONTAINER_SWITCHES and option.value is not None:
            raise UserError(f"--{option.name} takes no value: leave out ={option.value}")
        value = option.value or ""
        found[name] = f"{found[name]},{value}" if name in LISTS and name in found else value
    return found


def _variable(name: str) -> str:
    return f"SOCKER_{name.upper().replace('-', '_')}"


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """SOCKER_CONTAINER_IMAGE and the like; a switch is on by 1 and off by 0."""
    found: dict[str, str] = {}
    opposites = {b: a for a, b in request.SWITCHES.items() if b} | request.SWITCHES
    for name in NAMES:
        value = environ.get(_variable(name))
        if value is None:
            continue
        if name in CONTAINER_VALUES:
            found[name] = value
        elif value.lower() in ("", "1", "true", "yes"):
            found[name] = ""
        elif value.lower() not in _OFF:
            found[name] = value  # request.parse() refuses it
        elif opposites[name]:
            found[opposites[name]] = ""
    return found


def from_job(environ: Mapping[str, str], prefix: str = "") -> dict[str, str]:
    """What salloc or sbatch was given, for the srun commands in the job.

    A switch without an opposite can only be taken back: by its SOCKER_ variable.
    """
    back = {name for name, opposite in request.SWITCHES.items() if not opposite}
    back = {name for name in back if environ.get(_variable(name), "").lower() in _OFF}
    variables = {name: request.job_variable(name, prefix) for name in NAMES if name not in back}
    return {name: environ[v] for name, v in variables.items() if v in environ}


def settle(
    options: Iterable[Word], environ: Mapping[str, str], prefix: str, pyxis: bool
) -> dict[str, str]:
    """All of them, in the order in which they win."""
    found = from_line(options, prefix)
    later = [from_environment(environ), from_job(environ, prefix)]
    if pyxis:
        later.append(submit.pyxis_options(environ))
    for added in later:
        found |= submit.unless_given(added, found)
    return found


def with_absolute_paths(options: Mapping[str, str], cwd: str) -> dict[str, str]:
    """Relative paths start here; those of the image and of mounts request.parse() handles."""
    found = dict(options)
    if found.get("container-env-file"):
        found["container-env-file"] = posixpath.join(cwd, found["container-env-file"])
    if found.get("container-save", "").startswith(("./", "../")):
        found["container-save"] = posixpath.join(cwd, found["container-save"])
    return found
