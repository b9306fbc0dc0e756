"""Serving a plugin: the port on standard output, errors as gRPC statuses, an end when the engine is gone."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .stubs import engine_pb2, engine_pb2_grpc, grpc

if TYPE_CHECKING:
    from collections.abc import Callable

# Pulumi allows messages of 400 MiB; -1 lifts gRPC's own limit of 4 MiB in both directions.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class PluginError(Exception):
    """A failure to be shown to the user as it reads: no traceback, no secret in its text."""


class Log:
    """The engine's log. Messages go to the user; a secret must never be part of one."""

    def __init__(self) -> None:
        """Start without an engine; `attach` names it."""
        self._address = ""
        self._stub: Any = None
        self._lock = threading.Lock()

    def attach(self, address: str) -> None:
        """Send further messages to the engine at `address` ("127.0.0.1:port")."""
        with self._lock:
            if address and address != self._address:
                self._address = address
                self._stub = engine_pb2_grpc.EngineStub(
                    grpc.insecure_channel(address, options=_OPTIONS),  # type: ignore[no-untyped-call,unused-ignore]
                )

    def send(self, message: str, *, urn: str = "", severity: str = "INFO", ephemeral: bool = False) -> None:
        """Log one message against a resource; a lost message is no failure of the operation."""
        with self._lock:
            stub = self._stub
        if stub is None:
            return
        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity),
            message=message,
            urn=urn,
            ephemeral=ephemeral,
        )
        try:
            stub.Log(request, timeout=5)
        except grpc.RpcError:
            return


class Servicer:
    """A gRPC service of which each call that a subclass does not define is refused by name."""

    def __getattr__(self, call: str) -> Callable[[Any, grpc.ServicerContext], NoReturn]:
        """Give the handler that refuses `call`; gRPC asks for every call of the service."""
        if not call[:1].isupper():
            raise AttributeError(call)

        def refuse(_: Any, context: grpc.ServicerContext) -> NoReturn:
            text = f"{call} is not implemented by the bundled plugin: use the official one"
            context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
            raise AssertionError  # abort always raises; this tells the type checker so

        return refuse


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, PluginError) else f"bundled plugin: {type(error).__name__}: {error}"


def fail(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    """End a call with `error`: as it reads when it is a PluginError, else with its kind, for a bug report."""
    context.abort(grpc.StatusCode.UNKNOWN, _text(error))
    raise AssertionError


def answering(
    call: Callable[[Any, _Request, grpc.ServicerContext], _Response],
) -> Callable[[Any, _Request, grpc.ServicerContext], _Response]:
    """Decorate a call's handler: what it raises reaches the user as a sentence, not as a traceback."""

    @wraps(call)
    def answer(self: Any, request: _Request, context: grpc.ServicerContext) -> _Response:
        try:
            return call(self, request, context)
        except grpc.RpcError:
            raise
        except Exception as error:
            if context.code() is not None:  # the handler itself has ended the call
                raise
            fail(context, error)

    return answer


def _watch_engine(stop: Callable[[], None]) -> None:
    """Wait for the end of standard input: the engine holds its other end and writes nothing."""
    while os.read(0, 4096):
        pass
    stop()


def serve(
    register: Callable[[grpc.Server], None],
    *,
    on_stop: Callable[[], None] = lambda: None,
    work: Callable[[], None] | None = None,
    workers: int = 32,
) -> None:
    """Serve until the engine stops this process (SIGINT, as to every plugin), or is gone.

    The engine gives each plugin a process group of its own, so Ctrl-C in a terminal does not come here: the
    engine decides what it means, and says so with Cancel.

    Args:
        register: adds the servicer to the server.
        on_stop: called once before the process ends; stops what still runs.
        work: runs in the main thread until then, if given.
        workers: calls served at once; the engine sends as many as its parallelism.
    """
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    server = grpc.server(ThreadPoolExecutor(max_workers=workers), options=_OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    if port == 0:
        raise SystemExit("cannot listen on 127.0.0.1: is the loopback interface up?")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_watch_engine, args=(done.set,), daemon=True).start()

    def end() -> None:
        done.wait()
        on_stop()
        server.stop(0)
        # Threads may sit in a call to an engine that never answers; nothing of theirs is worth waiting for.
        os._exit(0)

    if work is not None:
        threading.Thread(target=end, daemon=True).start()
        work()
    end()
