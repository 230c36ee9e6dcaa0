"""docs/user/socker.1 is what the commands say of themselves."""

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from pycontrol import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def manpage():
    return runpy.run_path(str(ROOT / "docs/developer/manpage.py"))


def test_the_page_is_up_to_date(manpage):
    assert manpage["PAGE"].read_text() == manpage["page"](), "run `make docs`"


def test_every_command_is_in_it(manpage):
    for name in cli.main.commands:
        assert f".SS socker {name}" in manpage["page"]()


def test_roff_does_not_take_text_for_its_own(manpage):
    assert manpage["escaped"](".a\n'b\n-c\\d") == "\\&.a\n\\&'b\n\\-c\\ed"


def test_it_can_be_formatted(manpage):
    if not shutil.which("groff"):
        pytest.skip("no groff here")
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", str(manpage["PAGE"])], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""
