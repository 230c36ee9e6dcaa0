"""/etc/socker/socker.toml: wrong ones fail container steps and nothing else."""

import os
from pathlib import Path

import pytest
from conftest import BUSYBOX, SOCKER, read

CONFIG = Path("/etc/socker/socker.toml")


@pytest.fixture
def configure():
    """configure(text, mode): writes the file for one test."""
    assert not CONFIG.exists(), "this node has a configuration of its own"
    CONFIG.parent.mkdir(exist_ok=True)

    def write(text: str, mode: int = 0o644) -> None:
        CONFIG.write_text(text)
        CONFIG.chmod(mode)

    yield write
    CONFIG.unlink(missing_ok=True)


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


def test_socker_config_tells_values_and_origins(configure):
    configure("pull_timeout = 7\n")
    shown = read(SOCKER, "config")
    assert f"pull_timeout      = 7  ({CONFIG})" in shown
    assert "mount_home        = true  (default)" in shown
    plugstack = Path("/tmp/socker-plugstack.conf")
    plugstack.write_text("required /usr/lib/socker/socker.so python=/x mount_home=false\n")
    try:
        assert "mount_home        = false  (plugstack.conf)" in read(
            SOCKER, "config", f"--plugstack={plugstack}"
        )
    finally:
        plugstack.unlink()
