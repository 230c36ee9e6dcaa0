"""Compiles the fuzz targets, and the C sides of the contract for Python to call."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

from spank_plugin.build import HERE as SHIM

HERE = Path(__file__).resolve().parent / "c"
COMMON = [
    "-g", "-O1", "-D_GNU_SOURCE", "-std=gnu11", "-Wall", "-Wextra", f"-I{SHIM}", f"-I{HERE}",
]  # fmt: skip
SANITIZERS = "address,undefined"

# What each target needs of the shim, beside the files that it includes.
TARGETS = {
    "plan": ("plan.c",),
    "options": (
        "args.c",
        "digest.c",
        "inside.c",
        "protect.c",
        "submit_directory.c",
        "syscalls.c",
        "step.c",
        "checked.c",
        "asked.c",
        "trace.c",
        "adopt.c",
        "early.c",
        "read.c",
    ),
    "recorded": ("read.c",),
    "prolog": ("read.c", "plan.c", "step.c", "adopt.c", "caps.c"),
    "mountinfo": ("targets.c", "syscalls.c", "paths.c", "caps.c"),
}
CONTRACT = (
    "plan.c", "records.c", "descriptors.c", "args.c", "inside.c", "step.c", "submit_check.c",
    "digest.c", "submit_directory.c", "syscalls.c", "checked.c", "asked.c", "trace.c",
    "targets.c", "caps.c", "adopt.c", "early.c", "read.c",
)  # fmt: skip


def _compile(compiler: str, output: Path, flags: list[str], sources: list[Path]) -> Path:
    subprocess.run([compiler, *COMMON, *flags, "-o", output, *sources], check=True)
    return output


def _of_shim(names: tuple[str, ...]) -> list[Path]:
    return [SHIM / name for name in names]


def target(name: str, folder: Path, source: Path | None = None) -> Path:
    """With our own driver: a C compiler is all it takes."""
    flags = [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all"]
    own = source or HERE / f"fuzz_{name}.c"
    sources = [own, HERE / "driver.c", HERE / "stubs.c", *_of_shim(TARGETS[name])]
    return _compile("cc", folder / name, flags, sources)


def libfuzzer_target(name: str, folder: Path) -> Path:
    """With libFuzzer, which looks for inputs that reach new code."""
    flags = [f"-fsanitize=fuzzer,{SANITIZERS}", "-fno-sanitize-recover=all"]
    sources = [HERE / f"fuzz_{name}.c", HERE / "stubs.c", *_of_shim(TARGETS[name])]
    return _compile("clang", folder / name, flags, sources)


def contract(folder: Path) -> Path:
    flags = ["-shared", "-fPIC"]
    sources = [HERE / "contract.c", HERE / "stubs.c", *_of_shim(CONTRACT)]
    return _compile("cc", folder / "contract.so", flags, sources)


def entry(folder: Path) -> Path:
    """socker_python.so without a Python of its own."""
    flags = ["-shared", "-fPIC", f"-I{sysconfig.get_path('include')}"]
    return _compile("cc", folder / "entry.so", flags, [HERE / "entry.c"])
