"""The srun commands that `socker run` and `socker pull` become.

Pure functions, run as the user.  What is made here is executed in socker's
place: stdin, signals and the exit status are srun's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pycontrol import environment, image, mounts, mpirank, srunline
from pycontrol.errors import UserError
from pycontrol.plaindata import dataclass
from pycontrol.srunline import Line

MOST_TASKS = 2**31 - 1
NO_OPTIONS = Line((), (), ())
# Who says one of these has said how many tasks there are.
_COUNTS = {"ntasks", "nodes", "ntasks-per-node", "ntasks-per-gpu", "ntasks-per-tres"}
_SHARES = {"overlap", "exact", "exclusive", "jobid"}
_MEMORY = {"mem", "mem-per-cpu", "mem-per-gpu"}
_ELSEWHERE = {"pty", "i", "o", "e", "input", "output", "error"}  # stdin and stdout are said
# A value with a comma goes through srun's own environment: these would steer it.
_STEERS = ("LD_", "SLURM", "SRUN_", "SOCKER_", "PYXIS_", "SPANK_")


@dataclass(frozen=True)
class Run:
    """What `socker run` was asked for."""

    image: str
    command: tuple[str, ...]
    srun: Line = NO_OPTIONS
    env: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    workdir: str | None = None
    tasks: int | None = None
    verbose: bool = False


@dataclass(frozen=True)
class Place:
    """Where `socker` was started: directory, terminal, the site's option prefix, CPUs."""

    environ: Mapping[str, str]
    cwd: str
    terminal: bool = False  # both stdin and stdout
    prefix: str = ""
    host: str = ""
    cpus: frozenset[int] = frozenset()

    @property
    def in_job(self) -> bool:
        return bool(self.environ.get("SLURM_JOB_ID"))

    def option(self, name: str, value: str) -> str:
        return f"--{self.prefix}{name}={value}"


def parse_run(words: Sequence[str], place: Place, **wishes) -> Run:
    """IMAGE CMD..., with srun's options in front of them."""
    line = srunline.split(words, place.prefix)
    if ":" in line.command[:1] or not line.command:
        raise UserError("run: no image: say what to run in: socker run IMAGE COMMAND...")
    name, command = line.command[0], line.command[1:]
    if not command or not command[0]:
        raise UserError(
            f"run: no command behind the image {name}: an image's own CMD is not used: "
            f"say what to run: socker run {name} COMMAND..."
        )
    if name != "none":
        image.parse_reference(name, place.cwd, "run")
    if (wishes.get("tasks") or 1) > MOST_TASKS:
        raise UserError(
            f"run: -n {wishes['tasks']}: srun cannot count so far: give a smaller number"
        )
    return Run(name, tuple(command), Line(line.words, line.options, ()), **wishes)


def run_argv(run: Run, place: Place) -> list[str]:
    """The srun command line of `socker run`."""
    argv = ["srun", *_size(run, place)]
    argv.append(place.option("container-image", run.image))
    if run.env:
        entries = ",".join(_env_entry(entry, run, place) for entry in run.env)
        with _named("--container-env", "run: -e"):
            environment.parse_option(entries)
        argv.append(place.option("container-env", entries))
    if run.mounts:
        argv.append(place.option("container-mounts", _mounts(run.mounts, place.cwd)))
    if run.workdir is not None:
        path = mounts.absolute(run.workdir, "run: -w")
        argv.append(place.option("container-workdir", path))
    return [*argv, *run.srun.words, "--", *run.command]


def run_environ(run: Run, place: Place) -> dict[str, str]:
    """The environment of that srun."""
    added = dict(e.split("=", 1) for e in run.env if _has_comma(e))
    if run.verbose:
        added["SOCKER_VERBOSE"] = "1"
    environ = {**place.environ, **added}
    if mpirank.is_rank(environ):
        return mpirank.without_orteds(environ)
    if _tasks(run) is not None:
        environ.pop("SLURM_NTASKS_PER_NODE", None)  # the job's: srun would warn of it
    return environ


def _tasks(run: Run) -> int | None:
    """How many; None where only srun's options say it."""
    if run.tasks is None and not run.srun.names() & _COUNTS:
        return 1
    return run.tasks


def _size(run: Run, place: Place) -> Iterable[str]:
    """One task unless something else is said; beside the job's other steps."""
    said = run.srun.names()
    mpirank.refuse_mpichs(place.environ)
    if mpirank.is_rank(place.environ):
        mpirank.check(place.environ, run.tasks, said & (_COUNTS | {"nodelist"}))
        yield from mpirank.options(place.environ, place.host, place.cpus)
        return
    tasks = _tasks(run)
    if tasks is not None:
        yield f"--ntasks={tasks}"
    if tasks == 1 and not said & (_COUNTS | {"nodelist"}):
        yield "--nodes=1"  # else srun warns of the job's other nodes
    if tasks == 1 and place.terminal and not said & _ELSEWHERE:
        yield "--pty"
    if place.in_job and not said & (_SHARES | {"s"}):
        yield "--overlap"
        if not said & _MEMORY:
            yield "--mem=0"  # the job's, whatever other steps have; --overlap shares only CPUs


def _has_comma(entry: str) -> bool:
    return "," in entry.partition("=")[2]


def _env_entry(entry: str, run: Run, place: Place) -> str:
    """NAME=VALUE as srun's option; NAME alone where srun's environment has the value."""
    name = entry.partition("=")[0]
    if "," in name:
        raise UserError(f"run: -e {entry}: `{name}` is no variable's name: give one -e for each")
    if not _has_comma(entry):
        return entry
    with _named("--container-env", "run: -e"):
        environment.parse_option(f"{name}=")
    exported = {o.value for o in run.srun.options if o.name == "export"}
    exported.add(place.environ.get("SLURM_EXPORT_ENV", "ALL"))
    if name in environment.NODE_VARIABLES or name.startswith(_STEERS) or exported != {"ALL"}:
        raise UserError(
            f"run: -e {name}: a value with a comma cannot be given here: write it into a file: "
            "socker run -- --container-env-file=FILE ..."
        )
    return name


def _mounts(entries: Iterable[str], cwd: str) -> str:
    for entry in entries:
        if "," in entry:
            raise UserError(
                f"run: --mount {entry}: a path with a comma cannot be mounted: give one --mount "
                "for each"
            )
        with _named(mounts.OPTION, "run: --mount"):
            mounts.parse_entry(entry, cwd)
    return ",".join(entries)


@contextlib.contextmanager
def _named(option: str, given: str) -> Iterator[None]:
    """Errors about srun's option are told of the one that was given."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(option, given, 1)) from error


PULLED = "/.socker-pulled"
PROGRESS = "SOCKER_PROGRESS=bars"  # asks the nodes for lines of JSON (stages.py)


def pull_argv(name: str, place: Place, launcher: str, bars: bool = False) -> list[str]:
    """A step on all nodes of the job whose command any image can run, even an empty one.

    The launcher is static and does nothing under another name than its own
    (spank_plugin/launch.c): it is mounted into the image, and is the command.
    """
    if name == "none":
        raise UserError("pull: none is no image: name one: socker pull IMAGE")
    reference = image.parse_reference(name, place.cwd, "pull")
    if reference.source == "engine":
        raise UserError(f"pull: {name}: dockerd:// is never pulled: leave that part out")
    components = job_components(place.environ)
    if not place.in_job or not components:
        raise UserError(
            "pull: no allocation: images are pulled on a job's nodes: use it in a batch script "
            f"or in salloc: salloc -N1 socker pull {name}"
        )
    containers = [place.option("container-image", name)]
    if reference.source == "registry":
        containers.append(place.option("container-pull", "always"))
    containers.append(place.option("container-mounts", f"{launcher}:{PULLED}"))
    containers.append(place.option("container-workdir", "/"))
    # Nothing of the image is executed.
    containers.append(f"--{place.prefix}no-container-entrypoint")
    argv = ["srun"]
    for group, nodes in enumerate(components):
        # The components of a heterogeneous job share their container options.
        argv += [":"] if group else []
        argv += [f"--het-group={group}"] if len(components) > 1 else []
        argv += _a_task_a_node(nodes, bars)
        argv += [] if group else containers
        argv += ["--", PULLED]
    return argv


def _a_task_a_node(nodes: int, bars: bool) -> list[str]:
    argv = ["--overlap", "--mem=0", f"--nodes={nodes}", f"--ntasks={nodes}"]
    argv += ["--ntasks-per-node=1", "--label", "--input=none", "--quit-on-interrupt"]
    return [*argv, f"--export=ALL,{PROGRESS}"] if bars else argv


def job_components(environ: Mapping[str, str]) -> list[int]:
    """How many nodes each component of the job has; one component but in heterogeneous jobs."""
    return [int(n) for n in _of_components("SLURM_JOB_NUM_NODES", environ) if n.isdecimal()]


def job_nodes(environ: Mapping[str, str]) -> list[str]:
    """Their nodes, as Slurm writes lists of them."""
    return _of_components("SLURM_JOB_NODELIST", environ)


def _of_components(name: str, environ: Mapping[str, str]) -> list[str]:
    size = environ.get("SLURM_HET_SIZE", "")
    groups = range(int(size)) if size.isdecimal() else ()
    names = [f"{name}_HET_GROUP_{group}" for group in groups] or [name]
    return [environ[name] for name in names if name in environ]


def without_job_options(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a step that takes none of its job's container options."""
    ours = ("SLURM_SPANK__SLURM_SPANK_OPTION_socker_", "_SLURM_SPANK_OPTION_socker_")
    own = ("SOCKER_CONTAINER_", "SOCKER_NO_CONTAINER_", "SOCKER_DOCKER", "PYXIS_CONTAINER_")
    return {n: v for n, v in environ.items() if not n.startswith((*ours, *own))}
