"""Builds the plugin: `python3 spank_plugin/build.py OUTPUT_DIRECTORY`.

Five files come out of it:

    socker.so          the SPANK plugin: small, not linked with libpython
    socker_python.so   the interpreter and the hooks' entry, embedded by cffi
    pause              the idle first process of a container, static
    launch             what stands before a command with an ENTRYPOINT, static
    slurm-command      srun, sbatch and the like inside an image, static

SLURM_INCLUDE names the directory that holds slurm/spank.h of the Slurm release
the plugin is for (default: the compiler's own path); CC the compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SHIM = [
    *("plugin.c", "options.c", "submit.c", "submit_check.c", "submit_directory.c", "digest.c"),
    *("protect.c", "inside.c", "step.c", "args.c", "plan.c"),
    *("hook.c", "child.c", "leave.c", "records.c", "descriptors.c"),
    *("early.c", "enter.c", "prolog.c", "launch_arrange.c", "hint.c", "job_files.c", "adopt.c"),
    *("asked.c", "recorded.c", "replay.c", "start.c", "trace.c", "checked.c"),
    *("audit.c", "job_end.c", "ended_steps.c", "engine.c"),
    *("join.c", "share.c", "mounts.c", "paths.c", "targets.c", "syscalls.c", "caps.c", "read.c"),
]
# No library and no start code: a process that is everywhere and does nothing is 12 KiB.
BARE = ["-nostdlib", "-ffreestanding", "-fno-stack-protector", "-Wl,-z,noseparate-code"]
STATIC = {
    "pause": [*BARE, "pause.c"],
    "launch": ["launch.c"],
    "slurm-command": ["slurm_command.c", "inside.c"],
}
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror=implicit-function-declaration"]
HARDENING = ["-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]

# cffi hands the request to Python.  A hook that cannot even be imported sends
# no record: its tasks see the end of the channel, and fail.
ENTRY = """
import gc
gc.disable()  # until the modules are there (bridge.py)
from _socker_bridge import ffi

@ffi.def_extern(error=1)
def socker_python_hook(request):
    from pycontrol import bridge
    return bridge.run(ffi, request)
"""


def _compiler() -> list[str]:
    include = os.environ.get("SLURM_INCLUDE")
    return [os.environ.get("CC", "cc"), *([f"-I{include}"] if include else [])]


def _compile(*argv: str | Path) -> None:
    command = [*_compiler(), *(str(word) for word in argv)]
    result = subprocess.run(command, cwd=HERE)
    if result.returncode:
        raise SystemExit(
            f"build: `{' '.join(command)}` failed. Needed: a C compiler, and Slurm's "
            "headers (Debian: libslurm-dev; elsewhere set SLURM_INCLUDE)."
        )


def build_plugin(output: Path, *flags: str) -> None:
    """Compile and link socker.so; `flags` are a test's."""
    _compile(
        "-D_GNU_SOURCE", "-std=gnu11", "-fPIC", "-shared", *WARNINGS, *HARDENING, *flags,
        f"-Wl,--version-script={HERE / 'exports.map'}",
        "-o", output / "socker.so", *SHIM,
    )  # fmt: skip


def build_static(output: Path) -> None:
    """Compile the static binaries that run inside containers."""
    for name, words in STATIC.items():
        _compile(
            "-D_GNU_SOURCE", "-std=gnu11", "-static", "-s", *WARNINGS, *HARDENING,
            "-o", output / name, *words,
        )  # fmt: skip


def contract() -> str:
    return declarations(HERE / "bridge.h")


def declarations(header: Path) -> str:
    """Of a header, without what cffi's C parser does not know."""
    lines = header.read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def build_python(output: Path) -> None:
    """Compile socker_python.so by cffi's embedding."""
    ffi = FFI()
    ffi.embedding_api("int socker_python_hook(struct step_request *request);")
    ffi.cdef(contract())
    ffi.set_source(
        "_socker_bridge",
        (HERE / "python_entry.c").read_text(),
        include_dirs=[str(HERE)],
        # The interpreter's own library, when it is not where the linker looks.
        library_dirs=[sysconfig.get_config_var("LIBDIR")],
    )
    ffi.embedding_init_code(ENTRY)
    with tempfile.TemporaryDirectory() as work:
        made = ffi.compile(tmpdir=work, target="socker_python.so")
        Path(output / "socker_python.so").write_bytes(Path(made).read_bytes())


def build(output: Path) -> None:
    """Build all files into `output`."""
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        raise SystemExit(
            f"build: {sys.executable} has no shared libpython to embed: use a venv of "
            "the distribution's own interpreter (/usr/bin/python3 -m venv ...)"
        )
    output.mkdir(parents=True, exist_ok=True)
    build_plugin(output)
    build_static(output)
    build_python(output)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
