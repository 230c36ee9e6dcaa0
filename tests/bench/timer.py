"""Runs commands and says how long each took: the part of the bench that a user runs.

Started once, inside an allocation or outside of one, so that no start of an
interpreter or change of user is in the times.  In: a JSON list of words a line.
Out: its milliseconds, its exit status, and what it said of its failure.
"""

import json
import os
import signal
import sys
import tempfile
import time

LONGEST = 900  # seconds: then a command that hangs is told to end
TAIL = 800  # bytes of its last words
NULL = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
NULL += [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]


def run(argv: list[str], errors: int) -> tuple[float, int, str]:
    os.ftruncate(errors, 0)
    os.lseek(errors, 0, os.SEEK_SET)
    since = time.perf_counter()
    files = [*NULL, (os.POSIX_SPAWN_DUP2, errors, 2)]
    try:
        child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=files)
    except OSError as error:
        return 0, 127, str(error)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.alarm(LONGEST)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    taken = (time.perf_counter() - since) * 1000
    words = os.pread(errors, 1 << 20, 0)[-TAIL:] if status else b""
    return taken, os.waitstatus_to_exitcode(status), words.decode(errors="replace")


if __name__ == "__main__":
    with tempfile.TemporaryFile() as errors:
        print("ready", flush=True)
        for line in sys.stdin:
            print(json.dumps(run(json.loads(line), errors.fileno())), flush=True)
