"""socker install, uninstall and check."""

import subprocess
from pathlib import Path

from conftest import SOCKER, read


def test_install_and_uninstall(tmp_path):
    plugstack = tmp_path / "etc/plugstack.conf"
    plugstack.parent.mkdir()
    before = "include /etc/slurm/plugstack.conf.d/*.conf\n"
    plugstack.write_text(before)
    where = [f"--directory={tmp_path}/lib", f"--plugstack={plugstack}"]
    said = read(SOCKER, "install", *where)
    assert f"installed {tmp_path}/lib/socker.so" in said
    assert (tmp_path / "lib/pause").stat().st_mode & 0o777 == 0o711
    assert "#required" in plugstack.read_text()
    assert "enabled" in read(SOCKER, "install", "--enable", *where)
    enabled = plugstack.read_text()
    assert "\nrequired " in enabled
    # Again, without --enable: what the admin has switched on stays on.
    read(SOCKER, "install", *where)
    assert plugstack.read_text() == enabled
    said = read(SOCKER, "uninstall", *where)
    assert "removed" in said
    assert plugstack.read_text() == before
    assert not (tmp_path / "lib").exists()
    assert read(SOCKER, "uninstall", *where) == ""


def test_check_is_content_with_the_cluster():
    result = subprocess.run([SOCKER, "check"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert all(line.startswith(("ok ", "warning ")) for line in lines)
    for subject in ("engine", "cgroups", "kernel", "libpython", "Slurm", "PrologFlags", "pause"):
        assert any(subject in line for line in lines), subject


def test_check_tells_what_is_wrong(tmp_path):
    plugstack = tmp_path / "plugstack.conf"
    pause = tmp_path / "pause"
    pause.write_text("")
    pause.chmod(0o777)
    plugstack.write_text(
        "required /usr/lib/socker/socker.so python=/nowhere/python3 "
        f"engine=unix:///run/no-engine.sock pause={pause}\n"
    )
    result = subprocess.run(
        [SOCKER, "check", f"--plugstack={plugstack}"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "error    engine: engine unix:///run/no-engine.sock cannot be reached" in result.stdout
    assert f"error    {pause}: others than root may write to it" in result.stdout
    assert "users can read it" in result.stdout
    assert "error    /nowhere/python3: is missing" in result.stdout


def test_check_without_a_plugstack_line(tmp_path):
    empty = tmp_path / "plugstack.conf"
    empty.write_text("#required /usr/lib/socker/socker.so\n")
    result = subprocess.run(
        [SOCKER, "check", f"--plugstack={empty}"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "has no active line for socker.so" in result.stdout


def test_install_needs_root():
    result = subprocess.run(
        ["runuser", "-u", "alice", "--", SOCKER, "install"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stderr == "socker: install: it changes the node: run it as root\n"


def test_the_installed_plugin_is_the_built_one():
    package = next(Path("/opt/socker/lib").glob("python3*/site-packages/spank_plugin/built"))
    for name in ("socker.so", "socker_python.so", "pause"):
        assert (package / name).read_bytes() == Path("/usr/lib/socker", name).read_bytes()
