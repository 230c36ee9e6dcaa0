"""/etc/socker/socker.toml: wrong ones fail container steps and nothing else."""

import os
import re
from pathlib import Path

import pytest
from conftest import BUSYBOX, SOCKER, read
from conftest import SETTINGS as CONFIG


@pytest.fixture
def configure(settings):
    """configure(text, mode): writes the file for one test."""

    def write(text: str, mode: int = 0o644) -> None:
        CONFIG.write_text(text)
        CONFIG.chmod(mode)

    return write


def failing_step(user) -> str:
    result = user.srun(f"--docker={BUSYBOX}", "echo", "ran")
    assert result.status == 1
    assert result.stdout == ""
    assert user.srun("echo", "native").lines == ["native"]
    return result.stderr


def test_unknown_key_names_the_nearest(alice, configure):
    configure("mount_hom = false\n")
    assert f"{CONFIG}: mount_hom is not a setting: did you mean mount_home?" in failing_step(alice)


def test_wrong_type(alice, configure):
    configure('pull_timeout = "long"\n')
    assert "pull_timeout = 'long' is a text, it must be a number" in failing_step(alice)


def test_no_toml(alice, configure):
    configure("this is not TOML")
    assert "it is not valid TOML" in failing_step(alice)


def test_writable_by_others(alice, configure):
    configure("", mode=0o666)
    assert "others than root may write to it" in failing_step(alice)


def test_not_roots(alice, configure):
    configure("")
    os.chown(CONFIG, 1001, 1001)
    assert "it belongs to uid 1001" in failing_step(alice)


def test_home_and_submit_directory_are_switchable(alice, configure):
    configure("mount_home = false\nmount_submit_dir = false\n")
    result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", "ls -d /home/alice; pwd")
    assert result.lines == ["/"]
    again = alice.srun(f"--docker={BUSYBOX}", "--container-mount-home", "ls", "-d", "/home/alice")
    assert again.lines == ["/home/alice"]


def said(*words: str) -> str:
    """What the command prints, whatever the columns' widths."""
    return re.sub(" +", " ", read(SOCKER, *words))


def test_socker_config_tells_values_and_origins(configure):
    configure("pull_timeout = 7\n")
    shown = said("config")
    assert f"pull_timeout = 7 ({CONFIG})" in shown
    assert "mount_home = true (default)" in shown
    plugstack = Path("/tmp/socker-plugstack.conf")
    plugstack.write_text("required /usr/lib/socker/socker.so python=/x mount_home=false\n")
    try:
        assert "mount_home = false (plugstack.conf)" in said("config", f"--plugstack={plugstack}")
    finally:
        plugstack.unlink()
