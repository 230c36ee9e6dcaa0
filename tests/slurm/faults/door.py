"""A door between the hooks and the engine, at which a test strikes at a chosen request.

The hooks reach the engine by this socket alone, so a fault comes at the same
moment each time: before the engine has the request, while it works on it, or
before its answer is known.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable

from faults.engine import HERE, SOCKET

PATH = HERE / "door.sock"
URL = f"unix://{PATH}"

# Moments in the life of a request.
UNSENT, SENT, ANSWERED = "unsent", "sent", "answered"

# The first lines of requests, as they follow each other when a container is made.
ASKED = r"^GET \S*/images/\S+/json"
PULL = r"^POST \S*/images/create"
CREATE = r"^POST \S*/containers/create"
LOOK = r"^HEAD \S*/containers/\w+/archive"
START = r"^POST \S*/containers/\w+/start"
LIST = r"^GET \S*/containers/json"


class Door:
    """Carries requests to the engine.

    strike     called once, with the pid of the process that asks, at `moment`
               of the first request whose first line matches `request`
    """

    def __init__(self):
        self.struck = threading.Event()
        self._at: tuple[re.Pattern, str, Callable[[int], None]] | None = None
        PATH.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(PATH))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def strike_at(self, request: str, moment: str, strike: Callable[[int], None]) -> None:
        self.struck.clear()
        self._at = re.compile(request), moment, strike

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX)
        with client, engine, contextlib.suppress(OSError):
            engine.connect(str(SOCKET))
            pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[
                0
            ]
            waiting: list[Callable[[int], None]] = []  # for the answer that comes next
            back = threading.Thread(target=self._back, args=(engine, client, pid, waiting))
            back.start()
            while data := client.recv(65536):
                self._forward(engine, data, pid, waiting)
            engine.shutdown(socket.SHUT_WR)
            back.join()

    def _forward(self, engine, data: bytes, pid: int, waiting: list) -> None:
        """One request, or a part of its body."""
        line = data.split(b"\r\n", 1)[0].decode(errors="replace")
        if not self._at or not self._at[0].search(line):
            return engine.sendall(data)
        _, moment, strike = self._at
        self._at = None
        if moment == ANSWERED:
            waiting.append(strike)
        if moment == UNSENT:
            self._strike(strike, pid)
        engine.sendall(data)
        if moment == SENT:
            self._strike(strike, pid)

    def _back(self, engine, client, pid: int, waiting: list) -> None:
        with contextlib.suppress(OSError):
            while data := engine.recv(65536):
                if waiting:
                    self._strike(waiting.pop(), pid)
                client.sendall(data)
        with contextlib.suppress(OSError):  # also when the engine broke off
            client.shutdown(socket.SHUT_RDWR)

    def _strike(self, strike: Callable[[int], None], pid: int) -> None:
        strike(pid)
        self.struck.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        PATH.unlink(missing_ok=True)
