"""A door to the test cluster's registry that turns visitors away for a while."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from images import REGISTRY


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The engine alone is turned away: what users ask has tests of its own."""
        server = self.server
        asked = server.where in self.path and self.headers.get("User-Agent") != "socker"
        if asked and server.failures > 0:
            server.failures -= 1
            if server.status == 0:
                self.close_connection = True
                return
            self.send_response(server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._pass_on()

    do_HEAD = do_GET

    def _pass_on(self) -> None:
        connection = http.client.HTTPConnection(REGISTRY, timeout=30)
        with contextlib.closing(connection):
            headers = {n: v for n, v in self.headers.items() if n.lower() != "host"}
            connection.request(self.command, self.path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *words) -> None:
        pass


@contextlib.contextmanager
def busy(port: int, where: str, status: int, failures: int) -> Iterator[ThreadingHTTPServer]:
    """status: 0 hangs up.  where: in the paths for which it fails."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.where, server.status, server.failures = where, status, failures
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
