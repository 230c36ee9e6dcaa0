"""A process with a terminal of its own, for tests of what is shown there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time

ROWS = 24
LONGEST = 150  # seconds of a process
# In the child, which leads a session by then: its terminal is the one on its stdin.  Tests
# that run in the background of a shell have SIGINT ignored; who sits at a terminal has not.
_TAKE = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGINT, signal.SIG_DFL);"
)


class Terminal:
    """Runs a command; `text` is all that it has written, as it came."""

    def __init__(self, *command: str, columns: int = 100, env=None, cwd=None):
        self.descriptor, slave = pty.openpty()
        self.resize(columns)
        take = [sys.executable, "-c", _TAKE + "os.execvp(sys.argv[1], sys.argv[1:])"]
        self.process = subprocess.Popen(
            [*take, *command], env=env, cwd=cwd, start_new_session=True,
            stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        os.close(slave)
        self.text = ""
        self._limit = threading.Timer(LONGEST, self.process.terminate)
        self._limit.start()

    def resize(self, columns: int) -> None:
        size = struct.pack("HHHH", ROWS, columns, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def read_until(self, words: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end and self._read(), self.text

    def read_for(self, seconds: float) -> None:
        """Of a command that writes all the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._read():
            pass

    def _read(self) -> bool:
        try:
            self.text += os.read(self.descriptor, 65536).decode(errors="replace")
        except OSError:  # the last process that had it open has ended
            return False
        return True

    def end(self) -> int:
        """Read to the end; the command's exit status."""
        while self._read():
            pass
        os.close(self.descriptor)
        self._limit.cancel()
        return self.process.wait(LONGEST)

    def lines(self, since: int = 0) -> list[str]:
        """What was written, without the movements of the cursor."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text[since:])
        return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]
