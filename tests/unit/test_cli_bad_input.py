"""Bad input to each command of `socker`: one line, what, why and the fix, and status 2.

No command of Slurm can be found: nothing is started, whatever gets through.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from pycontrol import cli
from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import os, sys
from pathlib import Path
from pycontrol import config, plugstack, tomlcache
plugstack.PATH, uid = Path(sys.argv[1]), int(sys.argv[2])
read, config.DEFAULT_FILE = config.read_text, Path("/nonexistent/socker.toml")
config.read_text = lambda path: "" if path == config.DEFAULT_FILE else read(path)
tomlcache.FOLDER = Path("/proc/settings")
os.getuid = os.geteuid = lambda: uid
sys.argv[:3] = ["socker"]
from pycontrol import cli
cli.main()
"""
ALICE, SUPERUSER = 1, 0  # who has an account on any machine
LONG = "x" * 65536
IMAGE = "debian:bookworm"
# How the last part of a message begins, or where a message has its fix in its midst.
FIX = (
    r": (add|begin|check|choose|correct|give|join|leave|make|name|read|rename|run|save|say|see|"
    r"shorten|start|tell|try|use|write) [^:]|is none of |[Dd]id you mean |known are "
    r"|it must be | are(;|$)|: options of srun go behind --: "
)
BAD_IMAGES = [
    "", " ", "a b", "a\nb", "a\tb", "a\x1b[31mb", "a\x7f", "Debian", "-", ":", "a:", ":a", "a:b:c",
    "a@sha256:0", "a//b", "dockerd://", "docker://A", "ftp://a", "a#b#c", "$(id)", "`id`",
    "a;b", "a'b", 'a"b', "socker.local/file:1", "\u00e4", b"\xff\xfe", LONG, "/" + LONG, "/a\nb",
    "./\x1b[31m",
]  # fmt: skip
BAD_MOUNTS = [
    "", ":", ":/b", "a:", "a:b", "/a:/b:zz", "/a:/b:ro:x", "/a:/b:ro+rw", "/a:/b/../c", "/a:/", "/",
    "/a\n:/b", "/a,/b", "tmpfs", "tmpfs:/t:size=x", "umount:/t:ro", "/a:/b:" + LONG, "/" + LONG,
    b"/a:\xff",
]  # fmt: skip
BAD_VARIABLES = ["", "=", "=x", "1=2", "A B=1", "A\nB=1", "A-B", "A,B", "\x1b=1", b"\xff=1",
                 "SLURM_X=1", "LD_PRELOAD=a,b", LONG + "-"]  # fmt: skip
BAD_WORKDIRS = ["", " ", "relative", "/a/../b", "/" + LONG]


@dataclass(frozen=True)
class Ended:
    status: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Checks what the command says, run by alice in this process."""

    def run(words):
        text = [os.fsdecode(word) for word in words]
        result = CliRunner().invoke(cli.main, text)
        check(Ended(result.exit_code, result.stdout_bytes, result.stderr_bytes))

    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: ALICE)
    return run


@pytest.fixture
def socker(tmp_path):
    """Runs the command in a process of its own."""

    def run(*words, uid=ALICE, plugstack="", **options) -> Ended:
        conf = tmp_path / "plugstack.conf"
        conf.write_text(plugstack)
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60} | options
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, conf, str(uid), *words],
            env={"PATH": "/nonexistent", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
            cwd=tmp_path,
            **options,
        )
        return Ended(done.returncode, done.stdout or b"", done.stderr or b"")

    return run


def check(done: Ended) -> None:
    """One line that a terminal can show, with a fix behind what and why."""
    text = done.stderr.decode()
    assert done.status == 2, text
    assert text.count("\n") == 1, text
    assert text.endswith("\n")
    assert text.startswith("socker: "), text
    assert text.rstrip("\n").isprintable()
    assert len(text) < 1500
    assert re.search(FIX, text), text
    assert "Traceback" not in text
    assert not done.stdout


def cases(*sorts):
    """Parameters that pytest can print."""
    found = [words for sort in sorts for words in sort]
    return [pytest.param(words, id=ascii(words)[:60]) for words in found]


@pytest.mark.parametrize(
    "words",
    cases(
        [["run", image, "true"] for image in BAD_IMAGES],
        [["run", "--mount", mount, IMAGE, "true"] for mount in BAD_MOUNTS],
        [["run", "-e", variable, IMAGE, "true"] for variable in BAD_VARIABLES],
        [["run", "-w", directory, IMAGE, "true"] for directory in BAD_WORKDIRS],
        [["run", "-n", n, IMAGE, "true"] for n in ("", "0", "-1", "x", "1.5", "9" * 30, LONG)],
        [["run", *words] for words in (
            [], ["--"], ["--", "--"], ["--", "--", IMAGE], ["--", "-N"], ["--", "--docker"],
            [IMAGE], [IMAGE, ""], ["-e"], ["--mount"], ["-w"], ["-n"], ["--nothing", IMAGE, "true"],
            ["-N2", IMAGE, "true"], ["--" + LONG], [b"--\xff"], ["-v=1", IMAGE, "true"],
            [IMAGE, "true"],
        )],
    ),
)  # fmt: skip
def test_run(refused, words):
    refused(words)


@pytest.mark.parametrize(
    "words",
    cases(
        [["pull", image] for image in BAD_IMAGES if image],
        [["pull", *words] for words in (
            [], [""], ["--"], [IMAGE, IMAGE], ["--nothing"], ["none"], ["dockerd://a"], [IMAGE],
            ["."], ["/nonexistent"], ["/tmp"],
        )],
    ),
)  # fmt: skip
def test_pull(refused, words):
    refused(words)


@pytest.mark.parametrize(
    "words",
    cases(
        [["explain", *words] for words in (
            [], [""], ["--"], ["srun"], ["true"], ["--json"], ["--docker"], ["-N"],
            ["--docker=a", "--container-tmp=x", "true"], ["--docker=a", "--container-pull=x"],
            ["--docker=a", "--container-unshare=x"], ["--docker=a", "--container-name=/"],
            ["--docker=a", "--container-writable=1"], ["--container-mounts=/a", "true"],
            ["--docker=a", "--container-env-file=./none"], ["--docker=a", "--container-env-file=/"],
            ["--docker=a", "--container-save=rel/x"], ["--docker=a", "--container-remap-root"],
        )],
        [["explain", b"--docker=" + os.fsencode(image), "true"] for image in BAD_IMAGES],
        [["explain", "--docker=a", "--container-mounts", mount] for mount in BAD_MOUNTS
         if mount != "/a,/b"],
        [["explain", "--docker=a", "--container-env", name] for name in BAD_VARIABLES
         if name not in ("A,B", "LD_PRELOAD=a,b")],
        [["explain", "--docker=a", "--container-workdir", path] for path in BAD_WORKDIRS],
    ),
)  # fmt: skip
def test_explain(refused, words):
    refused(words)


@pytest.mark.parametrize(
    "words",
    cases(
        [["images", *words] for words in (["x"], ["--all"], ["--json=1"], ["--js0n"], [LONG])],
        [["ps", *words] for words in (["x"], ["--all"], ["--json=1"], ["-x"], [b"\xff"])],
        [["config", *words] for words in (
            ["x"], ["--nothing"], ["--plugstack"], ["--plugstack=/tmp"], ["--plugstack=/none"],
            ["--plugstack=/none\x1b[31m"], ["--plugstack=" + LONG],
        )],
        [["check", *words] for words in (
            ["x"], ["--nothing"], ["--plugstack"], ["--plugstack=/tmp"],
        )],
        [[name, *words] for name in ("install", "uninstall") for words in (
            [], ["x"], ["--nothing"], ["--directory"], ["--directory=/dev/null"],
            ["--plugstack=/tmp"],
        )],
        [["nothing"], [""], ["p"], ["--nothing"], ["-x"], ["--version=1"], [b"\xff"], [LONG],
         ["a\nb"], ["\x1b[31m"]],
    ),
)  # fmt: skip
def test_the_others(refused, words):
    refused(words)


# --- what is around it --------------------------------------------------------------


def test_no_srun_in_the_path(socker):
    done = socker("run", IMAGE, "true")
    assert done.stderr == b"socker: srun: not in PATH: use a host of the cluster\n"
    check(done)


def test_no_squeue_in_the_path(socker):
    check(socker("ps"))


def test_no_scontrol_in_the_path(tmp_path):
    """Which `socker pull` asks for the names of the nodes, on a terminal."""
    environ = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "n1"}
    terminal = Terminal(
        sys.executable, "-c", COMMAND, str(tmp_path / "none"), str(ALICE), "pull", IMAGE,
        env=environ | {"PATH": "/nonexistent", "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )  # fmt: skip
    assert terminal.end() == 2
    assert terminal.lines() == ["socker: scontrol: not in PATH: use a host of the cluster"]


@pytest.mark.parametrize("command", ["images", "ps"])
def test_no_engine(socker, command):
    line = "required /x/socker.so engine=unix:///nonexistent\n"
    done = socker(command, uid=SUPERUSER, plugstack=line)
    if command == "ps":  # it has said before that Slurm does not answer, either
        first, _, rest = done.stderr.partition(b"\n")
        assert first.endswith(b"steps are not shown")
        done = replace(done, stderr=rest)
    check(done)


CONFIGURATIONS = {
    "another plugin's line": "required /y/other.so 'unbalanced",
    "no argument": "required /x/socker.so nothing",
    "unknown setting": "required /x/socker.so nothing=1",
    "wrong value": "required /x/socker.so engine_timeout=x",
    "no file": "required /x/socker.so config=/nonexistent",
    "a directory": "required /x/socker.so config=/tmp",
    "no text": "required /x/socker.so config={binary}",
    "no TOML": "required /x/socker.so config={broken}",
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
@pytest.mark.parametrize("words", [["pull", IMAGE], ["explain", "--docker=a"], ["images"]])
def test_a_configuration_that_is_broken(socker, tmp_path, kind, words):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken").write_text("engine = [\x1b[31m")
    line = CONFIGURATIONS[kind].format(binary=tmp_path / "binary", broken=tmp_path / "broken")
    check(socker(*words, plugstack=line + "\n"))


PRINTING = [["-h"], ["--version"], ["run", "-h"], ["explain", "-n1"], ["images"], ["config"]]


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_nobody_reads_the_output(socker, words):
    """As of `socker images | head`: silence, and status 1."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = socker(*words, stdout=writer)
    finally:
        os.close(writer)
    assert (done.status, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_the_output_cannot_be_written(socker, words):
    with open("/dev/full", "w") as full:
        done = socker(*words, stdout=full)
    assert b"No space left on device" in done.stderr
    check(done)


def test_the_error_cannot_be_written(socker):
    with open("/dev/full", "w") as full:
        done = socker("run", "A", stdout=full, stderr=full)
    assert done.status == 2


@pytest.mark.parametrize("words", [["run", "A", "b"], ["pull"]], ids=" ".join)
def test_no_descriptor_is_open(tmp_path, words):
    command = [sys.executable, "-c", COMMAND, tmp_path / "none", str(ALICE), *words]
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command],
        env={"PATH": "/nonexistent", "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == 2
