"""`pulumi-language-python` for closed networks: the SDK's own server for programs, told to run the one in a folder.

The program runs in this process, so in the virtual environment that the plugin was installed for. What the official
host has beside that (`pulumi install`, policy packs, code generation) it does not have.
"""

import os
import queue
import runpy
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped,unused-ignore]
import pulumi
from google.protobuf import empty_pb2  # type: ignore[import-untyped,unused-ignore]
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from .rpc import engine_address, serve

_TOLD = 32
"""The exit status of a program that has told its user what is wrong. Source: the official host's main.go."""


class _ToldError(grpc.RpcError):  # type: ignore[misc,unused-ignore]
    """Ends such a program. The SDK's server adds nothing to an error of this kind and code."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class LanguageHost(LanguageServer):
    """The LanguageRuntime service."""

    def __init__(self, engine: str) -> None:
        """Take the engine's address: "127.0.0.1:port"."""
        self._engine = engine
        self._programs = queue.Queue[Callable[[], None]]()
        self._stopped = threading.Event()

    def Run(self, request: language_pb2.RunRequest, _: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program, until it ends or the engine says Cancel. Its errors are logged, not answered."""
        folder = dict(request.info.options).get("virtualenv")
        if folder and Path(request.info.root_directory, folder).resolve() != Path(sys.prefix).resolve():
            return language_pb2.RunResponse(
                error=f"the 'virtualenv' option in Pulumi.yaml is {folder}, and this language host is of {sys.prefix}: "
                "give that, or use the official language host"
            )
        ended: list[BaseException] = []

        def program() -> None:
            try:
                _run(Path(request.pwd, request.info.entry_point or "."))
            except BaseException as error:
                ended.append(error)
                raise

        self.program = program
        os.chdir(request.pwd)
        del request.args[:]
        request.args.append(self._engine)  # where the SDK's server looks for it
        answers: list[language_pb2.RunResponse] = []

        def run() -> None:
            answers.append(LanguageServer.Run(self, request, None))  # type: ignore[no-untyped-call]
            self._stopped.set()

        self._programs.put(run)
        self._stopped.wait()
        failed = ended or not answers or answers[0].error
        return language_pb2.RunResponse(bail=bool(failed))

    def work(self) -> None:
        """Run programs in the main thread, the only one in which Python lets them handle signals."""
        while True:
            self._programs.get()()

    def Cancel(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> empty_pb2.Empty:
        """Answer for a program that runs; it ends with this process, which the engine stops next."""
        self._stopped.set()
        return empty_pb2.Empty()


def _run(program: Path) -> None:
    """Run a program as its own script. Raises RunError with what the user has to see where it fails."""
    sys.path[0] = str(program if program.is_dir() else program.parent)
    sys.argv = [str(program)]
    try:
        runpy.run_path(str(program), run_name="__main__")
    except pulumi.RunError:
        raise
    except SystemExit as ended:
        if ended.code == _TOLD:
            raise _ToldError from None
        if ended.code:
            raise pulumi.RunError(f"program exited with non-zero exit code: {ended.code}") from None
    except ImportError as error:
        if program.is_dir() and not (program / "__main__.py").exists():
            raise pulumi.RunError(f"unable to find main python program `__main__.py` in `{program}`") from error
        raise _shown(program) from error
    except Exception as error:
        raise _shown(program) from error


def _shown(program: Path) -> pulumi.RunError:
    """Give the exception that is handled as a message, without the frames above the program's own."""
    folder = program if program.is_dir() else program.parent
    kind, error, trace = sys.exc_info()
    while trace and not Path(trace.tb_frame.f_code.co_filename).is_relative_to(folder):
        trace = trace.tb_next
    lines = traceback.format_exception(kind, error, trace)
    return pulumi.RunError("Program failed with an unhandled exception:\n" + "".join(lines))


def main() -> None:
    """Serve the engine named by the last argument (it also passes flags that mean nothing here)."""
    add: Any = language_pb2_grpc.add_LanguageRuntimeServicer_to_server
    host = LanguageHost(engine_address())
    serve(partial(add, host), work=host.work)
