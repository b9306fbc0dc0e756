"""Starts, feeds and stops the process that runs a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environment import Environment

# The exit code of program.py when the user has already seen the error.
SHOWN = 32

_PROGRAM = Path(__file__).with_name("program.py")
# Seconds a program has to end after SIGINT before it is killed; the official host allows as many.
_GRACE_SECONDS = 5.0


class Runner:
    """One process of `program.py`, waiting for its request from the moment it is made."""

    def __init__(self, environment: Environment) -> None:
        """Start the process; its output goes where this process's own goes, which the engine reads."""
        self.environment = environment
        reader, self._channel = os.pipe()
        try:
            # Engine and program agree on the process group: the engine ends it as a whole.
            self._process = subprocess.Popen(
                [str(environment.python), str(_PROGRAM), str(reader)],
                stdin=subprocess.DEVNULL,
                env=environment.variables(),
                pass_fds=(reader,),
            )
        finally:
            os.close(reader)
        self._interrupted = threading.Event()

    @property
    def interrupted(self) -> bool:
        """Whether `interrupt` was called."""
        return self._interrupted.is_set()

    def usable(self, environment: Environment) -> bool:
        """Whether this waiting process is alive and belongs to `environment`."""
        return self.environment == environment and self._process.poll() is None

    def run(self, request: dict[str, Any]) -> int:
        """Hand over the request and wait for the program; return its exit code (negative: a signal)."""
        try:
            with os.fdopen(os.dup(self._channel), "wb") as channel:
                channel.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            pass  # it ended before it read the request; its exit code says why
        code = self._process.wait()
        self.close()
        return code

    def interrupt(self) -> None:
        """Ask the program to stop, and kill it when it does not."""
        self._interrupted.set()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            threading.Thread(target=self._kill_after_grace, daemon=True).start()

    def close(self) -> None:
        """Let go of the process: one that still waits for its request ends by itself."""
        channel, self._channel = self._channel, -1
        if channel >= 0:
            os.close(channel)

    def kill(self) -> None:
        """End the process now."""
        if self._process.poll() is None:
            self._process.kill()

    def _kill_after_grace(self) -> None:
        try:
            self._process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
