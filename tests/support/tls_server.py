"""A server that is an engine as far as TLS goes: it answers, and asks its clients for certificates or not."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_httpserver import HTTPServer

from tests.support.certificates import Pair


class _Server(HTTPServer):
    def thread_target(self) -> None:
        assert self.server is not None
        self.server.serve_forever(poll_interval=0.01)  # a test starts several, and each takes this long to end


@contextmanager
def serving(folder: Path, *, pair: Pair | None, clients: str | None) -> Iterator[int]:
    """Serve on a port of the loopback interface; give the port.

    Args:
        folder: where the server's files may be.
        pair: its certificate; None for a server without TLS.
        clients: the authority of the clients that it takes; None for one that takes any.
    """
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.write(folder, "server"))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients)
    with _Server("127.0.0.1", 0, ssl_context=context) as server:
        server.expect_request(re.compile("")).respond_with_json({"ApiVersion": "1.41"})
        yield server.port
