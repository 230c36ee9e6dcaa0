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
    unit = (tmp_path / "lib/systemd/socker-gc.service").read_text()
    assert f"\nExecStart={SOCKER} gc\n" in unit
    assert (tmp_path / "lib/systemd/socker-gc.timer").stat().st_mode & 0o777 == 0o644
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


def test_install_writes_settings_where_there_are_none(settings, tmp_path):
    where = [f"--directory={tmp_path}/lib", f"--plugstack={tmp_path}/plugstack.conf"]
    settings.write_text("mount_home = false\n")
    assert "wrote" not in read(SOCKER, "install", *where)
    settings.unlink()
    assert f"wrote {settings}: all settings have their defaults" in read(SOCKER, "install", *where)
    assert settings.stat().st_mode & 0o777 == 0o644
    lines = [" ".join(line.split()) for line in read(SOCKER, "config").splitlines()]
    assert "mount_home = true (default)" in lines
    read(SOCKER, "uninstall", *where)
    assert settings.exists(), "they are the admin's"


def findings(plugstack) -> list[str]:
    command = [SOCKER, "check", f"--plugstack={plugstack}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return [line for line in done.stdout.splitlines() if not line.startswith("ok")]


def test_check_looks_at_the_rules(settings, tmp_path):
    plugstack = tmp_path / "plugstack.conf"
    line = "required /usr/lib/socker/socker.so python=/opt/socker/bin/python3"
    plugstack.write_text(f"{line}\n")
    settings.write_text(
        '[[rule]]\nusers = ["alice", "nobody-here"]\ngroups = ["labb"]\ncontainer = "required"\n'
    )
    found = findings(plugstack)
    for text in (
        "warning  rule 1: this node knows no user nobody-here: it holds for nobody of that name",
        "warning  rule 1: this node knows no group labb: it holds for nobody of that name",
        "error    plugstack: container is required, but native steps are not asked: add "
        "native=check to the line",
    ):
        assert text in found
    plugstack.write_text(f"{line} native=check\n")
    assert not [text for text in findings(plugstack) if "required" in text]
    settings.unlink()
    assert f"error    {settings}: is missing: socker install" in findings(plugstack)


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
