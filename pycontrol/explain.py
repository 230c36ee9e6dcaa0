"""`socker explain`: request, decision and plan of a command line, and nothing is run.

Runs as the caller.  The same parser and the same policy as on the node
(hooks.py); what only the node can know is named as such.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping

from pycontrol import (
    environment,
    given,
    mounts,
    policy,
    request,
    ruleshow,
    ruling,
    slurm_commands,
    srunline,
)
from pycontrol.config import Config
from pycontrol.environment import Wishes
from pycontrol.errors import UserError
from pycontrol.identity import Account
from pycontrol.image import Image
from pycontrol.judge import Judge, Verdict
from pycontrol.mounts import Mount
from pycontrol.plaindata import asdict, dataclass, replace
from pycontrol.policy import ContainerSpec
from pycontrol.request import ContainerRequest
from pycontrol.rules import Rules
from pycontrol.runstep import Place
from pycontrol.srunline import Line

STEP = 0  # the number of the step that a command line would become
ACCOUNT_FILES = tuple(
    Mount(f"the image's {path}, with your entries", path, read_only=True)
    for path in ("/etc/passwd", "/etc/group")
)


@dataclass(frozen=True)
class Explanation:
    """Everything that is known before a step runs; `spec` is None without a container."""

    options: dict[str, str]
    command: tuple[str, ...]
    judges: tuple[Judge, ...]
    verdicts: tuple[Verdict, ...]
    request: ContainerRequest | None = None
    spec: ContainerSpec | None = None
    image: Image | None = None  # None: not known here
    changes: environment.Changes | None = None

    @property
    def refusal(self) -> str | None:
        return next((v.text for v in self.verdicts if v.allowed is False), None)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """In the order in which a task makes them (plan.send_mounts)."""
        return (*self.spec.mounts, *ACCOUNT_FILES, *self.spec.user_mounts) if self.spec else ()

    @property
    def workdirs(self) -> list[str]:
        """As plan.workdirs: the first that the task can enter."""
        if not self.spec:
            return []
        if self.spec.workdir:
            return [self.spec.workdir]
        of_image = self.image.workdir if self.image else "the image's WORKDIR"
        return list(filter(None, [self.spec.cwd, of_image, "/"]))


def line_of(words: tuple[str, ...], prefix: str) -> Line:
    """A command line that may begin with srun itself."""
    return srunline.split(words[1:] if words[:1] == ("srun",) else words, prefix)


def explain(
    line: Line,
    account: Account,
    settings: Config,
    place: Place,
    find_image,
    rules: Rules | None = None,
) -> Explanation:
    """`find_image` gives the image of a request if it can be known here, else None."""
    options = given.settle(line.options, place.environ, place.prefix, settings.pyxis_compat)
    options = given.with_absolute_paths(options, place.cwd)
    named = options.get("docker", options.get("container-image"))
    where = ruleshow.places(line, place.environ)
    judges = ruling.judges_of(rules or Rules(), account, where)
    if not options or named == "none":
        native = tuple(judge.native() for judge in judges)
        return Explanation(options, line.command, judges, native)
    asked = request.parse(tuple(options.items()), place.cwd)
    spec = policy.specify(
        asked, account, settings,
        cwd=_start(line, place.cwd), step_id=STEP, argv=line.command, judges=judges,
        terminal=any(option.name == "pty" for option in line.options),
    )  # fmt: skip
    own = policy.own_mounts(asked, account, settings)
    verdicts = ruling.verdicts(asked, own, judges, settings)
    image = find_image(asked.image) if asked.image else None
    changes = _changes(spec, image, place.environ)
    return Explanation(options, line.command, judges, verdicts, asked, spec, image, changes)


def _start(line: Line, cwd: str) -> str:
    """The step's directory: srun's --chdir, or the current one."""
    chosen = [o.value for o in line.options if o.name == "chdir" and o.value]
    return os.path.normpath(os.path.join(cwd, chosen[-1])) if chosen else cwd


def _changes(
    spec: ContainerSpec, image: Image | None, environ: Mapping[str, str]
) -> environment.Changes:
    """Of this very environment."""
    wishes = spec.wishes
    if spec.env_file:
        keep, pairs = environment.parse_file(_text(spec.env_file), spec.env_file)
        wishes = Wishes(keep + wishes.keep, pairs + wishes.set)
    who = spec.account
    account = {"HOME": who.home, "USER": who.name, "LOGNAME": who.name}
    last_in_path = slurm_commands.BIN if spec.slurm else ""
    found = environment.merge(environ, image.env if image else (), account, wishes, last_in_path)
    return environment.Changes(
        set={name: value for name, value in found.set.items() if environ.get(name) != value},
        remove=tuple(name for name in found.remove if name in environ),
    )


def _text(path: str) -> str:
    try:
        with open(path, errors="surrogateescape") as file:
            return file.read(1 << 18)
    except OSError as error:
        raise UserError(
            f"--container-env-file: {path}: {error.strerror} on this host: check the path"
        ) from error


# --- shown ------------------------------------------------------------------------


def as_json(found: Explanation) -> dict:
    answer = {
        "container": bool(found.spec),
        "options": found.options,
        "command": found.command,
        "refused": found.refusal,
        "rules": ruleshow.as_json(found.judges),
        "verdicts": [asdict(verdict) for verdict in found.verdicts],
    }
    if not found.spec or not found.request:
        return answer
    return answer | {
        "request": asdict(found.request),
        "decision": asdict(replace(found.spec, judges=())),
        "plan": {
            "mounts": [asdict(mount) for mount in found.mounts],
            "workdirs": found.workdirs,
            "read_only_root": found.spec.read_only_root,
            "unshared": found.spec.unshare,
            "image": asdict(found.image) if found.image else None,
            "environment": asdict(found.changes) if found.changes else None,
        },
    }


def lines(found: Explanation) -> Iterator[str]:
    """The same for people."""
    yield "request"
    for name, value in found.options.items():
        yield f"  --{name}" + (f"={value}" if value else "")
    yield f"  command: {shlex.join(found.command) or '(none given)'}"
    yield from ruleshow.lines(found.judges, found.verdicts)
    if found.refusal:
        yield "decision"
        yield f"  refused: {found.refusal}"
    elif not found.spec:
        why = "--container-image=none" if found.options else "no container option"
        yield "decision"
        yield f"  {why}: the command runs on the node itself"
    else:
        yield from _decision(found.spec)
        yield from _plan(found)


def _decision(spec: ContainerSpec) -> Iterator[str]:
    yield "decision"
    source = f" ({spec.image.source})" if spec.image else ""
    yield f"  image: {spec.image.text if spec.image else 'of the named container'}{source}"
    yield f"  pull: {spec.pull}"
    groups = " ".join(f"{name}({gid})" for gid, name in spec.account.groups)
    yield f"  as: {spec.account.name}({spec.account.uid}), groups {groups}"
    yield f"  container: {_shared(spec)}"
    yield f"  root file system: {'read-only' if spec.read_only_root else 'can be written to'}"
    yield f"  ENTRYPOINT: {'used' if spec.entrypoint else 'not used'}"
    yield f"  Slurm's commands: {'inside' if spec.slurm else 'not inside'}"
    if spec.save:
        yield f"  saved at the end: {spec.save.text}"


def _shared(spec: ContainerSpec) -> str:
    if spec.name:
        return f"{spec.name.name} ({spec.name.mode}), the job's on each node"
    return "the step's own on each node" if spec.own_root else "the job's, one for each image"


def _plan(found: Explanation) -> Iterator[str]:
    yield "plan, of each task"
    yield "  mounts, in this order; later ones cover earlier ones:"
    for mount in found.mounts:
        yield f"    {mount_line(mount)}"
    yield f"  starts in the first it can enter of: {', '.join(found.workdirs)}"
    spec = found.spec
    own = ", ".join(spec.unshare if spec else ())
    yield f"  namespaces: mnt the container's; {own or 'none'} the step's own; the node's else"
    yield from _environment(found)
    yield "  left to the node: whether the image, the sources and the directories exist"


def _environment(found: Explanation) -> Iterator[str]:
    known = "" if found.image else "; the image's ENV is not known here and comes on top"
    yield f"  environment, against this shell's{known}:"
    changes = found.changes or environment.Changes({}, ())
    for name, value in sorted(changes.set.items()):
        yield f"    set    {name}={value}"
    for name in changes.remove:
        yield f"    remove {name}"


def mount_line(mount: Mount) -> str:
    """TARGET, where it comes from, and its flags in words."""
    if mount.kind == "umount":
        return f"{mount.target}: unmounted"
    words = ["ro" if mount.read_only else "rw", "" if mount.devices else "nodev", "nosuid"]
    words += ["noexec" if mount.no_exec else "", "" if mount.recursive else "bind"]
    words += [mount.propagation, f"x-create={mount.create}" if mount.create else ""]
    words += [f"size={mount.size}" if mount.size else "", "if there" if mount.optional else ""]
    source = mount.source if mount.kind == "bind" else mount.kind
    same = mount.kind in mounts.INSIDE or source != mount.target
    return f"{mount.target}{f' from {source}' if same else ''} ({', '.join(filter(None, words))})"
