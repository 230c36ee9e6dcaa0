"""Builds the shim, a stub of Slurm and a scripted hook, once per run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from spank_plugin import build

HERE = Path(__file__).resolve().parent


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

    def run(
        self, context: str, *options: str, script: str = "", args=(), env=None, tasks: int = 1
    ) -> str:
        """The stub's output; `options` as "name=value", `script` for the hook."""
        path = self.folder / "script"
        path.write_text(script)
        words = [f"library={self.library}", f"python={path}", "timeout=2", *args]
        command = [self.folder / "stub_slurm", self.folder / "socker.so", context]
        command += [f"--arg={word}" for word in words]
        command += [f"--option={option}" for option in options]
        command += [f"--tasks={tasks}"]
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env={"SLURMD_NODENAME": "n7", **(env or {})},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr


@pytest.fixture(scope="session")
def stub(tmp_path_factory) -> Stub:
    folder = tmp_path_factory.mktemp("shim")
    build.build_plugin(folder)
    include = f"-I{build.HERE}"
    flags = ["-D_GNU_SOURCE", "-Wall", "-Wextra", include]
    for output, source, extra in (
        ("stub_slurm", "stub_slurm.c", ["-rdynamic"]),
        ("scripted.so", "scripted_hook.c", ["-shared", "-fPIC"]),
    ):
        command = ["cc", *flags, *extra, "-o", folder / output, HERE / source]
        subprocess.run(command, check=True)
    return Stub(folder)
