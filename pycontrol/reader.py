"""What the children of pycontrol/imagefile.py do: the only code that opens a user's image file.

Each function runs as the job's owner, in a process of its own, and writes what
it read to its parent, the hook.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from typing import BinaryIO

from pycontrol import archive, openfile, squashfs
from pycontrol.errors import UserError
from pycontrol.openfile import Identity
from pycontrol.plaindata import asdict
from pycontrol.rebuild import Layer, Plan
from pycontrol.source import Directory, Member, Source, Tar, chunks

TICK = 64 << 20  # bytes between two lines about the progress


def look(path: str) -> bytes:
    """The file's identity, and where the path leads, as JSON."""
    with openfile.explained(path):
        descriptor = openfile.open_path(path)
        found = asdict(openfile.identity(path, descriptor))
        return json.dumps([found, os.readlink(f"/proc/self/fd/{descriptor}")]).encode()


def describe(path: str, output: BinaryIO) -> None:
    """The image in an archive or layout: lines of JSON, the last one the plan."""
    openfile.limit_memory()
    with openfile.explained(path):
        plan = archive.describe(_source(path, _ticker(output)), archive.architectures())
        words = {
            "config": base64.b64encode(plan.config).decode(),
            "layers": [asdict(layer) for layer in plan.layers],
        }
        output.write(json.dumps(words).encode() + b"\n")


def plan_of(path: str, words: dict) -> Plan:
    """The plan that `describe` wrote, for root: of numbers and texts, if of nothing else."""
    try:
        layers = tuple(Layer(Member(**each["member"]), each["size"]) for each in words["layers"])
        numbers = [n for each in layers for n in (each.size, each.member.offset, each.member.size)]
        texts = [t for each in layers for t in (each.member.name, each.member.compression)]
        if all(type(n) is int and n >= 0 for n in numbers) and all(type(t) is str for t in texts):
            return Plan(path, base64.b64decode(words["config"]), layers)
    except (ValueError, TypeError, KeyError):
        pass
    raise UserError(f"image {path}: what it holds is not understood: make it again")


def pour(plan: Plan, output: BinaryIO) -> None:
    """The layers' content, one after the other."""
    openfile.limit_memory()
    with openfile.explained(plan.path):
        archive.pour(_source(plan.path, lambda count: None), plan, output)


def copy(path: str, file: Identity, output: BinaryIO) -> None:
    """The file's bytes."""
    with openfile.explained(path):
        descriptor = _unchanged(path, file)
        with open(descriptor, "rb", closefd=False) as source:
            for chunk in chunks(source):
                output.write(chunk)
        _check(path, descriptor, file)


def setting(path: str, file: Identity, name: str, program: str) -> bytes:
    """A small file inside a squashfs image."""
    openfile.limit_memory()
    with openfile.explained(path):
        return squashfs.read_file(_unchanged(path, file), name, program)


def unpack(path: str, file: Identity, program: str, output: BinaryIO) -> None:
    """The root directory of a squashfs image as a tar."""
    openfile.limit_memory()
    with openfile.explained(path):
        descriptor = _unchanged(path, file)
        squashfs.to_tar(path, descriptor, program, output)
        _check(path, descriptor, file)


def _unchanged(path: str, file: Identity) -> int:
    descriptor = openfile.open_path(path)
    _check(path, descriptor, file)
    return descriptor


def _check(path: str, descriptor: int, file: Identity) -> None:
    if openfile.identity(path, descriptor) != file:
        raise UserError(f"image {path}: it was changed while it was read: try again")


def _source(path: str, tick: Callable[[int], None]) -> Source:
    descriptor = openfile.open_path(path)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        return Directory(path, descriptor, tick)
    return Tar(path, descriptor, tick)


def _ticker(output: BinaryIO) -> Callable[[int], None]:
    read = told = 0

    def tick(count: int) -> None:
        nonlocal read, told
        read += count
        if read >= told + TICK:
            told = read
            output.write(json.dumps({"read": read}).encode() + b"\n")
            output.flush()

    return tick
