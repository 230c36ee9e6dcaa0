"""Another way to a registry: slow, or one that counts who comes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from images import REGISTRY


class SlowRegistry:
    """A door to a registry that lets so many bytes a second through; 0: all of them."""

    def __init__(self, port: int, bytes_per_second: int, target: str = REGISTRY):
        self.address = f"127.0.0.1:{port}"
        self.visits = 0
        self.sent = 0  # bytes that the registry has sent
        self._counting = threading.Lock()
        self._target = target.split(":")
        self._rate = bytes_per_second
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.visits += 1
                host, port = self._target
                server = socket.create_connection((host, int(port)))
                for pair in ((client, server, None), (server, client, self._rate)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, target, rate) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if rate is not None:
                    with self._counting:
                        self.sent += len(data)
                if rate:
                    time.sleep(len(data) / rate)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
