"""Saves a container for its user: --container-save, at the step's end.

Runs in the hook's process.  Root reads the container's tree (roottar.py), which
only root may read whole, and writes a tar stream into a pipe; a child with the
user's rights alone makes a file or a push of it.  So root opens no path of the
user's, and the child sees nothing of the container but bytes.

    save    root: RootTar -> Meter -> pipe -> child: Whole -> archive | squashfs | registry
    check   before the step starts: whether the target could be written

An earlier file is replaced in one step, after the new one is whole: both
sides must say so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from pycontrol import as_user, savearchive, savesquashfs
from pycontrol.bridge import Channel
from pycontrol.config import Config
from pycontrol.draft import Draft
from pycontrol.draft import check as check_file
from pycontrol.errors import NodeError, SockerError, UserError
from pycontrol.identity import Account
from pycontrol.image import Image
from pycontrol.patience import Teller, within
from pycontrol.roottar import RootTar
from pycontrol.savetarget import SaveTarget, parse_target

__all__ = ["SaveTarget", "check", "parse_target", "save"]

CLEANING = 60  # seconds to undo a save that was stopped
LONGEST_ANSWER = 4096


def check(target: SaveTarget, account: Account) -> None:
    """Whether the target could be written now; makes nothing."""
    if target.kind == "squashfs":
        savesquashfs.tool()

    def work() -> bytes:
        # A registry's credentials may need a helper, a program of the user's: that
        # runs when the step ends.
        if target.kind != "registry":
            check_file(target.text)
        return b""

    as_user.call(account, work)


def save(
    target: SaveTarget,
    root: int,
    image: Image,
    account: Account,
    env: Mapping[str, str],
    config: Config,
    channel: Channel,
    skip: Iterable[str] = (),
    swap: tuple[int, int] | None = None,
) -> None:
    """Save the tree whose directory `root` is open (O_PATH), and tell the user.

    skip: paths that are left out, as seen inside.  swap: the (uid, gid) that
    stand for root's in the tree, and the reverse.  Raises a SockerError, and
    then leaves whatever was under the target's name.
    """
    squashfs = target.kind == "squashfs"
    tool = savesquashfs.tool() if squashfs else ""
    extra = savesquashfs.configuration_files(image) if squashfs else {}
    lost = savesquashfs.lost_variables(image) if squashfs else []
    channel.ask_for_time(config.save_timeout + CLEANING)
    too_long = f"saving to {target.text} took longer than save_timeout = {config.save_timeout} s"
    draft = Draft(target.text)

    def produce(pipe: BinaryIO) -> list[str]:
        meter = Meter(pipe, target, Teller(channel, config.progress_interval))
        return RootTar(root, meter, skip, swap, extra).write().lines()

    consume = _consumer(target, draft, image, account, env, tool)
    with contextlib.ExitStack() as undo:
        if target.kind != "registry":
            undo.callback(_discard, draft, account)
        with within(config.save_timeout, too_long):
            notes, result = deliver(account, consume, produce)
        undo.pop_all()
    for line in [
        *notes,
        *(f"ENV {name} left out: a squashfs image cannot hold it" for name in lost),
    ]:
        channel.tell(f"saving to {target.text}: {line}")
    channel.tell(result)


def _discard(draft: Draft, account: Account) -> None:
    """After a failure: the child may have been killed before it could clear away."""
    with contextlib.suppress(SockerError):
        as_user.call(account, lambda: draft.discard() or b"")


# --- between root and the child -------------------------------------------------


class Meter:
    """Counts what goes to the child, and tells the user every few seconds."""

    def __init__(self, pipe: BinaryIO, target: SaveTarget, teller: Teller):
        self._pipe, self._target, self._teller = pipe, target, teller
        self._written = 0

    def write(self, data: bytes) -> int:
        self._pipe.write(data)
        self._written += len(data)
        self._teller.tell("saving to", self._target.text, f"{megabytes(self._written)} written")
        return len(data)


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


class Whole:
    """A stream that ends only with the token that its writer puts last.

    The end of a pipe alone may as well be the writer's death.
    """

    def __init__(self, source: BinaryIO, token: bytes):
        self._source, self._token = source, token
        self._held = b""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end.  NodeError when the token is missing."""
        held = self._held + self._source.read(size)
        if len(held) > len(self._token):
            self._held = held[-len(self._token) :]
            return held[: -len(self._token)]
        if held != self._token:
            raise NodeError("the save was cut short")
        self._held = held
        return b""


def deliver(
    account: Account,
    consume: Callable[[Whole], str],
    produce: Callable[[BinaryIO], list[str]],
) -> tuple[list[str], str]:
    """What `produce` (root) returns, and what `consume` (the account) made of its bytes."""
    token = secrets.token_bytes(32)
    ours, theirs = os.pipe()
    notes: list[str] = []

    def work(source: BinaryIO) -> None:
        answer = consume(Whole(source, token))
        os.write(theirs, answer.encode(errors="surrogateescape")[:LONGEST_ANSWER])

    with open(ours, "rb") as answers:
        try:
            with as_user.writing(account, work, keep=(theirs,)) as pipe:
                notes = produce(pipe)
                pipe.write(token)
        finally:
            os.close(theirs)
        answer = answers.read(LONGEST_ANSWER).decode(errors="surrogateescape")
    if not answer:  # as_user takes a pipe that broke for an end
        raise NodeError("saving the container ended without a word: see slurmd's log")
    return notes, answer


# --- as the user ----------------------------------------------------------------


def _consumer(
    target: SaveTarget,
    draft: Draft,
    image: Image,
    account: Account,
    env: Mapping[str, str],
    tool: str,
) -> Callable[[Whole], str]:
    """What the child does; returns its last line for the user."""
    if target.kind == "registry":
        return lambda source: _push(source, target, image, account, env)

    def to_file(source: Whole) -> str:
        try:
            with draft.open() as descriptor:
                _fill(descriptor, source, target, image, tool)
                size = os.fstat(descriptor).st_size
        except OSError as error:
            raise UserError(_unwritten(target, error.strerror or str(error))) from error
        except UserError as error:
            raise UserError(_unwritten(target, str(error))) from error
        return f"saved {target.text}: {megabytes(size)}"

    return to_file


def _unwritten(target: SaveTarget, why: str) -> str:
    return f"{target.text} was not written: {why}; a file that was there before is untouched"


def _fill(descriptor: int, source: Whole, target: SaveTarget, image: Image, tool: str) -> None:
    if tool:
        savesquashfs.make(source, descriptor, tool)
        return
    with open(descriptor, "wb", closefd=False) as file:
        form = savearchive.Gzip if target.is_compressed else savearchive.Plain
        savearchive.write(source, form(file), image)


def _credentials(target: SaveTarget, account: Account, env: Mapping[str, str]):
    from pycontrol import credentials

    return credentials.look_up(target.reference()[0], account.home, env)


def _push(
    source: Whole, target: SaveTarget, image: Image, account: Account, env: Mapping[str, str]
) -> str:
    # HTTP is imported as the user, and only where it is needed.
    from pycontrol import push, registryhttp

    registry, repository, tag = target.reference()
    http = registryhttp.Http(registry, repository, _credentials(target, account, env))
    digest = push.push(source, image, http, repository, tag)
    return f"pushed {target.text}: {digest}"
