"""The clone's own side of a stack: backend, passphrase, salt, generated secrets. No committed file is written to.

Three files make a stack. `stacks/Pulumi.<stack>.yaml` is committed. `.local/stacks/Pulumi.<stack>.yaml`, the overlay,
is a stack file too: it holds the salt and what was set from here, and Pulumi's own commands write to it. The effective
file is the second laid on the first, and is what `up`, `preview` and `destroy` are given by `--config-file`.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ops import choice, run, stackfile, state_files
from ops.clone import Clone, read_yaml, short
from ops.toolchain import cache, console
from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from ops.toolchain.toolchain import Toolchain

ADMIN_PASSWORD = "ci:adminPassword"  # noqa: S105 - the key, not the password
REGISTRY_PASSWORD = "ci:registryPassword"  # noqa: S105 - as above
RUNNER_TOKEN = "ci:gitlabRunnerToken"  # noqa: S105 - as above
WHOSE = {ADMIN_PASSWORD: "the administrator", REGISTRY_PASSWORD: "the registry's user"}
"""Whose password a generated one is."""

PASSWORD_BYTES = 24
"""Of randomness in a generated password: 32 characters, all good in a URL, a shell and a form."""

HEADER = """\
# Made from {committed} and {overlay} at each run.
# Changes made here are kept in the second; better use: make set KEY=...
"""


class Workspace:
    """One clone with its tool chain and the environment that its Pulumi runs in."""

    def __init__(self, clone: Clone, tools: Toolchain) -> None:
        """Take a clone and what to run Pulumi with. Nothing is read or written yet, but the user's log-in."""
        self.clone = clone
        self.tools = tools
        self.env, self.owns_backend = environment(clone, tools.env)

    def prepare(self, stack: str, *, password: bool = True) -> Path:
        """Bring the stack's files in order, make the stack if it does not exist, and return its effective file.

        Args:
            stack: which.
            password: whether a password is made where the stack needs one and has none.

        Raises:
            Trouble: when the stack has no committed file, or its files contradict each other.
        """
        clone = self.clone
        clone.require(stack)
        self.open_local()
        with self.locked():
            self.carry_back(stack)
            committed, overlay = read_yaml(clone.committed(stack)), read_yaml(clone.overlay(stack))
            if self._take_encryption(stack, committed, overlay):
                overlay = read_yaml(clone.overlay(stack))
            if not self.exists(stack):
                if self.owns_backend and state_files.lost(clone, stack):
                    raise Trouble(
                        f"The state of stack {stack} is gone from {clone.state}, but its checkpoints are still there.",
                        f"Put the newest back: make recover STACK={stack}",
                    )
                self._init(stack)
            wanted = wanted_password(committed, overlay)
            if password and wanted:
                self._generate_password(stack, wanted)
            return self._write_effective(stack)

    def settings(self, stack: str) -> dict[str, Any]:
        """The stack file as Pulumi sees it. Secrets are in cipher."""
        return stackfile.merge(read_yaml(self.clone.committed(stack)), read_yaml(self.clone.overlay(stack)))

    def open_local(self) -> None:
        """Make `.local/` and, for the clone's own backend, the passphrase."""
        self.clone.local.mkdir(mode=0o700, exist_ok=True)
        self.clone.local.chmod(0o700)  # whatever made it first
        if self.owns_backend:
            self.clone.state.mkdir(mode=0o700, exist_ok=True)
        if self.env.get("PULUMI_CONFIG_PASSPHRASE_FILE") == str(self.clone.passphrase):
            with self.locked():
                self._make_passphrase()

    def _make_passphrase(self) -> None:
        path = self.clone.passphrase
        if path.exists():
            return
        if any(self.clone.state.glob(".pulumi/stacks/*/*.json")):
            raise Trouble(
                f"{path} is gone, but stacks that were encrypted with it are in {self.clone.state}.",
                "Put it back from a copy. Without it their secrets can't be read; to start anew, move .local away.",
            )
        cache.write(path, secrets.token_urlsafe(32), mode=0o600)

    def locked(self) -> AbstractContextManager[None]:
        """One process at a time works on the clone's own files."""
        return cache.locked(self.clone.local / "lock", "preparing this clone's stacks")

    def exists(self, stack: str) -> bool:
        """Whether the backend knows the stack."""
        if self.owns_backend:
            return state_files.state_file(self.clone, stack).exists()
        known = json.loads(run.answer(self, ["stack", "ls", "--json", "--project", self.clone.name]))
        return any(entry["name"] in {stack, short(stack)} or entry["name"].endswith(f"/{stack}") for entry in known)

    def _init(self, stack: str) -> None:
        """Make the stack, with its salt going to the overlay.

        `pulumi stack init` has no --config-file and writes into the project's folder of stack files, so it is run in a
        project of the same name whose folder of stack files is that of the overlays.
        """
        shadow = self.clone.local / "Pulumi.yaml"
        cache.write(shadow, yaml.safe_dump({"name": self.clone.name, "runtime": "python", "stackConfigDir": "stacks"}))
        self.clone.overlay(stack).parent.mkdir(mode=0o700, exist_ok=True)
        run.answer(self, ["--cwd", str(self.clone.local), "stack", "init", stack, "--no-select", "--non-interactive"])

    def set(self, stack: str, key: str, value: str, *, secret: bool, path: bool = False) -> None:
        """Put one setting into the overlay. The value goes through a pipe, never through argv or the environment."""
        file = self.clone.overlay(stack)
        words = ["config", "set", key, "--stack", stack, "--config-file", str(file), "--non-interactive"]
        run.answer(self, [*words, "--secret" if secret else "--plaintext", *(["--path"] if path else [])], stdin=value)
        file.chmod(0o600)

    def _generate_password(self, stack: str, key: str) -> None:
        self.set(stack, key, secrets.token_urlsafe(PASSWORD_BYTES), secret=True)
        named = f" STACK={stack}" if stack != choice.remembered(self.clone) else ""
        console.note(f"made a password for {WHOSE[key]} of stack {stack}; show it with: make password{named}")

    def _take_encryption(self, stack: str, committed: dict[str, Any], overlay: dict[str, Any]) -> bool:
        """Let the overlay be encrypted as the committed file says, if that says anything. Tells whether it changed."""
        theirs = {key: committed[key] for key in stackfile.ENCRYPTION if key in committed}
        ours = {key: overlay[key] for key in stackfile.ENCRYPTION if key in overlay}
        if not theirs or theirs == ours:
            return False
        if "secure" in json.dumps(stackfile.keys(overlay)):
            raise Trouble(
                f"{self.clone.committed(stack)} has an encryption salt of its own now, but "
                f"{self.clone.overlay(stack)} holds secrets that were encrypted under another.",
                "Keep one: take the salt out of the committed file, or move the other away and set its secrets again.",
            )
        cache.write(self.clone.overlay(stack), yaml.safe_dump({**overlay, **theirs}, sort_keys=False), mode=0o600)
        return True

    def _write_effective(self, stack: str) -> Path:
        clone = self.clone
        header = HEADER.format(
            committed=clone.committed(stack).relative_to(clone.root),
            overlay=clone.overlay(stack).relative_to(clone.root),
        )
        text = header + yaml.safe_dump(self.settings(stack), sort_keys=False, allow_unicode=True)
        # While the two differ by our own doing there is no copy: a kill in between never looks like Pulumi's change.
        clone.made(stack).unlink(missing_ok=True)
        cache.write(clone.effective(stack), text, mode=0o600)
        cache.write(clone.made(stack), text, mode=0o600)
        return clone.effective(stack)

    def carry_back(self, stack: str) -> None:
        """Keep what Pulumi wrote into the effective file (`up -c key=value`, a new salt): move it to the overlay."""
        clone = self.clone
        if not (clone.made(stack).exists() and clone.effective(stack).exists()):
            return
        extra = stackfile.added(read_yaml(clone.made(stack)), read_yaml(clone.effective(stack)))
        if extra:
            overlay = stackfile.merge(read_yaml(clone.overlay(stack)), extra)
            cache.write(clone.overlay(stack), yaml.safe_dump(overlay, sort_keys=False), mode=0o600)
            cache.write(clone.made(stack), clone.effective(stack).read_text(), mode=0o600)


def wanted_password(committed: dict[str, Any], overlay: dict[str, Any]) -> str:
    """The key of the password that a stack needs and does not have yet; empty where nothing is missing."""
    merged = stackfile.merge(committed, overlay)
    key = password_key(merged)
    return "" if key in stackfile.keys(merged) else key


def password_key(settings: dict[str, Any]) -> str:
    """The key of the password that a stack cannot do without; empty where Jenkins, or GitLab, has its own."""
    if stackfile.platform(settings) == "kubernetes":
        return REGISTRY_PASSWORD
    if stackfile.gitlab_runner(settings):
        return ""
    by_casc = stackfile.setting(settings, "ci:jenkins", "setup", default="casc") == "casc"
    return ADMIN_PASSWORD if stackfile.platform(settings) == "docker" and by_casc else ""


def require_runner_token(settings: dict[str, Any], stack: str) -> None:
    """See that a stack with a GitLab Runner has its token, which nobody but GitLab can make.

    Raises:
        Trouble: when it has none.
    """
    if stackfile.gitlab_runner(settings) and RUNNER_TOKEN not in stackfile.keys(settings):
        from components.settings.secret_fields import WHERE_RUNNERS_ARE_MADE  # noqa: PLC0415 - as above

        url = stackfile.setting(settings, "ci:gitlabRunner", "url", default="GitLab")
        raise Trouble(
            f"Stack {stack} has no {RUNNER_TOKEN}, and only {url} can make one.",
            f"Make a runner there ({WHERE_RUNNERS_ARE_MADE}: New runner), then give the token that it shows: "
            f"make set KEY={RUNNER_TOKEN} STACK={stack}",
        )


def secret_keys() -> frozenset[str]:
    """The settings that are only taken as secrets."""
    from components.settings.model import SECRETS  # noqa: PLC0415 - 0.3 s that a quiet `make up` does not need

    return frozenset(f"ci:{name}" for name in SECRETS)


def environment(clone: Clone, base: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """The environment for this clone's Pulumi, and whether the backend is the clone's own.

    A backend that the user chose is kept: by PULUMI_BACKEND_URL, by `backend` in Pulumi.yaml, or by `pulumi login`.
    """
    env = dict(base)
    own = clone.state.as_uri()
    if env.get("PULUMI_BACKEND_URL", own) != own or clone.project.get("backend") or logged_in(env):
        return env, False
    env["PULUMI_BACKEND_URL"] = own
    if not env.get("PULUMI_CONFIG_PASSPHRASE_FILE") and "PULUMI_CONFIG_PASSPHRASE" not in env:
        env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(clone.passphrase)
    return env, True


def logged_in(env: Mapping[str, str]) -> str:
    """The backend that `pulumi login` chose, or nothing. An access token in the environment counts as Pulumi Cloud."""
    if env.get("PULUMI_ACCESS_TOKEN"):
        return "Pulumi Cloud"
    home = env.get("PULUMI_CREDENTIALS_PATH") or env.get("PULUMI_HOME") or Path.home() / ".pulumi"
    try:
        found = json.loads((Path(home) / "credentials.json").read_text()).get("current")
    except (OSError, ValueError, AttributeError):
        return ""
    return str(found or "")
