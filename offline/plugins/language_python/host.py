"""The language host: answers the engine's questions about a Python program, and runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rpc import Log, PluginError, Servicer, answering, fail, serve
from ..stubs import empty_pb2, grpc, language_pb2, language_pb2_grpc, plugin_pb2
from . import environment as environments
from .runner import SHOWN, Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

# The version of the CLI whose protocol this host speaks.
VERSION = "3.259.0"


def _environment(info: language_pb2.ProgramInfo) -> environments.Environment:
    return environments.resolve(info.root_directory, dict(info.options.items()))


class LanguageHost(Servicer):
    """The LanguageRuntime service for programs; policy packs and code generation are refused by name."""

    def __init__(self, engine: str) -> None:
        """Take the engine's address ("127.0.0.1:port") from the command line; Handshake may give another."""
        self._log = Log()
        self._engine = engine
        self._log.attach(engine)
        self._lock = threading.Lock()
        self._waiting: Runner | None = None
        self._running: set[Runner] = set()
        self._cancelled = False

    def Handshake(self, request: language_pb2.LanguageHandshakeRequest, _: grpc.ServicerContext) -> Any:
        """Learn where the engine listens."""
        self._engine = request.engine_address
        self._log.attach(self._engine)
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Give this host's version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    @answering
    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, _: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """List the plugins that the project's packages need, and start the process that will run the program."""
        environment = _environment(request.info)
        environment.require()
        self._prepare(environment)
        packages = [
            plugin_pb2.PackageDependency(name=name, version=version, kind="resource", server=server)
            for name, version, server in environments.required_plugins(environment)
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    @answering
    def About(self, request: language_pb2.AboutRequest, _: grpc.ServicerContext) -> language_pb2.AboutResponse:
        """Say which Python runs the project."""
        environment = _environment(request.info)
        command = [str(environment.python), "-c", "import platform; print(platform.python_version())"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        return language_pb2.AboutResponse(
            executable=str(environment.python),
            version=shown.stdout.strip(),
            metadata={"toolchain": environment.toolchain, "host": "bundled"},
        )

    @answering
    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, _: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List the installed packages."""
        environment = _environment(request.info)
        found = environments.dependencies(environment, transitive=request.transitiveDependencies)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in found]
        )

    def RuntimeOptionsPrompts(self, _: Any, __: grpc.ServicerContext) -> language_pb2.RuntimeOptionsResponse:
        """Ask nothing: a project that this host runs names its options in Pulumi.yaml."""
        return language_pb2.RuntimeOptionsResponse()

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Make the virtual environment and install requirements.txt, streaming what pip or uv print."""
        try:
            environment = _environment(request.info)
            commands = environments.install_commands(environment, Path(request.info.program_directory))
            for command in commands:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                context.add_callback(partial(_end, process))
                assert process.stdout is not None  # noqa: S101 (it was asked for above)
                for line in process.stdout:
                    yield language_pb2.InstallDependenciesResponse(stdout=line)
                if process.wait() != 0:
                    fail(context, PluginError(f"`{' '.join(command)}` ended with exit code {process.returncode}"))
        except (PluginError, OSError) as error:
            fail(context, error)

    @answering
    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program in a process of its own and say how it ended."""
        environment = _environment(request.info)
        environment.require()
        runner = self._take(environment)
        if not context.add_callback(runner.interrupt):
            runner.interrupt()
        code = runner.run(
            {
                "monitor": request.monitor_address,
                "engine": self._engine,
                "project": request.project,
                "stack": request.stack,
                "organization": request.organization,
                "rootDirectory": request.info.root_directory,
                "pwd": request.pwd,
                "entryPoint": request.info.entry_point or ".",
                "args": list(request.args),
                "config": dict(request.config),
                "configSecretKeys": list(request.configSecretKeys),
                "dryRun": request.dryRun,
                "parallel": request.parallel,
            }
        )
        with self._lock:
            self._running.discard(runner)
        if code == 0:
            return language_pb2.RunResponse()
        if code == SHOWN or runner.interrupted:
            return language_pb2.RunResponse(bail=True)
        if code < 0:
            name = signal.Signals(-code).name
            return language_pb2.RunResponse(error=f"the program was ended by the signal {name}")
        return language_pb2.RunResponse(error=f"program exited with non-zero exit code: {code}")

    def Cancel(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> empty_pb2.Empty:
        """Interrupt the programs that run, and start no other."""
        with self._lock:
            self._cancelled = True
            running = list(self._running)
        for runner in running:
            runner.interrupt()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """End every process of this host."""
        with self._lock:
            runners = [*self._running, *([self._waiting] if self._waiting else [])]
        for runner in runners:
            runner.kill()

    def _prepare(self, environment: environments.Environment) -> None:
        with self._lock:
            if self._waiting is None and not self._running:
                self._waiting = Runner(environment)

    def _take(self, environment: environments.Environment) -> Runner:
        """Give the process that waits, or a new one when there is none for this environment."""
        with self._lock:
            if self._cancelled:
                raise PluginError("the update was cancelled before the program started")
            waiting, self._waiting = self._waiting, None
            if waiting is not None and not waiting.usable(environment):
                waiting.close()
                waiting = None
            runner = waiting or Runner(environment)
            self._running.add(runner)
            return runner


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()


def main() -> None:
    """Serve the engine named by the last argument (it also passes flags that mean nothing here)."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    host = LanguageHost(addresses[-1] if addresses else "")
    add: Any = language_pb2_grpc.add_LanguageRuntimeServicer_to_server
    serve(partial(add, host), on_stop=host.stop)
