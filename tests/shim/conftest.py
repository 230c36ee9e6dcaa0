"""Builds the shim, a stub of Slurm and a scripted hook, once per run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spank_plugin import build

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def pytest_collection_modifyitems(items):
    """The shim becomes root in its child, so even its stub needs root."""
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="the shim's hook child becomes root"))


class Stub:
    """Runs the plugin inside stub_slurm."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.library = folder / "scripted.so"
        self.state = folder / "state"  # in place of /run/socker

    def run(
        self,
        context: str,
        *options: str,
        script: str = "",
        args=(),
        env=None,
        tasks: int = 1,
        status: int = 0,
        python: bool = False,
        linger: bool = False,
    ) -> str:
        """The stub's output; `options` as "name=value", `script` for the hook.

        linger: the tasks run for a moment, longer than the hook
        python: `args` names an interpreter, which finds pycontrol in this tree, and
        settings of its own: all are the defaults.
        """
        path = self.folder / "script"
        path.write_text(script)
        words = [*args, f"library={self.library}", f"python={path}", "timeout=2"]
        command = [self.folder / "stub_slurm", self.folder / "socker.so", context]
        command += [f"--arg={word}" for word in words]
        command += [f"--option={option}" for option in options]
        command += [f"--tasks={tasks}", *(["--linger"] if linger else [])]
        if python:
            settings = self.folder / "socker.toml"
            settings.touch(mode=0o644)
            command += [f"--arg=config={settings}"]
            command[3] = f"--arg=python={self.interpreter()}"
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env={"SLURMD_NODENAME": "n7", **(env or {})},
        )
        assert result.returncode == status, result.stderr
        return result.stdout + result.stderr

    def interpreter(self) -> Path:
        """A python that knows this tree though it is isolated: a script does that."""
        path = self.folder / "python"
        path.write_text(
            f"#!{sys.executable} -I\n"
            f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "code = sys.argv[sys.argv.index('-c') + 1]\n"
            "sys.argv[:] = ['-c', *sys.argv[sys.argv.index('-c') + 2 :]]\n"
            "from pathlib import Path\nfrom pycontrol import tomlcache\n"
            f"tomlcache.FOLDER = Path({str(self.folder / 'settings')!r})\n"
            "exec(code)\n"
        )
        path.chmod(0o755)
        return path


@pytest.fixture(scope="session")
def stub(tmp_path_factory) -> Stub:
    folder = tmp_path_factory.mktemp("shim")
    build.build_plugin(folder, f'-DSTATE_DIRECTORY="{folder / "state"}"')
    include = f"-I{build.HERE}"
    flags = ["-D_GNU_SOURCE", "-Wall", "-Wextra", include]
    for output, source, extra in (
        ("stub_slurm", "stub_slurm.c", ["-rdynamic"]),
        ("scripted.so", "scripted_hook.c", ["-shared", "-fPIC"]),
    ):
        command = ["cc", *flags, *extra, "-o", folder / output, HERE / source]
        subprocess.run(command, check=True)
    return Stub(folder)
