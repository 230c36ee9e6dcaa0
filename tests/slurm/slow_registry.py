"""A slow way to the test cluster's registry."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from images import REGISTRY


class SlowRegistry:
    """A door to the registry that lets so many bytes a second through."""

    def __init__(self, port: int, bytes_per_second: int):
        self.address = f"127.0.0.1:{port}"
        self._rate = bytes_per_second
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                host, port = REGISTRY.split(":")
                server = socket.create_connection((host, int(port)))
                for pair in ((client, server, None), (server, client, self._rate)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _carry(source, target, rate) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if rate:
                    time.sleep(len(data) / rate)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
