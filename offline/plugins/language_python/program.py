"""Runs one Pulumi program in the project's own Python. Started by the language host, never imported.

The host starts it before the engine asks for the program, so that importing the SDK (0.3 s) overlaps with
the engine's own start. The request then arrives as one line of JSON on the descriptor named by the only
argument: no setting, and so no secret, is in the arguments or the environment. The descriptor closes
when the host is gone, and this process ends with it.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import runpy
import signal
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# The folder of this file is no part of the program's import path.
sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]

# The exit code by which the host (SHOWN in runner.py) knows that the user has already seen the error.
SHOWN = 32
# As shells report an interrupted program.
INTERRUPTED = 130

# Until the program runs, an interrupt ends this process at once and without a word.
signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    import pulumi
    import pulumi.runtime
except ImportError:
    sys.stderr.write(
        f"{traceback.format_exc()}\nThe package `pulumi` cannot be imported by {sys.executable}. "
        "Install the project's requirements there: pulumi install\n"
    )
    sys.stderr.flush()
    os._exit(1)


def _traceback_of_program(program: str) -> str:
    """Format the current exception, leaving out the frames above the user's own program."""
    error = sys.exception() if sys.version_info >= (3, 11) else sys.exc_info()[1]
    frames = traceback.extract_tb(error.__traceback__) if error else []
    inside = program + os.sep if os.path.isdir(program) else program
    for index, frame in enumerate(frames):
        path = os.path.abspath(frame.filename)
        if frame.filename.startswith("<"):  # "<frozen runpy>" is no file of the program's folder
            continue
        if path == program or path.startswith(inside):
            return traceback.format_exc(limit=-(len(frames) - index))
    return traceback.format_exc()


def _missing_main(program: str) -> bool:
    return os.path.isdir(program) and not os.path.exists(os.path.join(program, "__main__.py"))


def _end_with_host(channel: int) -> None:
    while os.read(channel, 4096):
        pass
    os._exit(INTERRUPTED)


def _configure(request: dict[str, Any]) -> None:
    pulumi.runtime.set_all_config(request["config"], request["configSecretKeys"])
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=request["monitor"],
            engine=request["engine"],
            project=request["project"],
            stack=request["stack"],
            parallel=request["parallel"],
            dry_run=request["dryRun"],
            organization=request["organization"],
            root_directory=request["rootDirectory"],
        )
    )


def _run(entry: str, parallel: int) -> int:
    program = os.path.abspath(entry)

    def declare() -> None:
        runpy.run_path(entry, run_name="__main__")

    if _missing_main(program):
        pulumi.log.error(f"unable to find main python program `__main__.py` in `{program}`")
        return SHOWN
    try:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        workers = ThreadPoolExecutor(max_workers=max(parallel, 1) * 4)
        loop.set_default_executor(workers)
        loop.run_until_complete(pulumi.runtime.run_in_stack(declare))
        workers.shutdown()
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:  # noqa: BLE001 (the program is the user's: whatever it raises is reported, not handled)
        pulumi.log.error("Program failed with an unhandled exception:\n" + _traceback_of_program(program))
        return SHOWN
    return 0


def main() -> int:
    """Wait for the request, then run the program; return the exit code."""
    channel = int(sys.argv[1])
    received = b""
    while not received.endswith(b"\n"):
        chunk = os.read(channel, 1 << 20)
        if not chunk:
            return 0  # the host found no use for this process
        received += chunk
    request = json.loads(received)
    threading.Thread(target=_end_with_host, args=(channel,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _configure(request)
    sys.argv = [request["entryPoint"], *request["args"]]
    os.chdir(request["pwd"])
    # Futures that nobody awaits are normal when a deployment fails; asyncio would report each of them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    return _run(request["entryPoint"], request["parallel"])


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as stop:
        if isinstance(stop.code, str):
            sys.stderr.write(stop.code + "\n")
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    atexit._run_exitfuncs()  # noqa: SLF001 (os._exit skips what the program has registered)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of gRPC and of the program may still wait for an engine that has gone.
    os._exit(code)
