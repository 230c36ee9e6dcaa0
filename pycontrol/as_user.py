"""Runs code as the job's owner, in a child process: for what the user named.

Root never opens a user's path itself: whatever the user cannot reach fails
there, on a root-squashed file system too.  The child has the owner's ids and
groups and no capability; bytes go through a pipe, and a SockerError that the
child raises is raised again in the parent.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator

from cgroup import place
from pycontrol import kernel
from pycontrol.errors import NodeError, SockerError, UserError
from pycontrol.identity import Account

TYPE_CHECKING = False  # what reads types takes it for true; `typing` itself is 2 ms
if TYPE_CHECKING:
    from typing import BinaryIO

LONGEST_ERROR = 4096  # bytes of a child's error text


def become(account: Account) -> None:
    """Turn this process into the account's, for good."""
    os.setgroups([gid for gid, _ in account.groups])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    os.umask(0o077)


def close_others(keep: Iterable[int]) -> None:
    """Nothing of root's stays open: no engine's connection, no lock, no task's channel."""
    start = 3
    for descriptor in sorted(keep):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _child(
    account: Account, work: Callable[[], None], errors: int, keep: Iterable[int], parent: int
) -> None:
    """Never returns.  Exit status 0, or 1 with a text for the user."""
    status = 1
    try:
        close_others((errors, *keep))
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        place.enter_step()  # what it starts, a credential helper say, ends with the step
        become(account)
        kernel.die_with_parent()
        kernel.forbid_tracing()  # its owner must not put words into it
        if os.getppid() != parent:
            os._exit(1)
        work()
        status = 0
    except SockerError as error:
        os.write(errors, str(error).encode(errors="surrogateescape")[:LONGEST_ERROR])
    except BrokenPipeError:
        status = 0  # the parent has read enough
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        os.write(errors, f"{name}{error.strerror or error}".encode()[:LONGEST_ERROR])
    except BaseException:
        sys.__excepthook__(*sys.exc_info())  # not the node's own: it may do anything
    finally:
        os._exit(status)


@contextlib.contextmanager
def _running(account: Account, work: Callable[[], None], keep: Iterable[int]) -> Iterator[int]:
    """The child beside the body, by its pid; afterwards its error, if it failed."""
    errors, errors_child = os.pipe()
    parent = os.getpid()
    kernel.prepare()
    pid = os.fork()
    if pid == 0:
        _child(account, work, errors_child, keep, parent)
    os.close(errors_child)
    with open(errors, "rb") as file:
        try:
            yield pid
        except BrokenPipeError:
            pass  # the child ended first: it has the reason
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        text = file.read(LONGEST_ERROR).decode(errors="replace")
        _, status = os.waitpid(pid, 0)
    if text:
        raise UserError(text)
    if status:
        raise NodeError(f"a helper process of uid {account.uid} ended with status {status:#x}")


@contextlib.contextmanager
def reading(account: Account, produce: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """What `produce` writes, as the account, is read from the yielded file."""
    ours, theirs = os.pipe()

    def work() -> None:
        with open(theirs, "wb") as output:
            produce(output)

    with _running(account, work, (theirs,)):
        os.close(theirs)
        with open(ours, "rb") as file:
            yield file


@contextlib.contextmanager
def writing(
    account: Account, consume: Callable[[BinaryIO], None], keep: Iterable[int] = ()
) -> Iterator[BinaryIO]:
    """What is written to the yielded file, `consume` reads as the account.

    A body that fails has the child killed before it could see an end of file:
    `consume` may take the end for the whole.  keep: descriptors that it needs.
    """
    theirs, ours = os.pipe()

    def work() -> None:
        with open(theirs, "rb") as source:
            consume(source)

    with _running(account, work, (theirs, *keep)) as child:
        os.close(theirs)
        file = os.fdopen(ours, "wb")
        try:
            yield file
            file.flush()
        except BrokenPipeError:
            raise
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                file.close()


def call(account: Account, work: Callable[[], bytes], longest: int = 1 << 20) -> bytes:
    """The result of `work`, as the account; UserError when it is longer than `longest`."""
    with reading(account, lambda output: output.write(work())) as file:
        result = file.read(longest + 1)
    if len(result) > longest:
        raise UserError(f"more than {longest} bytes")
    return result
