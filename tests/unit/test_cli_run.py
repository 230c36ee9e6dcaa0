"""socker run and pull: the srun command lines that they become."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pycontrol import cli, cli_group, cli_steps, request, runstep, srunline
from pycontrol.errors import UserError
from pycontrol.runstep import Place
from pycontrol.srunline import Word

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = Place({}, "/w")
IN_JOB = Place({"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "3"}, "/w")
TERMINAL = Place({}, "/w", terminal=True)


# --- where srun's options end ---------------------------------------------------


@pytest.mark.parametrize(
    ("words", "options", "command"),
    [
        ("a b", [], "a b"),
        ("-N2 a", [("nodes", "2")], "a"),
        ("-N 2 a b", [("nodes", "2")], "a b"),
        ("--nodes 2 a", [("nodes", "2")], "a"),
        ("--nodes=2 a", [("nodes", "2")], "a"),
        ("--overlap a -x", [("overlap", None)], "a -x"),
        ("-lN 2 a", [("l", None), ("nodes", "2")], "a"),
        ("-Nl a", [("nodes", "l")], "a"),
        ("-I a", [("I", None)], "a"),
        ("-I5 a", [("I", "5")], "a"),
        ("--x11 a", [("x11", None)], "a"),
        ("--docker a b", [("docker", "a")], "b"),
        ("--overlap -- -a", [("overlap", None)], "-a"),
        ("--mem 1g --export=ALL a", [("mem", "1g"), ("export", "ALL")], "a"),
        ("- a", [], "- a"),
    ],
)
def test_split(words, options, command):
    line = srunline.split(words.split())
    assert list(line.options) == [Word(*o) for o in options]
    assert list(line.command) == command.split()


def test_split_with_the_sites_prefix():
    line = srunline.split(["--x-docker", "a", "b"], "x-")
    assert line.command == ("b",)


def test_a_missing_value():
    with pytest.raises(UserError, match="-N: its value is missing"):
        srunline.split(["-N"])


def test_the_options_are_those_of_the_plugin():
    import re

    text = (ROOT / "spank_plugin/options.c").read_text()
    found = dict(re.findall(r'= \{ "([a-z-]+)", (NULL|")', text))
    values = {name for name, argument in found.items() if argument != "NULL"}
    assert set(srunline.CONTAINER_VALUES) == values
    assert set(srunline.CONTAINER_SWITCHES) == set(found) - values
    assert set(srunline.LISTS) == set(re.findall(r'"([a-z-]+)", "[^}]*?\.list = true', text))
    assert set(request.SWITCHES) <= set(srunline.CONTAINER_SWITCHES)


def test_the_options_with_values_are_those_of_this_hosts_srun():
    import re

    try:
        text = subprocess.run(["srun", "--help"], capture_output=True, text=True, timeout=20).stdout
    except FileNotFoundError:
        pytest.skip("no srun here")
    shown = re.findall(r"^  (?:-(\w),?)? +--([a-z0-9-]+)=", text, re.MULTILINE)
    for short, name in shown:
        if "container" not in name and name != "docker":
            assert srunline._takes_value(f"--{name}", ""), name
            assert not short or srunline._takes_value(f"-{short}", ""), short


# --- socker run --------------------------------------------------------------------


UNTIL_SRUN = """
import sys
from pycontrol.cli import main
sys.argv = ["socker", "run", "debian", "true"]
try:
    main()
except SystemExit:
    print(*sys.modules)
"""


def test_it_loads_little_before_it_becomes_srun():
    """Users wait for it: the engine, registries and colours are other commands'."""
    done = subprocess.run(
        [sys.executable, "-c", UNTIL_SRUN], cwd=ROOT, env={"PATH": "/nonexistent"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "srun: not in PATH" in done.stderr
    rare = {"docker", "http.client", "requests", "rich", "ssl", "pycontrol.engine"}
    assert rare.isdisjoint(done.stdout.split())


def argv(words, place=OUTSIDE, **wishes):
    return runstep.run_argv(runstep.parse_run(words.split(), place, **wishes), place)


def test_the_least():
    assert argv("debian echo -n a") == [
        "srun", "--ntasks=1", "--nodes=1", "--container-image=debian", "--", "echo", "-n", "a",
    ]  # fmt: skip


def test_everything():
    found = argv(
        "-N2 --mem 1g ./a.tar cmd",
        IN_JOB,
        env=("A=1", "B"),
        mounts=("data:/in:ro", "/x:/y"),
        workdir="/in",
        tasks=4,
    )
    assert found == [
        "srun", "--ntasks=4", "--overlap", "--container-image=./a.tar", "--container-env=A=1,B",
        "--container-mounts=data:/in:ro,/x:/y", "--container-workdir=/in",
        "-N2", "--mem", "1g", "--", "cmd",
    ]  # fmt: skip


@pytest.mark.parametrize("said", ["-n 4", "--ntasks=4", "-N2", "--ntasks-per-node=2"])
def test_srun_says_how_many(said):
    found = argv(f"{said} a b", TERMINAL)
    assert "--ntasks=1" not in found
    assert "--nodes=1" not in found
    assert "--pty" not in found


def test_one_task_on_a_named_node():
    found = argv("-w n2 a b")
    assert "--ntasks=1" in found
    assert "--nodes=1" not in found


@pytest.mark.parametrize(
    ("words", "wishes", "place", "pty"),
    [
        ("a b", {}, TERMINAL, True),
        ("a b", {"tasks": 1}, TERMINAL, True),
        ("a b", {"tasks": 2}, TERMINAL, False),
        ("a b", {}, OUTSIDE, False),
        ("--pty a b", {}, TERMINAL, False),
        ("-o out a b", {}, TERMINAL, False),
        ("--input=none a b", {}, TERMINAL, False),
    ],
)
def test_a_terminal_for_one_task(words, wishes, place, pty):
    found = argv(words, place, **wishes)
    assert ("--pty" in found[:4]) == pty
    assert found.count("--pty") <= 1


@pytest.mark.parametrize("said", ["--overlap", "--exact", "--exclusive", "--jobid=3", "-s"])
def test_overlap_unless_sharing_is_said(said):
    assert "--overlap" in argv("a b", IN_JOB)
    assert "--overlap" not in argv(f"{said} a b", IN_JOB)[:3]
    assert "--overlap" not in argv("a b", OUTSIDE)


def test_the_sites_prefix():
    found = argv("-N1 a b", Place({}, "/w", prefix="x-"), env=("A",))
    assert "--x-container-image=a" in found
    assert "--x-container-env=A" in found


def test_a_value_with_a_comma_goes_through_the_environment():
    run = runstep.parse_run(["a", "b"], OUTSIDE, env=("P={0,1}", "Q=2"))
    assert "--container-env=P,Q=2" in runstep.run_argv(run, OUTSIDE)
    assert runstep.run_environ(run, OUTSIDE) == {"P": "{0,1}"}


def test_the_jobs_tasks_per_node_do_not_count_against_ours():
    place = Place({"SLURM_JOB_ID": "7", "SLURM_NTASKS_PER_NODE": "4"}, "/w")
    for words, kept in (("a b", False), ("-N2 a b", True)):
        run = runstep.parse_run(words.split(), place)
        assert ("SLURM_NTASKS_PER_NODE" in runstep.run_environ(run, place)) == kept


def test_verbose():
    run = runstep.parse_run(["a", "b"], OUTSIDE, verbose=True)
    assert runstep.run_environ(run, OUTSIDE) == {"SOCKER_VERBOSE": "1"}


@pytest.mark.parametrize(
    ("words", "wishes", "text"),
    [
        ("", {}, "run: no image: "),
        ("-N2", {}, "run: no image: "),
        (": a", {}, "run: no image: "),
        ("a", {}, "run: no command behind the image a: "),
        ("A b", {}, "run: `A` is not an image name"),
        ("a b", {"env": ("1=2",)}, "`1` is no variable's name"),
        ("a b", {"env": ("SLURM_X=1",)}, "Slurm's own"),
        ("a b", {"env": ("A,B",)}, "give one -e for each"),
        ("a b", {"env": ("LD_PRELOAD=a,b",)}, "write it into a file"),
        ("a b", {"env": ("SOCKER_DOCKER=a,b",)}, "write it into a file"),
        ("--export=NONE a b", {"env": ("X=a,b",)}, "write it into a file"),
        ("a b", {"mounts": ("a:/b,c:/d",)}, "give one --mount for each"),
        ("a b", {"mounts": ("a:b",)}, "must be an absolute path"),
        ("a b", {"workdir": "x"}, "run: -w: x must be an absolute path"),
    ],
)
def test_refused(words, wishes, text):
    with pytest.raises(UserError) as refused:
        argv(words, OUTSIDE, **wishes)
    assert text in str(refused.value)


# --- socker pull ---------------------------------------------------------------------


A_TASK_A_NODE = ["--ntasks-per-node=1", "--label", "--input=none", "--quit-on-interrupt"]
CONTAINER = [
    "--container-image=a", "--container-pull=always",
    "--container-mounts=/usr/lib/socker/launch:/.socker-pulled", "--container-workdir=/",
    "--no-container-entrypoint",
]  # fmt: skip


def test_pull():
    assert runstep.pull_argv("a", IN_JOB, "/usr/lib/socker/launch") == [
        "srun", "--overlap", "--mem=0", "--nodes=3", "--ntasks=3", *A_TASK_A_NODE,
        *CONTAINER, "--", "/.socker-pulled",
    ]  # fmt: skip


HETEROGENEOUS = {
    "SLURM_JOB_ID": "7", "SLURM_HET_SIZE": "2",
    "SLURM_JOB_NUM_NODES_HET_GROUP_0": "1", "SLURM_JOB_NUM_NODES_HET_GROUP_1": "2",
    "SLURM_JOB_NODELIST_HET_GROUP_0": "n1", "SLURM_JOB_NODELIST_HET_GROUP_1": "n[2-3]",
}  # fmt: skip


def test_pull_in_a_heterogeneous_job():
    """All components; container options are of the first, and hold for all."""
    assert runstep.pull_argv("a", Place(HETEROGENEOUS, "/w"), "/usr/lib/socker/launch") == [
        "srun", "--het-group=0", "--overlap", "--mem=0", "--nodes=1", "--ntasks=1", *A_TASK_A_NODE,
        *CONTAINER, "--", "/.socker-pulled",
        ":", "--het-group=1", "--overlap", "--mem=0", "--nodes=2", "--ntasks=2", *A_TASK_A_NODE,
        "--", "/.socker-pulled",
    ]  # fmt: skip


def test_the_nodes_of_a_job():
    assert runstep.job_nodes(HETEROGENEOUS) == ["n1", "n[2-3]"]
    assert runstep.job_nodes({"SLURM_JOB_NODELIST": "n[1-4]"}) == ["n[1-4]"]


def test_an_image_file_is_imported():
    assert "--container-pull=always" not in runstep.pull_argv("./a.tar", IN_JOB, "/l")


def test_lines_for_bars():
    assert "--export=ALL,SOCKER_PROGRESS=bars" in runstep.pull_argv("a", IN_JOB, "/l", bars=True)


def test_pull_outside_and_of_the_engines_own():
    with pytest.raises(UserError, match=r"pull: no allocation: .* salloc -N1 socker pull a"):
        runstep.pull_argv("a", OUTSIDE, "/l")
    with pytest.raises(UserError, match="dockerd:// is never pulled"):
        runstep.pull_argv("dockerd://a", IN_JOB, "/l")
    with pytest.raises(UserError, match="none is no image"):
        runstep.pull_argv("none", IN_JOB, "/l")


def test_pull_takes_nothing_of_the_jobs_options():
    environ = {
        "SLURM_SPANK__SLURM_SPANK_OPTION_socker_container_name": "work",
        "_SLURM_SPANK_OPTION_socker_docker": "b",
        "SOCKER_CONTAINER_NAME": "work",
        "SLURM_JOB_ID": "7",
        "HOME": "/h",
    }
    assert runstep.without_job_options(environ) == {"SLURM_JOB_ID": "7", "HOME": "/h"}


# --- the commands ----------------------------------------------------------------------


@pytest.fixture
def executed(monkeypatch):
    """What would have been executed."""
    found = []
    monkeypatch.setattr(cli_steps.os, "execvpe", lambda *call: found.append(call))
    monkeypatch.setattr(cli_group, "here", lambda: OUTSIDE)
    return found


def test_run_command(executed):
    words = ["run", "-v", "-n2", "-e", "A=1", "--", "-N", "2", "debian", "echo", "--", "-v"]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    [(program, argv, environ)] = executed
    assert program == "srun"
    assert argv[-4:] == ["--", "echo", "--", "-v"]
    assert environ == {"SOCKER_VERBOSE": "1"}
    assert "socker: srun --ntasks=2" in result.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run"], "socker: run: no image: say what to run in: socker run IMAGE COMMAND...\n"),
        (["run", "-n", "0", "a", "b"], "socker: run: Invalid value for '-n' / '--ntasks': 0 is "),
        (["run", "-N2", "a", "b"], "socker: run: No such option '-N': options of srun go behind"),
        (["run", "A", "b"], "socker: run: `A` is not an image name: "),
        (["pull"], "socker: pull: Missing argument 'IMAGE': see `socker pull -h`\n"),
        (["pull", "a"], "socker: pull: no allocation: "),
        (["images", "x"], "socker: images: No such command 'x'"),
        (["ps", "--all"], "socker: ps: No such option"),
        (["explain"], "socker: explain: no option: "),
        (["explain", "--docker=A", "b"], "socker: --docker: `A` is not an image name: "),
        (["explain", "--container-writable=1"], "socker: --container-writable takes no value"),
        (["explain", "-n2", "--container-tmp=x"], "socker: --container-tmp: `x` is none of "),
        (["nothing"], "socker: No such command 'nothing': see `socker -h`\n"),
        (["--nothing"], "socker: No such option"),
        (["config", "--plugstack"], "socker: config: Option '--plugstack' requires an argument: "),
    ],
)
def test_bad_input_is_one_line_and_status_2(executed, words, line):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 2
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert executed == []


def test_without_srun(monkeypatch):
    def missing(*call):
        raise FileNotFoundError(2, "No such file", "srun")

    monkeypatch.setattr(cli_steps.os, "execvpe", missing)
    result = CliRunner().invoke(cli.main, ["run", "a", "b"])
    assert (result.exit_code, result.stderr) == (
        2, "socker: srun: not in PATH: use a host of the cluster\n"
    )  # fmt: skip


def test_help_and_version():
    assert CliRunner().invoke(cli.main, ["--version"]).output.startswith("socker, version ")
    for command in cli.main.commands:
        result = CliRunner().invoke(cli.main, [command, "-h"])
        assert result.exit_code == 0, result.output
        assert f"Usage: socker {command}" in result.output
    assert CliRunner().invoke(cli.main, []).exit_code == 2
