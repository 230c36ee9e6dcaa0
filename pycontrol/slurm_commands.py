"""Slurm's own commands inside an image: what of the node they need, as mounts.

An image has other libraries than the node, or none.  So in PATH there is a small
static program (spank_plugin/slurm_command.c) that starts the node's command with
the node's loader and libraries.  Paths that Slurm has fixed (its configuration,
its plugins, the authentication's socket) show the node's, read-only.
spank_plugin/inside.h has the layout.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pycontrol import plugstack, request
from pycontrol.config import DEFAULT_FILE, Config, split_arguments
from pycontrol.errors import NodeError
from pycontrol.mounts import Mount, is_below

BIN = "/.socker/bin"  # the last part of PATH
HOST = "/.socker/host"
# What users call in jobs; the others (sacctmgr, sdiag) are the admin's.
NAMES = (
    "srun", "sbatch", "salloc", "squeue", "scancel", "scontrol", "sacct", "sinfo",
    "sattach", "sbcast", "sprio", "sshare", "sstat",
)  # fmt: skip

DEFAULT_CONF = "/etc/slurm/slurm.conf"
# munge's socket; that of auth/slurm, and where a node without slurm.conf has its copy.
SOCKETS = ("/run/munge", "/run/slurm")
_LOADER = re.compile(r"ld(64)?-[^/]*\.so[^/]*|ld64\.so[^/]*")
_INCLUDE_DEPTH = 8


def mounts(config: Config, arguments: tuple[str, ...]) -> tuple[Mount, ...]:
    """Everything, in order; `arguments` are those of the plugstack line."""
    loaded = loaded_files(Path("/proc/self/maps").read_text())
    conf = conf_path()
    return (
        *_commands(config),
        *_libraries(loaded),
        *_check(arguments),
        *at_own_path([*fixed_paths(conf, loaded), *SOCKETS, *config.slurm_paths.split(":")]),
    )


def conf_path() -> Path:
    return Path(os.environ.get("SLURM_CONF") or DEFAULT_CONF)  # slurmd sets it


def users() -> tuple[str, ...]:
    """The accounts of Slurm's daemons, without which its commands refuse to start."""
    settings = dict(slurm_conf(conf_path()))
    return settings.get("slurmuser", "root"), settings.get("slurmduser", "root")


def _commands(config: Config) -> Iterator[Mount]:
    folder = os.path.dirname(os.path.realpath(os.path.join(config.slurm_bin, "srun")))
    yield Mount(os.path.join(os.path.dirname(config.launcher), "bin"), BIN, read_only=True)
    yield Mount(folder, f"{HOST}/bin", read_only=True)


def inherited(
    options: Iterable[tuple[str, str]], env: Iterable[str], prefix: str
) -> tuple[dict[str, str], list[str]]:
    """(variables to set, to remove) so that commands inside have the step's options."""
    wanted = {
        request.job_variable(name, prefix): value
        for name, value in options
        if name not in request.OF_ONE_STEP
    }
    others = [n for n in env if n.startswith(request.JOB_VARIABLES) and n not in wanted]
    return wanted, others


# --- libraries -------------------------------------------------------------------


def loaded_files(maps: str) -> list[str]:
    """The files that a process has mapped (proc(5), maps), each once."""
    fields = (line.split(maxsplit=5) for line in maps.splitlines())
    return list(dict.fromkeys(f[5] for f in fields if len(f) == 6 and f[5].startswith("/")))


def loader_of(loaded: Iterable[str]) -> str:
    for path in loaded:
        if _LOADER.fullmatch(os.path.basename(path)):
            return path
    raise NodeError("slurmstepd has no dynamic loader, so Slurm's commands cannot run in images: "
                    "leave them out with --no-container-slurm")  # fmt: skip


def library_folders(loaded: Iterable[str]) -> list[str]:
    """Of what slurmstepd itself has loaded, the C library's first; Python's are no matter."""
    paths = [path for path in loaded if ".so" in os.path.basename(path)]
    paths.sort(key=lambda path: not os.path.basename(path).startswith("libc."))
    folders = dict.fromkeys(os.path.dirname(path) for path in paths)
    return [f for f in folders if not any(is_below(f, python) for python in _python_folders())]


def _libraries(loaded: list[str]) -> Iterator[Mount]:
    yield Mount(loader_of(loaded), f"{HOST}/ld.so", read_only=True)
    for number, folder in enumerate(library_folders(loaded)):
        yield Mount(folder, f"{HOST}/lib/{number}", read_only=True)


# --- the check of options in srun --------------------------------------------------


def _python_folders() -> tuple[str, str]:
    """The standard library, and the packages that this one is among."""
    return os.path.dirname(os.path.realpath(os.__file__)), str(Path(__file__).parents[1])


def _check(arguments: tuple[str, ...]) -> Iterator[Mount]:
    given = split_arguments(arguments)
    library, packages = _python_folders()
    python = os.path.realpath(given["python"])  # the shim needs it, too: it is there
    yield Mount(python, f"{HOST}/python/bin/python3", read_only=True, optional=True)
    name = os.path.basename(library)
    yield Mount(library, f"{HOST}/python/lib/{name}", read_only=True, optional=True)
    yield Mount(packages, f"{HOST}/packages", read_only=True, optional=True)
    settings = given.get("config", str(DEFAULT_FILE))
    yield Mount(settings, settings, read_only=True, optional=True)


# --- what has a fixed path -----------------------------------------------------------


def slurm_conf(path: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    """(name in small letters, value) of each line with one setting; includes followed."""
    if depth > _INCLUDE_DEPTH or not path.is_file():
        return
    for line in path.read_text(errors="replace").splitlines():
        text = line.partition("#")[0].strip()
        name, equals, value = text.partition("=")
        if text.lower().startswith("include "):
            yield from slurm_conf(path.parent / text.split(maxsplit=1)[1], depth + 1)
        elif equals:
            yield name.strip().lower(), value.strip().strip('"')


def fixed_paths(conf: Path, loaded: Iterable[str]) -> Iterator[str]:
    """Of Slurm's configuration and plugins, and of what plugstack.conf names."""
    yield str(conf)
    if len(conf.parent.parts) > 2:
        yield str(conf.parent)
    settings = dict(slurm_conf(conf))
    yield from settings.get("plugindir", "").split(":")
    authentication = [path for path in loaded if re.fullmatch(r"auth_\w+\.so", Path(path).name)]
    yield from map(os.path.dirname, authentication)
    stack = Path(settings.get("plugstackconfig", conf.with_name("plugstack.conf")))
    for file, line in plugstack.lines(stack):
        yield str(file)
        yield str(line.plugin)  # a relative one is in PluginDir
    socket = re.search(r"socket=([^,\s]+)", settings.get("authinfo", ""))
    if socket:
        yield os.path.dirname(socket[1])


def at_own_path(paths: Iterable[str]) -> Iterator[Mount]:
    """Each once, and none that another brings along."""
    wanted = {os.path.normpath(path) for path in paths if path.startswith("/")}
    for path in sorted(wanted):
        if not any(path != other and is_below(path, other) for other in wanted):
            yield Mount(path, path, read_only=True, optional=True)
