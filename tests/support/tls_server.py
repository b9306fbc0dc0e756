"""A server that is an engine as far as TLS goes: it answers, and asks its clients for certificates or not."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.certificates import Pair


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer as an engine that is well, and is asked for its version."""
        body = b'{"ApiVersion": "1.41"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away: that is what is tested."""


@contextmanager
def serving(folder: Path, *, pair: Pair | None, clients: str | None) -> Iterator[int]:
    """Serve on a port of the loopback interface; give the port.

    Args:
        folder: where the server's files may be.
        pair: its certificate; None for a server without TLS.
        clients: the authority of the clients that it takes; None for one that takes any.
    """
    with _Quiet(("127.0.0.1", 0), _Handler) as server:
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair.write(folder, "server"))
            if clients is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=clients)
            # Shaken hands with in the thread of the request, so that a client that is refused holds nobody up.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
