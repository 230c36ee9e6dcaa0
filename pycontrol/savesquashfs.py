"""Makes a squashfs image of a tar stream, and keeps ENV and ENTRYPOINT in it.

`make` runs as the job's owner (save.py).  A squashfs file has no place for an
image's configuration; the files are those of enroot (github.com/NVIDIA/enroot,
src/docker.sh, docker::configure): /etc/environment and /etc/rc, which runs the
entrypoint with the command that it is given.
"""

from __future__ import annotations

import os
import subprocess
from typing import BinaryIO

from pycontrol import kernel
from pycontrol.errors import NodeError, UserError
from pycontrol.image import Image

CHUNK = 1 << 20
LONGEST_WORDS = 300  # bytes of what the tool said last
TAR2SQFS, MKSQUASHFS = "/usr/bin/tar2sqfs", "/usr/bin/mksquashfs"

RC = """\
# socker: saved from {image}

mkdir -p {workdir} 2> /dev/null
cd {workdir} && unset OLDPWD || exit 1

if [ -s /etc/rc.local ]; then
    . /etc/rc.local
fi

if [ $# -gt 0 ]; then
    exec {entrypoint}"$@"
else
    exec {entrypoint}{cmd}
fi
"""


# --- what the image says, as files ---


def configuration_files(image: Image) -> dict[str, bytes]:
    """/etc/environment and /etc/rc, by their paths without /."""
    entrypoint = image.entrypoint
    cmd = image.cmd
    rc = RC.format(
        image=image.image_id,
        workdir=_in_double_quotes(image.workdir or "/"),
        entrypoint="".join(f"{_in_single_quotes(word)} " for word in entrypoint),
        cmd=" ".join(map(_in_single_quotes, cmd if entrypoint or cmd else ("/bin/sh",))),
    )
    env = "".join(map(_line, filter(_fits, image.env)))
    return {"etc/environment": os.fsencode(env), "etc/rc": os.fsencode(rc)}


def lost_variables(image: Image) -> list[str]:
    """Those that /etc/environment cannot hold."""
    return [entry.partition("=")[0] for entry in image.env if not _fits(entry)]


def _fits(entry: str) -> bool:
    """A variable a line; and whoever reads it takes ${NAME} for another's value."""
    return "\n" not in entry and "${" not in entry


def _line(entry: str) -> str:
    """Readers take quotes around a value away: a value that has them gets more."""
    name, _, value = entry.partition("=")
    if value[:1] in ("'", '"') or value[-1:].isspace():
        value = f'"{value}"'
    return f"{name}={value}\n"


def _in_single_quotes(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _in_double_quotes(word: str) -> str:
    for character in '\\"$`':
        word = word.replace(character, "\\" + character)
    return f'"{word}"'


# --- the tool ---


def tool() -> str:
    """The one that this node has; NodeError without any."""
    for path in (TAR2SQFS, MKSQUASHFS):
        if os.access(path, os.X_OK):
            return path
    raise NodeError(
        "--container-save: this node cannot make squashfs files: tell the admin to "
        "install squashfs-tools-ng, or squashfs-tools 4.5 or newer"
    )


def command(path: str, output: str) -> list[str]:
    """gzip, since every kernel with squashfs reads it; bounded memory, the step's own CPUs."""
    jobs = str(len(os.sched_getaffinity(0)))
    if path == TAR2SQFS:
        return [path, "--quiet", "--force", "--no-skip", "-c", "gzip", "-j", jobs, output]
    fixed = "-tar -noappend -no-progress -quiet -exit-on-error -comp gzip -mem 256M"
    # 4.5.1 leaves the root directory to the job's owner all the same, which is harmless.
    root = "-root-mode 0755 -root-uid 0 -root-gid 0"
    return [path, "-", output, *fixed.split(), *root.split(), "-processors", jobs]


def make(source: BinaryIO, output: int, path: str) -> None:
    """Fill the file behind the descriptor `output`, which may have no name.

    Raises UserError with the tool's words, or OSError when no more can be written.
    """
    said = os.memfd_create("said")
    with open(said, "rb") as words:
        process = subprocess.Popen(
            command(path, f"/proc/self/fd/{output}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=(output,),
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            preexec_fn=kernel.die_with_parent,
        )
        try:
            broken = _feed(source, process.stdin)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() or broken:
            # tar2sqfs says "I/O error" alone; the kernel says whether the disk or quota is full.
            os.pwrite(output, bytes(CHUNK), os.fstat(output).st_size)
            raise UserError(f"{os.path.basename(path)} failed: {_last_words(words)}")


def _feed(source: BinaryIO, sink: BinaryIO) -> bool:
    """Whether the tool stopped reading before the end."""
    try:
        with sink:
            while data := source.read(CHUNK):
                sink.write(data)
    except BrokenPipeError:
        return True
    return False


def _last_words(words: BinaryIO) -> str:
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - LONGEST_WORDS))
    return words.read().decode(errors="replace").strip() or "it said nothing"
