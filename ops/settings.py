"""`password`, `set` and `env`: small verbs about a stack's settings."""

# ruff: noqa: T201 - stdout is for the answer

from __future__ import annotations

import difflib
import getpass
import re
import shlex
import sys

from components.settings.model import SECRETS, Settings
from ops import engine
from ops.stack import Stack, open_stack
from ops.toolchain import console
from ops.toolchain.console import OpsError

INITIAL_PASSWORD = "/var/jenkins_home/secrets/initialAdminPassword"  # noqa: S105 - the file, not the password
FROM_FILES = frozenset(
    {"gitSshKey", "registryTlsKey", "dockerTlsKey", "tcpTlsKey", "dockerConfig", "storageCredentials"}
)
"""The secrets whose values are whole files."""

SHOWN = (
    "PULUMI_HOME",
    "PULUMI_CREDENTIALS_PATH",
    "PULUMI_BACKEND_URL",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
    "PULUMI_SKIP_UPDATE_CHECK",
    "PATH",
)
"""What `env` prints; each is a path or a switch, none a secret."""


def password(named: str | None) -> None:
    """Print the password of Jenkins' administrator, or of the registry's user, to stdout, for a person or a pipe."""
    print(stack_password(open_stack(named)))


def stack_password(stack: Stack) -> str:
    """The password that the stack's outputs have, or the one that Jenkins' set-up wizard made.

    Raises:
        OpsError: when there is none.
    """
    found = stack.secret_output("registryPassword" if stack.platform == "kubernetes" else "adminPassword")
    if found:
        return found
    if stack.settings.platform == "docker" and stack.settings.gitlab_runner is not None:
        raise OpsError(
            f"Stack {stack.name} has no password: people log in to GitLab, with their own.",
            f"A new token for the runner: {stack.make('set KEY=ci:gitlabRunnerToken')}",
        )
    if stack.settings.platform == "docker" and stack.settings.jenkins.setup == "wizard":
        return _wizards_password(stack)
    raise OpsError(f"Stack {stack.name} is not up, so it has no password yet.", f"Deploy it: {stack.make('up')}")


def _wizards_password(stack: Stack) -> str:
    """The password that Jenkins has put into its home for its first visitor."""
    name = stack.settings.jenkins.container_name
    try:
        code, said = engine.client(stack.settings).containers.get(name).exec_run(["cat", INITIAL_PASSWORD])
    except engine.ERRORS as failed:
        raise OpsError(
            f"The container {name} can't be asked for Jenkins' first password: {failed}", f"See: {stack.make('status')}"
        ) from failed
    if code or not isinstance(said, bytes):
        raise OpsError(
            f"{name} has no {INITIAL_PASSWORD}.",
            "Jenkins removes it once the wizard is done; the password is yours since.",
        )
    return said.decode().strip()


def set_one(named: str | None, key: str | None, *, secret: bool) -> None:
    """Run `pulumi config set` with a value from a prompt or from stdin, of which a last newline goes."""
    full = known_key(key)
    stack = open_stack(named)
    top = full.removeprefix("ci:").split(".")[0].split("[")[0]
    secret = secret or top in SECRETS
    if sys.stdin.isatty():
        if top in FROM_FILES:
            # A prompt takes one line, and the first line of a key would be stored as if it were the key.
            raise OpsError(
                f"{full} has more than one line.", f"From its file: {stack.make(f'set KEY={full}')} < FILE", code=2
            )
        value = getpass.getpass(f"{full} (not shown): ") if secret else input(f"{full}: ")
    else:
        try:
            value = sys.stdin.read().removesuffix("\n")
        except UnicodeDecodeError as failed:
            raise OpsError(f"The value for {full} is not text in UTF-8.", "Encode it as UTF-8.", code=2) from failed
    if not value:
        raise OpsError(
            f"No value for {full}.", f"For example: printf '%s' VALUE | {stack.make(f'set KEY={full}')}", code=2
        )
    nested = ["--path"] if full != f"ci:{top}" else []
    stack.ask("config", "set", full, "--secret" if secret else "--plaintext", *nested, "--non-interactive", stdin=value)
    where = stack.clone.file(stack.name).relative_to(stack.clone.root)
    console.note(f"{full} is set in {where}, encrypted." if secret else f"{full} is set in {where}.")
    console.note(f"To apply it: {stack.make('up')}")


def known_key(key: str | None) -> str:
    """The full key of a setting, as `ci:jenkins.httpPort`.

    Raises:
        OpsError: when it is none of the model's, with the settings or the nearest one.
    """
    known = [f"ci:{name}" for name in setting_names()]
    if not key:
        raise OpsError(
            "Which setting? KEY is missing.",
            f"For example: make set KEY=ci:jenkins.httpPort. The settings: {', '.join(known)}",
            code=2,
        )
    full = key if ":" in key else f"ci:{key}"
    plain = re.sub(r"\[\d+\]", "", full)
    top, _, inner = plain.partition(".")
    inside = [each for each in known if each.startswith(f"{top}.")]
    right = (
        not inner or not inside or any(plain == each or plain.startswith((f"{each}.", f"{each}[")) for each in inside)
    )
    if not top.startswith("ci:") or (top in known and right):
        return full
    near = difflib.get_close_matches(full, known, n=1, cutoff=0.6)
    section = inside or [each for each in known if "." not in each]
    meant = f"Did you mean {near[0]}? " if near else ""
    raise OpsError(f"{full} is not a setting.", f"{meant}Settings here: {', '.join(section)}", code=2)


def setting_names() -> list[str]:
    """The keys of the settings, one level into each section: `platform`, `docker`, `docker.host` ..."""
    schema = Settings.model_json_schema()
    found = []
    for name, node in schema["properties"].items():
        found.append(name)
        for choice in (node, *node.get("anyOf", ())):
            section = schema["$defs"].get(str(choice.get("$ref", "")).rpartition("/")[2], {})
            found += [f"{name}.{inner}" for inner in section.get("properties", {})]
    return found


def env(named: str | None) -> None:
    """Print exports for a shell, and as a comment the way to name the stack."""
    stack = open_stack(named)
    stack.get_plugins()
    for name in SHOWN:
        if name in stack.env:
            print(f"export {name}={shlex.quote(stack.env[name])}")
    print(f"# pulumi preview --stack {stack.name}")
