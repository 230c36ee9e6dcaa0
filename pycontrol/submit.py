"""Checks a step's options before anything is queued.

Started by srun, sbatch and salloc (spank_plugin/submit_check.c), as the user.
The words of the plugstack line are its arguments.  Options come on stdin as
NAME=VALUE, each ended by NUL; pyxis's variables go back the same way, where the
site lets them count, and the digest that the image's tag stands for
(digests.py).  Exit status 2: the options are refused, and stderr says why.  The
node checks all of it again; of the site's rules only what holds in whatever
partition and account the job will run is a refusal here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping

from pycontrol import config, digests, identity, image, policy, request, ruling
from pycontrol.config import Config
from pycontrol.errors import NodeError, PolicyError, SockerError, UserError, printable
from pycontrol.image import Reference
from pycontrol.judge import Judge
from pycontrol.rules import NOWHERE

REFUSED = 2
_PYXIS = "PYXIS_CONTAINER_"
# Both call these by the same name.
_PYXIS_OPTIONS = (
    "image", "mounts", "workdir", "name", "save", "mount-home", "remap-root", "entrypoint",
    "entrypoint-log", "writable", "readonly", "env", "unshare",
)  # fmt: skip
_IMAGE = {"docker", "container-image"}  # one option by two names
Site = tuple[Config, Judge]
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
    if taken & _IMAGE:
        taken |= _IMAGE
    return {name: value for name, value in added.items() if name not in taken}


def options_of(data: bytes) -> dict[str, str]:
    """The options of stdin."""
    entries = data.decode(errors="surrogateescape").split("\0")
    return {name: value for name, _, value in (e.partition("=") for e in entries) if name}


def check(given: Mapping[str, str], cwd: str, site: Site | None = None) -> Reference | None:
    """The image; UserError or PolicyError when the options cannot be right on any node."""
    if given.get("docker", given.get("container-image")) == "none":
        return None
    asked = request.parse(tuple(given.items()), cwd)
    if site:
        settings, judge = site
        own = policy.own_mounts(asked, judge.account, settings)
        ruling.refuse(ruling.verdicts(asked, own, (judge,), settings), surely=False)
    return asked.image


def site_here(arguments: list[str]) -> Site | None:
    """This host's; None where they cannot be read, or are wrong: the node says so."""
    try:
        settings = config.load(arguments).config
        return settings, Judge(config.load_rules(settings), identity.of_caller(), NOWHERE)
    except NodeError:
        return None


def digest(reference: Reference | None, site: Site | None) -> dict[str, str]:
    """What goes along with the options for the image's tag, if that is not settled yet."""
    if not reference or reference.pinned or not digests.is_open(reference):
        return {}
    found = digests.remembered(reference, os.environ)
    if found is None and site and site[0].resolve_tags == "submit":
        found = digests.resolve(reference, os.environ)
    return {image.DIGEST_ENTRY: found} if found else {}


def _write(options: Iterable[tuple[str, str]]) -> None:
    answer = "".join(f"{name}={value}\0" for name, value in options)
    os.write(sys.stdout.fileno(), answer.encode(errors="surrogateescape"))


def run() -> None:
    """The program; it does not return."""
    status = main()
    if sys.stderr:  # None where srun has none
        with contextlib.suppress(OSError):
            sys.stderr.flush()
    os._exit(status)


def main() -> int:
    plugstack = sys.argv[1:]
    prefix = next((a.removeprefix("prefix=") for a in plugstack if a.startswith("prefix=")), "")
    given = options_of(sys.stdin.buffer.read())
    try:
        site = site_here(plugstack)
        added: dict[str, str] = {}
        if site and site[0].pyxis_compat:
            added = unless_given(pyxis_options(os.environ), given)
        if given or added:
            added |= digest(check(added | given, os.getcwd(), site), site)
        _write(added.items())
    except (UserError, PolicyError) as error:
        print(f"socker: {printable(request.with_prefix(str(error), prefix))}", file=sys.stderr)
        return REFUSED
    except (SockerError, OSError) as error:
        print(f"socker: {printable(str(error))}", file=sys.stderr)
    return 0
