"""One stack of a clone: its backend, its settings as the program reads them, its outputs, and the CLI."""

# ruff: noqa: S603 - the program is Pulumi, and no shell reads the words

import base64
import contextlib
import functools
import json
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from components.settings import Problem, Settings
from components.settings.docker import PLUGIN_VARIABLES
from components.settings.load import read
from components.settings.problems import SettingsError
from ops import state_files
from ops.clone import Clone, here, short
from setup import cache, console, toolchain
from setup.console import OpsError
from setup.toolchain import Toolchain

MISFIT = "incorrect passphrase"
"""What the CLI says of a passphrase that does not fit."""


class Stack:
    """One stack of a clone."""

    def __init__(self, clone: Clone, name: str, tools: Toolchain) -> None:
        """Take a clone, a stack's name and what to run Pulumi with. Changes nothing yet."""
        self.clone, self.name = clone, name
        self._take(tools)

    def _take(self, tools: Toolchain) -> None:
        self.tools = tools
        self.env, self.owns_backend = environment(self.clone, tools.env)

    def exists(self) -> bool:
        """Whether the backend knows the stack."""
        if self.owns_backend:
            return self.clone.state_file(self.name).exists()
        known = json.loads(self.ask("stack", "ls", "--json", "--project", self.clone.name, stack=False))
        return any(short(entry["name"]) == short(self.name) for entry in known)

    def prepare(self) -> None:
        """Make the stack where there is none: `pulumi stack init`, and before it what the clone's own backend needs.

        Raises OpsError when its state was lost, or the passphrase that it is encrypted with.
        """
        clone = self.clone
        clone.local.mkdir(mode=0o700, exist_ok=True)
        clone.local.chmod(0o700)  # whatever made it first
        with cache.locked(clone.local / "lock", "preparing this clone's stacks"):
            if self.owns_backend:
                clone.state.mkdir(mode=0o700, exist_ok=True)
                self._make_passphrase()
            if self.owns_backend and state_files.changed(clone, self.name):
                raise OpsError(
                    f"The state of stack {self.name} in {clone.state} is not what its last update wrote.",
                    f"Put that back: make recover STACK={self.name}",
                )
            if self.exists():
                return
            if self.owns_backend and state_files.lost(clone, self.name):
                raise OpsError(
                    f"The state of stack {self.name} is gone from {clone.state}, but its checkpoints are still there.",
                    f"Put the newest back: make recover STACK={self.name}",
                )
            self._init()

    def _init(self) -> None:
        file = self.clone.file(self.name)
        path = file.relative_to(self.clone.root)
        is_new = not file.exists()
        if is_new:
            shutil.copyfile(self.clone.example(self.name), file)
        before = file.read_bytes()
        try:
            self.ask("stack", "init", self.name, "--no-select", "--non-interactive", stack=False)
        except OpsError:
            self.require_salt()
            raise
        if is_new or file.read_bytes() != before:
            what = "is new, from the example" if is_new else "has a new line, encryptionsalt, which Pulumi needs"
            console.note(f"{path} {what}: commit it")
        own = f"{self.clone.state}, its passphrase in {self.passphrase}: keep a copy of both"
        console.note(f"the state of stack {self.name} is in {own if self.owns_backend else backend(self.env)}")

    @property
    def passphrase(self) -> str:
        """Where the passphrase comes from: a file, or a variable of the environment."""
        return self.env.get("PULUMI_CONFIG_PASSPHRASE_FILE") or "PULUMI_CONFIG_PASSPHRASE"

    @property
    def _right_passphrase(self) -> str:
        return (
            f"Put the right one back from a copy, or name it: PULUMI_CONFIG_PASSPHRASE_FILE=FILE. Was the line "
            f"encryptionsalt of {self.clone.file(self.name)} changed? Then put that back, or remove it if the file has "
            "no secret."
        )

    def require_salt(self) -> None:
        """Raise OpsError when the stack's file was encrypted with another passphrase, or its salt is damaged."""
        file = self.clone.file(self.name)
        path = file.relative_to(self.clone.root)
        content = (yaml.safe_load(file.read_text()) if file.exists() else {}) or {}
        if "encryptionsalt" not in content or not self.owns_backend:
            return
        # With the right key, a secret that is none does not decrypt. With another one, the CLI does not get that far.
        secret = {"secure": f"v1:{base64.b64encode(bytes(12)).decode()}:{base64.b64encode(bytes(24)).decode()}"}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as probe:
            yaml.safe_dump({"encryptionsalt": content["encryptionsalt"], "config": {"ci:probe": secret}}, probe)
            probe.flush()
            try:
                self.ask("config", "--json", "--show-secrets", "--config-file", probe.name)
            except OpsError as failed:
                if "message authentication failed" not in failed.what:
                    wrong = f"{path} was encrypted with another passphrase than the one in {self.passphrase}."
                    raise OpsError(wrong, self._right_passphrase, code=2) from failed

    def _make_passphrase(self) -> None:
        path = self.clone.passphrase
        if (path.exists() and path.read_text().strip()) or self.env.get("PULUMI_CONFIG_PASSPHRASE_FILE") != str(path):
            return
        if any(self.clone.state.glob(".pulumi/stacks/*/*.json")):
            raise OpsError(
                f"{path} is gone or empty, but stacks that were encrypted with it are in {self.clone.state}.",
                "Put it back from a copy. Without it their secrets can't be read. To start anew, move .local away.",
            )
        cache.write(path, secrets.token_urlsafe(32), mode=0o600)

    def signing_passphrase(self, *, make: bool = False) -> tuple[str, str]:
        """Return the passphrase that signs backups, and where it is kept: the state's or, without one, the clone's own.

        make: whether the clone's own is made if it is missing. Raises OpsError where there is none.
        """
        if given := self.env.get("PULUMI_CONFIG_PASSPHRASE"):
            return given, "PULUMI_CONFIG_PASSPHRASE"
        path = Path(self.env.get("PULUMI_CONFIG_PASSPHRASE_FILE") or self.clone.passphrase)
        if make and path == self.clone.passphrase and not path.exists():
            cache.write(path, secrets.token_urlsafe(32), mode=0o600)
        with contextlib.suppress(OSError):
            if text := path.read_text().strip():
                return text, str(path)
        raise OpsError(f"There is no passphrase in {path}.", "Put that of the clone that was backed up there.")

    def _configured(self, *words: str) -> dict[str, dict[str, Any]]:
        self.clone.require_readable(self.name)
        try:
            found: dict[str, dict[str, Any]] = json.loads(self.ask("config", "--json", "--show-secrets", *words))
        except OpsError as failed:
            if MISFIT in failed.what:
                raise
            path = self.clone.file(self.name)
            remedy = f"Put it back from a copy: git checkout {shlex.quote(str(path))}"
            raise OpsError(f"{path} can't be read: {failed.what}", remedy, code=2) from failed
        return {key.removeprefix("ci:"): entry for key, entry in found.items() if key.startswith("ci:")}

    @functools.cached_property
    def _config(self) -> dict[str, dict[str, Any]]:
        return self._configured()

    def read(self, *words: str) -> tuple[Settings | None, Sequence[Problem]]:
        """The settings, or their problems. words: for `pulumi config`, to read another file."""
        config = self._configured(*words) if words else self._config
        raw = {key: str(entry["value"]) for key, entry in config.items()}
        return read(raw, frozenset(key for key, entry in config.items() if entry["secret"]))

    @property
    def platform(self) -> str:
        """`docker` or `kubernetes`, also where other settings are wrong; empty where the stack does not say."""
        return str(self._config.get("platform", {}).get("value", ""))

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings, as the program reads them. Raises OpsError with every problem of theirs."""
        found, problems = self.read()
        if found is None:
            raise self.refused(str(SettingsError(self.name, problems)))
        return found

    def refused(self, problems: str) -> OpsError:
        """The error of refused settings. The program's own commands are for a `pulumi` that knows the stack."""
        how = f"For `pulumi config set`, run {self.make('set KEY=...')}. For others: {self.plain('config ...')}"
        return OpsError(problems, how if "`pulumi config" in problems else "", code=2)

    def get_plugins(self) -> None:
        """Get the provider plugin that the stack's platform needs, where it is not there yet."""
        self._take(toolchain.ensure(self.platform))

    def outputs(self, *words: str) -> dict[str, Any]:
        """The stack's outputs; a secret one is "[secret]", but for --show-secrets. Empty if it is not deployed."""
        known = self.exists()
        found: dict[str, Any] = json.loads(self.ask("stack", "output", "--json", *words)) if known else {}
        return found

    def deployment(self) -> dict[str, Any]:
        """The stack's state, its secrets in cipher; empty if nothing was ever deployed."""
        return (json.loads(self.ask("stack", "export"))["deployment"] if self.exists() else None) or {}

    def make(self, verb: str, **values: object) -> str:
        """The `make` command that runs a verb on this stack, with these variables."""
        words = [f"{name}={shlex.quote(str(value))}" for name, value in values.items()]
        return " ".join([self.clone.make(verb, self.name), *words])

    def plain(self, words: str) -> str:
        """The command line that runs plain Pulumi on this stack."""
        return f'eval "$(.venv/bin/python -m ops env -s {self.name})" && pulumi {words} -s {self.name}'

    def ask(self, *words: str, stdin: str = "", stack: bool = True, timeout: float = 120) -> str:
        """Run Pulumi for what it prints to stdout. A value goes through stdin, never through argv or the environment.

        Raises OpsError when it fails, with its own words.
        """
        command = [str(self.tools.pulumi), *words, *(["--stack", self.name] if stack else [])]
        try:
            done = subprocess.run(
                command, cwd=self.clone.root, env=self.env, input=stdin, capture_output=True, text=True,
                timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            raise OpsError(f"pulumi {words[0]}: no answer within {timeout:.0f} s.") from late
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).removeprefix("error: ")
            remedy = self._right_passphrase if MISFIT in said else ""
            raise OpsError(f"pulumi {' '.join(words[:2])}: {said}", remedy, code=done.returncode)
        return done.stdout

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> int:
        """Run Pulumi with our terminal and return its exit status, 128 + N after death by signal N.

        A Ctrl-C reaches Pulumi once, and Pulumi is waited for: it finishes what it has begun, saves the state and frees
        its lock. A second one reaches it too, and makes it stop at once.
        """
        # On a terminal the kernel sends Ctrl-C to every process of the group, so to Pulumi as well. Without one the
        # signal comes to us alone or to the whole group; in a group of its own Pulumi gets it from us, once.
        terminal = sys.stdin.isatty()
        pulumi: subprocess.Popen[bytes] | None = None
        early: list[int] = []

        def pass_on(number: int, _: FrameType | None) -> None:
            if pulumi is None:
                early.append(number)
            elif not (terminal and number == signal.SIGINT):
                pulumi.send_signal(signal.SIGINT)

        # Set before Pulumi starts, so that it can be interrupted where we were started with interrupts ignored, as
        # `nohup make up &` does. A child would inherit that.
        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            pulumi = subprocess.Popen(
                [str(self.tools.pulumi), *words, "--stack", self.name],
                cwd=self.clone.root,
                env={**(env or {}), **self.env},  # the user's own come first
                process_group=None if terminal else 0,
            )
            for _ in early:
                pulumi.send_signal(signal.SIGINT)
            # No single long wait: a signal that comes just before it would be heard only when Pulumi has ended.
            while (status := pulumi.poll()) is None:
                time.sleep(0.02)
            return status if status >= 0 else 128 - status
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def open_stack(named: str | None) -> Stack:
    """The stack that a verb acts on, with a Pulumi CLI, which is got first if need be, and known to the backend.

    Raises OpsError when there is no such stack. That is found before minutes go into a CLI.
    """
    stack = unprepared(named)
    stack.prepare()
    return stack


def unprepared(named: str | None) -> Stack:
    """The same, as it is: the backend may not know it yet."""
    clone = here()
    name = named or clone.chosen
    clone.require(name)
    return Stack(clone, name, toolchain.ensure())


def environment(clone: Clone, base: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """The environment for this clone's Pulumi, and whether the backend is the clone's own.

    A backend that the user chose is kept: by PULUMI_BACKEND_URL, by `backend` in Pulumi.yaml, or by `pulumi login`.
    What leads the Docker plugin to another engine than the stack's is left out.
    """
    env = {name: value for name, value in base.items() if name not in PLUGIN_VARIABLES}
    # Without a file of attributes beside each file: nothing needs it, and a kill may leave an empty one, at which every
    # later command fails with `failed to load checkpoint: EOF`.
    own = f"{clone.state.as_uri()}?metadata=skip"
    if env.get("PULUMI_BACKEND_URL", own) != own or clone.project.get("backend") or logged_in(env):
        return env, False
    env |= {"PULUMI_BACKEND_URL": own, "PULUMI_DIY_BACKEND_GZIP": "false"}  # what `recover` can read
    if not env.get("PULUMI_CONFIG_PASSPHRASE_FILE") and "PULUMI_CONFIG_PASSPHRASE" not in env:
        env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(clone.passphrase)
    return env, True


def backend(env: Mapping[str, str]) -> str:
    """Return which backend keeps the state, without a password that its address may have."""
    return re.sub(r"//[^/@]*@", "//", env.get("PULUMI_BACKEND_URL") or logged_in(env) or "the backend of Pulumi.yaml")


def logged_in(env: Mapping[str, str]) -> str:
    """The backend that `pulumi login` chose, or nothing. An access token in the environment counts as Pulumi Cloud."""
    if env.get("PULUMI_ACCESS_TOKEN"):
        return "Pulumi Cloud"
    home = env.get("PULUMI_CREDENTIALS_PATH") or toolchain.user_home(env)
    try:
        return str(json.loads((Path(home) / "credentials.json").read_text()).get("current") or "")
    except (OSError, ValueError, AttributeError):
        return ""
