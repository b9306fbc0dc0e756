"""A server that is an engine as far as TLS goes: it answers, and asks its clients for certificates or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug import Response

from lab.pki import Pair
from tests.support import servers


@contextmanager
def serving(folder: Path, *, pair: Pair | None, clients: str | None) -> Iterator[int]:
    """Serve on a port of the loopback interface; give the port.

    folder: where its files may be. pair: its certificate; without one it has no TLS. clients: whose authority it takes,
    by default anybody's.
    """
    certificate = pair.write(folder, "server") if pair else None
    with servers.serving(lambda _: Response('{"ApiVersion": "1.41"}'), certificate=certificate, clients=clients) as url:
        yield int(url.rpartition(":")[2])
