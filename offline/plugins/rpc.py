"""Serving a plugin: the port on standard output, errors as gRPC statuses, an end when the engine is gone."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped,unused-ignore]

# Pulumi allows messages of 400 MiB; -1 lifts gRPC's own limit of 4 MiB in both directions.
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))
# Calls served at once; the engine sends as many as its parallelism.
_WORKERS = 32

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class PluginError(Exception):
    """A failure to be shown to the user as it reads: no traceback, no secret in its text."""


def explain(error: Exception) -> str:
    """Give what an error says; of an engine's, without the request that it answers."""
    return str(getattr(error, "explanation", None) or error)


def answering(
    call: Callable[[Any, _Request, grpc.ServicerContext], _Response],
) -> Callable[[Any, _Request, grpc.ServicerContext], _Response]:
    """Decorate a call's handler: what it raises reaches the user as a sentence, not as a traceback.

    A PluginError and what an engine says as they read, anything else with its kind, for a bug report.
    """

    @wraps(call)
    def answer(self: Any, request: _Request, context: grpc.ServicerContext) -> _Response:
        try:
            return call(self, request, context)
        except Exception as error:
            if context.code() is not None:  # the handler itself has ended the call
                raise
            known = isinstance(error, PluginError) or hasattr(error, "explanation")
            text = explain(error) if known else f"bundled plugin: {type(error).__name__}: {error}"
            context.abort(grpc.StatusCode.UNKNOWN, text)
            raise AssertionError from error

    return answer


def engine_address() -> str:
    """Give where the engine listens, "127.0.0.1:port": the last of the arguments that is no flag."""
    return ([argument for argument in sys.argv[1:] if not argument.startswith("-")] or [""])[-1]


def serve(
    register: Callable[[grpc.Server], None],
    *,
    on_stop: Callable[[], None] = lambda: None,
    work: Callable[[], None] | None = None,
) -> None:
    """Serve until the engine stops this process (SIGINT, as to every plugin), or is gone.

    The engine gives each plugin a process group of its own, so Ctrl-C in a terminal does not come here: the
    engine decides what it means, and says so with Cancel.

    Args:
        register: adds the servicer to the server.
        on_stop: called once before the process ends; stops what still runs.
        work: runs in the main thread until then, if given.
    """
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    server = grpc.server(ThreadPoolExecutor(max_workers=_WORKERS), options=OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    if port == 0:
        raise SystemExit("cannot listen on 127.0.0.1: is the loopback interface up?")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    def watch_engine() -> None:
        # The engine holds the other end of standard input and writes nothing.
        while os.read(0, 4096):
            pass
        done.set()

    def end() -> None:
        done.wait()
        on_stop()
        server.stop(0)
        # Threads may sit in a call to an engine that never answers; nothing of theirs is worth waiting for.
        os._exit(0)

    threading.Thread(target=watch_engine, daemon=True).start()
    if work is not None:
        threading.Thread(target=end, daemon=True).start()
        work()
    end()
