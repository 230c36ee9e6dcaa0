"""`socker check`: what this node has of what socker needs, and the fix for the rest.

Looks and reports; changes nothing.  Every check is one function that returns
its findings, so one that crashes cannot hide the others.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import subprocess
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cgroup import place
from pycontrol import config, kernel, savesquashfs, squashfs, trusted
from pycontrol import plugstack as plugstack_file
from pycontrol.errors import SockerError
from pycontrol.plaindata import dataclass
from pycontrol.plugstack import Line

OK, WARNING, ERROR = 0, 1, 2
WORDS = {OK: "ok", WARNING: "warning", ERROR: "error"}
WRITABLE_SINCE = (5, 19)  # Linux: idmapped mounts below an overlay (ownroot.py)
COMMAND_TIMEOUT = 10  # seconds for Slurm's own commands


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: int
    what: str
    text: str

    def line(self) -> str:
        return f"{WORDS[self.level]:8} {self.what}: {self.text}"


@dataclass(frozen=True)
class Node:
    """What the checks look at: socker's plugstack line and settings."""

    line: Line | None
    settings: config.Config


def run(plugstack: Path) -> Iterator[Finding]:
    """All findings, in a fixed order."""
    line = plugstack_file.find_line(plugstack)
    if line:
        yield Finding(OK, "plugstack", f"{plugstack} loads {line.plugin}")
    else:
        yield Finding(
            ERROR, "plugstack", f"{plugstack} has no active line for socker.so: socker install"
        )
    settings = config.Config()
    try:
        loaded = config.load(line.arguments if line else ())
        settings = loaded.config
        yield Finding(OK, "settings", "valid")
    except SockerError as error:
        yield Finding(ERROR, "settings", str(error))
    for check in CHECKS:
        yield from _guarded(check, Node(line, settings))


def _guarded(check: Callable[[Node], Iterable[Finding]], node: Node) -> Iterator[Finding]:
    try:
        yield from check(node)
    except (OSError, SockerError, subprocess.SubprocessError) as error:
        yield Finding(ERROR, check.__name__.replace("_", " "), str(error))


def engine(node: Node) -> Iterator[Finding]:
    from pycontrol.engine import Engine

    found = Engine(node.settings.engine, node.settings.engine_timeout)
    try:
        version = found.info()["ServerVersion"]
        yield Finding(OK, "engine", f"{node.settings.engine} answers, version {version}")
    finally:
        found.close()


def cgroups(node: Node) -> Iterator[Finding]:
    mounted = place.hierarchies()
    if not mounted:
        yield Finding(ERROR, "cgroups", "none is mounted: mount /sys/fs/cgroup")
    elif set(mounted) == {()}:
        yield Finding(OK, "cgroups", f"v2 at {mounted[()]}")
    else:
        names = sorted(",".join(c) for c in mounted if c)
        yield Finding(OK, "cgroups", f"v1: {' '.join(names)}")


def kernel_features(node: Node) -> Iterator[Finding]:
    release = os.uname().release
    missing = kernel.missing_features()
    if missing:
        yield Finding(
            ERROR, "kernel", f"{release} lacks {', '.join(missing)}: Linux 5.12 or newer is needed"
        )
    else:
        yield Finding(OK, "kernel", f"{release} has open_tree, move_mount, openat2, mount_setattr")
    version = tuple(map(int, re.findall(r"\d+", release)[:2]))
    if version < WRITABLE_SINCE:
        yield Finding(WARNING, "kernel", "writable containers need Linux 5.19 or newer")
    if "overlay" in Path("/proc/filesystems").read_text():
        yield Finding(OK, "overlay", "the kernel has it")
    else:
        yield Finding(WARNING, "overlay", "not loaded: modprobe overlay")


def libpython(node: Node) -> Iterator[Finding]:
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        yield Finding(OK, "libpython", f"shared, {sysconfig.get_config_var('LDLIBRARY')}")
    else:
        yield Finding(
            ERROR, "libpython", "this interpreter has none to embed: install socker in a venv of "
            "the distribution's /usr/bin/python3",
        )  # fmt: skip


def _slurm_version() -> str:
    """The release of the installed Slurm, as "22.05.8"."""
    shown = subprocess.run(
        ["sinfo", "--version"], capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=True
    ).stdout
    match = re.search(r"(\d+\.\d+)\.\d+", shown)
    if not match:
        raise SockerError(f"`sinfo --version` printed {shown!r}")
    return match[0]


def _plugin_version(plugin: Path) -> str:
    """The Slurm release that a plugin was compiled for (SLURM_VERSION_NUM)."""
    number = kernel.exported_number(plugin, "plugin_version")
    return f"{number >> 16 & 0xFF}.{number >> 8 & 0xFF:02}.{number & 0xFF}"


def slurm_release(node: Node) -> Iterator[Finding]:
    if not node.line:
        return
    built, installed = _plugin_version(node.line.plugin), _slurm_version()
    if built.rpartition(".")[0] == installed.rpartition(".")[0]:
        yield Finding(OK, "Slurm", f"{installed}, the plugin was built for {built}")
    else:
        yield Finding(
            ERROR, "Slurm", f"{installed}, but the plugin was built for {built}: reinstall the "
            "package against this release's spank.h, then `socker install`",
        )  # fmt: skip


def squashfs_tools(node: Node) -> Iterator[Finding]:
    for what, tool in (("read", lambda: squashfs.tool("sqfs2tar")), ("write", savesquashfs.tool)):
        try:
            yield Finding(OK, f"squashfs images, to {what}", tool())
        except SockerError as error:
            yield Finding(WARNING, f"squashfs images, to {what}", str(error))


def slurm_settings(node: Node) -> Iterator[Finding]:
    shown = subprocess.run(
        ["scontrol", "show", "config"], capture_output=True, text=True, timeout=COMMAND_TIMEOUT
    ).stdout
    found = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", shown, re.MULTILINE))
    if not found:
        yield Finding(WARNING, "Slurm's settings", "slurmctld does not answer: not checked")
        return
    yield _expect(found, "PrologFlags", "Contain", "a job's container lives in its extern step")
    yield _expect(found, "ProctrackType", "proctrack/cgroup", "it ends a job's container")


def _expect(found: dict[str, str], name: str, wanted: str, why: str) -> Finding:
    value = found.get(name, "(unset)")
    if wanted.lower() in value.lower().split(","):
        return Finding(OK, name, value)
    return Finding(ERROR, name, f"{value}: set {wanted} in slurm.conf, {why}")


def rules(node: Node) -> Iterator[Finding]:
    """Conditions that hold for nobody, and a requirement that nobody keeps."""
    found = config.load_rules(node.settings).rules
    for rule in found:
        for kind, names, look in (("user", rule.users, pwd.getpwnam),
                                  ("group", rule.groups, grp.getgrnam)):  # fmt: skip
            for name in names:
                if not name.isdecimal() and not _exists(look, name):
                    text = f"this node knows no {kind} {name}: it holds for nobody of that name"
                    yield Finding(WARNING, rule.label, text)
    squeue = Path(node.settings.slurm_bin, "squeue")
    if any(rule.accounts or rule.partitions for rule in found) and not squeue.exists():
        yield Finding(ERROR, "rules", f"{squeue} is missing, and rules depend on it: set slurm_bin")
    required = any(rule.container == "required" for rule in found)
    checked = node.line and "native" in config.split_arguments(node.line.arguments)
    if required and not checked:
        text = "container is required, but native steps are not asked: add native=check to the line"
        yield Finding(ERROR, "plugstack", text)
    elif found:
        yield Finding(OK, "rules", f"{len(found)} of them")


def _exists(look: Callable[[str], object], name: str) -> bool:
    try:
        look(name)
    except KeyError:
        return False
    return True


def ownership(node: Node) -> Iterator[Finding]:
    """Whoever can write to these files decides what root runs."""
    paths = [Path(node.settings.pause), Path(node.settings.launcher)]
    arguments = config.split_arguments(node.line.arguments) if node.line else {}
    paths.append(Path(arguments.get("config", config.DEFAULT_FILE)))
    if node.line:
        library = arguments.get("library", str(node.line.plugin.with_name("socker_python.so")))
        paths += [node.line.plugin, Path(library), Path(arguments.get("python", "/"))]
    for path in paths:
        yield from _owned(path)


def _owned(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield Finding(ERROR, str(path), "is missing: socker install")
        return
    problem = trusted.problem_with(path.stat(), largest=None)
    problem = problem or trusted.open_folder(path)
    yield Finding(ERROR if problem else OK, str(path), problem or "root's alone to write")
    if path.name == "pause" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding(ERROR, str(path), "users can read it, so they could trace it: chmod 711 it")


CHECKS = (
    engine, cgroups, kernel_features, libpython, slurm_release, slurm_settings, rules, ownership,
    squashfs_tools,
)  # fmt: skip
