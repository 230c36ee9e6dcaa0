"""Completion: click's, names of images, and colons in bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pycontrol import authorised, cli_group, completion, present
from pycontrol.config import Config
from pycontrol.errors import NodeError
from pycontrol.present import PresentImage

ROOT = Path(__file__).resolve().parents[2]
LIST = ("127.0.0.1:5000/busybox:1", "127.0.0.1:5000/debian:bookworm", "tool:1")
COMMAND = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.argv[0] = "socker"
from pathlib import Path
from pycontrol import authorised, cli, config, plugstack, tomlcache
plugstack.PATH = Path("/nonexistent/file")
config.read_text = lambda path: ""
tomlcache.FOLDER = Path("/proc/settings")
authorised.names = lambda settings: {LIST!r}
cli.main()
"""


@pytest.fixture
def bash(tmp_path):
    """The candidates that bash has for a line, the cursor at its end."""
    if not shutil.which("bash"):
        pytest.skip("no bash here")
    program = tmp_path / "socker"
    program.write_text(COMMAND)
    program.chmod(0o755)

    def complete(*words: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        script = (
            'eval "$(_SOCKER_COMPLETE=bash_source socker)"; complete -p socker >&2;'
            f"COMP_WORDS=(socker {quoted}); COMP_CWORD={len(words)}; compopt() {{ echo opt $2; }};"
            '_socker_completion socker; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60,
            env={"PATH": f"{tmp_path}:{os.defpath}"},
        )  # fmt: skip
        assert done.stderr == "complete -o nosort -F _socker_completion socker\n"
        return done.stdout.split("\n")[:-1]

    return complete


def test_commands_and_options(bash):
    assert bash("p") == ["ps", "pull"]
    assert {"--env", "--mount", "--workdir", "--ntasks", "--verbose"} <= set(bash("run", "-"))
    assert bash("images", "--j") == ["--json"]


def test_images(bash):
    assert bash("run", "t") == ["tool:1"]
    assert bash("run", "-n", "2", "--", "-N", "2", "t") == ["tool:1"]
    assert bash("pull", "") == list(LIST)
    assert bash("run", "tool:1", "c") == ["opt default", ""]
    assert bash("pull", "./") == ["opt default", ""]


def test_words_that_bash_splits_at_colons(bash):
    """It has 127.0.0.1: already, and appends what it gets."""
    assert bash("run", "127.0.0.1", ":", "5") == ["5000/busybox:1", "5000/debian:bookworm"]
    assert bash("pull", "127.0.0.1", ":", "5000/busybox", ":") == ["1"]
    assert bash("run", "tool", ":", "1", "c") == ["opt default", ""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts(shell, tmp_path):
    program = tmp_path / "socker"
    program.write_text(COMMAND)
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=60,
        env={"_SOCKER_COMPLETE": f"{shell}_source", "PATH": os.defpath},
    )  # fmt: skip
    assert done.returncode == 0
    assert "_SOCKER_COMPLETE" in done.stdout
    if shell != "bash" or shutil.which("bash"):
        assert done.stderr == ""


# --- names ---------------------------------------------------------------------------


def names(incomplete, words=()):
    return [item.value for item in completion.image_or_command(words, incomplete)]


def test_without_a_list_those_that_the_user_has_run(monkeypatch):
    monkeypatch.setattr(cli_group, "settings", Config)
    monkeypatch.setattr(authorised, "names", lambda settings: None)
    monkeypatch.setattr(present, "own_images", lambda uid: [PresentImage("mine:1", "-", "-", 1)])
    assert names("m") == ["mine:1"]
    assert names("x") == []


def test_a_site_whose_settings_are_wrong_gets_no_names(monkeypatch):
    def wrong():
        raise NodeError("/etc/socker/socker.toml: it is not valid TOML")

    monkeypatch.setattr(cli_group, "settings", wrong)
    assert names("m") == []


def test_no_image_where_srun_wants_a_value():
    assert names("1", ("-N",)) == []


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", ":"], ["a:"]),
        (["a", ":", "b", "c"], ["a:b", "c"]),
        (["r", ":", "5000/a", ":", "1"], ["r:5000/a:1"]),
        ([""], [""]),
    ],
)
def test_joined(words, whole):
    assert completion.joined(words) == whole
