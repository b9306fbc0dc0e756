"""The cluster that a provider acts on: reached once, with what is learnt of it kept for the process."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..rpc import PluginError
from .api import Api, StatusError
from .connection import Connection, UnreachableError, connect
from .discovery import Discovery
from .watching import Hub

if TYPE_CHECKING:
    from .settings import Settings

_OLDEST = (1, 19)


@dataclass
class Cluster:
    """A cluster, or why there is none.

    Attributes:
        settings: the provider's.
        namespace: that of objects that name none; "" when no kubeconfig says.
        unreachable: why there is no cluster to act on; "" when there is.
        cancelled: set when the user has had enough.
    """

    settings: Settings
    namespace: str = ""
    unreachable: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)
    _parts: tuple[Api, Discovery, Hub] | None = None

    @property
    def api(self) -> Api:
        """The API server."""
        return self._reached()[0]

    @property
    def discovery(self) -> Discovery:
        """Its kinds."""
        return self._reached()[1]

    @property
    def hub(self) -> Hub:
        """Its watches."""
        return self._reached()[2]

    def on(self, flag: str) -> bool:
        """Say whether one of the provider's flags is set."""
        return self.settings.on(flag)

    def cancel(self) -> None:
        """End every wait."""
        self.cancelled.set()
        if self._parts:
            self._parts[2].wake()

    def _reached(self) -> tuple[Api, Discovery, Hub]:
        if self._parts is None:
            raise PluginError(f"configured Kubernetes cluster is unreachable: {self.unreachable}")
        return self._parts

    def reach(self) -> None:
        """Connect, and ask the API server for its version; what goes wrong is kept in `unreachable`.

        Raises:
            PluginError: it is too old for server-side apply.
        """
        try:
            connection = connect(self.settings.choice, timeout_seconds=self.settings.timeout_seconds)
        except UnreachableError as error:
            self.namespace = self.settings.choice.namespace
            self.unreachable = str(error)
            return
        self.namespace = connection.namespace
        self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        api = Api(connection, self.cancelled)
        try:
            answer = api.get("/version")
        except (UnreachableError, StatusError) as error:
            self.unreachable = f"unable to load schema information from the API server: {error}"
            return
        numbers = [re.match(r"\d+", str(answer.get(key, ""))) for key in ("major", "minor")]
        found = tuple(int(number[0]) for number in numbers if number)
        if len(found) == len(_OLDEST) and found < _OLDEST:
            version = ".".join(map(str, found))
            raise PluginError(f"minimum supported cluster version is v{_OLDEST[0]}.{_OLDEST[1]}. found v{version}")
        discovery = Discovery(api)
        self._parts = (api, discovery, Hub(api, discovery, self.cancelled))
