"""Squashfs images, as enroot makes them: a root directory, its settings in three files of /etc.

The kernel never mounts a user's file system: squashfs-tools-ng reads it as the
job's owner.  What enroot writes is in its src/docker.sh (docker::configure),
how it reads it in src/common.sh (common::envfmt).
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import BinaryIO

from pycontrol import kernel
from pycontrol.errors import NodeError, UserError

TOOL_FOLDERS = ("/usr/bin", "/usr/local/bin")
LARGEST_FILE = 1 << 16  # bytes of a settings file
LONGEST_WORDS = 500  # bytes shown of what a tool said

ENVIRONMENT, RC = "etc/environment", "etc/rc"

_VARIABLE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_QUOTED = re.compile(r"""["'](.*)["']\s*""")
_WORKDIR = re.compile(r'^cd "(/[^"\'$`\\\n]*)" (?:&&|\|\|) ', re.MULTILINE)


def tool(name: str) -> str:
    """The path of one of squashfs-tools-ng's programs."""
    for folder in TOOL_FOLDERS:
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    raise NodeError(
        f"{name}: not on this node, which squashfs images need: tell the admin to install "
        "squashfs-tools-ng"
    )


# --- as the user ----------------------------------------------------------------


def to_tar(path: str, descriptor: int, program: str, output: BinaryIO) -> None:
    """Write the image's files as a tar; `program` is sqfs2tar."""
    # Without -r the root directory's own mode and owner would be lost; -X: no attributes,
    # which are of no use to a task and name the overlay's or the kernel's rights.
    with _started(
        [program, "-r", ".", "-X"], descriptor, output.fileno(), subprocess.PIPE
    ) as process:
        words = b""
        while part := process.stderr.read1(4096):
            words = (words + part)[-LONGEST_WORDS:]
    if process.returncode:
        text = words.decode(errors="replace").strip() or f"status {process.returncode}"
        raise UserError(f"image {path}: sqfs2tar cannot read it: {text}: make it again")


def read_file(descriptor: int, name: str, program: str) -> bytes:
    """A small file of the image, empty when there is none; `program` is rdsquashfs.

    One byte more than LARGEST_FILE tells that it is too large.
    """
    command = [program, "-c", name]
    with _started(command, descriptor, subprocess.PIPE, subprocess.DEVNULL) as process:
        return process.stdout.read(LARGEST_FILE + 1)


def _started(command: list[str], descriptor: int, output: int, errors: int) -> subprocess.Popen:
    return subprocess.Popen(
        [*command, f"/proc/self/fd/{descriptor}"],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        cwd="/",
        pass_fds=(descriptor,),
        preexec_fn=kernel.die_with_parent,
    )


# --- as root: pure --------------------------------------------------------------


def changes(path: str, environment: bytes, rc: bytes) -> list[str]:
    """The image's configuration as Dockerfile instructions: these three and no other."""
    for name, content in ((ENVIRONMENT, environment), (RC, rc)):
        if len(content) > LARGEST_FILE:
            raise UserError(f"image {path}: its /{name} is larger than {LARGEST_FILE >> 10} KiB")
    found = [f"ENV {n}={_quoted(v)}" for n, v in variables(environment).items()]
    if rc:
        found.append(f'ENTRYPOINT ["/bin/sh","/{RC}"]')
        workdir = _WORKDIR.search(rc.decode(errors="replace"))
        found += [f"WORKDIR {workdir[1]}"] if workdir and workdir[1].isprintable() else []
    return found


def variables(environment: bytes) -> dict[str, str]:
    """What /etc/environment sets.

    enroot replaces ${NAME} by the value outside; such a line is left out, so
    that the job's own variable stays.
    """
    found = {}
    for line in environment.decode(errors="replace").split("\n"):
        match = _VARIABLE.fullmatch(line)
        if not match or match[1].startswith("ENROOT_"):
            continue
        quoted = _QUOTED.fullmatch(match[2])
        value = quoted[1] if quoted else match[2]
        if "${" not in value and not re.search(r"[\x00-\x08\x0b-\x1f]", value):
            found[match[1]] = value
    return found


def _quoted(value: str) -> str:
    """The value as one word of a Dockerfile, where $ would name a variable."""
    return '"' + re.sub(r'([\\"$])', r"\\\1", value) + '"'
