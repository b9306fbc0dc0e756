"""`password`, `set` and `env`: small verbs about a stack's settings."""

# ruff: noqa: T201 - stdout is for the answer

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import typer

from components.settings.load import read
from components.settings.model import SECRETS
from ops import engine
from ops.stack import Stack, open_stack
from setup import console
from setup.console import OpsError
from setup.engine import ERRORS

INITIAL_PASSWORD = "/var/jenkins_home/secrets/initialAdminPassword"  # noqa: S105 - the file, not the password
FROM_FILES = frozenset(
    {"gitSshKey", "registryTlsKey", "dockerTlsKey", "tcpTlsKey", "dockerConfig", "storageCredentials"}
)
"""The secrets whose values are whole files."""


def password(named: str | None, *, user: str | None = None) -> None:
    """Print a password to stdout, for a person or a pipe: the administrator's, the registry user's, or a user's."""
    print(stack_password(open_stack(named), user))


def stack_password(stack: Stack, user: str | None = None) -> str:
    """The password of the stack's outputs, or of Jenkins' set-up wizard. Raises OpsError when there is none.

    user: a name of ci:jenkins.users; None for the administrator, or the registry's user.
    """
    key = "registryPassword" if stack.platform == "kubernetes" else "adminPassword"
    outputs = stack.outputs("--show-secrets")
    if user is not None and user != outputs.get("adminUser"):
        of_users = outputs.get("userPasswords") or {}
        if user not in of_users:
            names = ", ".join(of_users) or "nobody"
            raise OpsError(
                f"Stack {stack.name} has no user {user!r}. It has {names}.",
                f"Add the user to ci:jenkins.users, then: {stack.make('up')}",
                code=2,
            )
        return str(of_users[user])
    if outputs.get(key):
        return str(outputs[key])
    on_docker = stack.settings.platform == "docker"
    if on_docker and stack.settings.gitlab_runner is not None:
        raise OpsError(
            f"Stack {stack.name} has no password: people log in to GitLab, with their own.",
            f"A new token for the runner: {stack.make('set KEY=ci:gitlabRunnerToken')}",
        )
    if on_docker and stack.settings.jenkins.login == "configuration":
        raise OpsError(
            f"Stack {stack.name} has no password: people log in as {stack.settings.jenkins.configuration} says.",
            "To log in with a password of the stack, write ci:jenkins.login: stack",
        )
    if on_docker and stack.settings.jenkins.setup == "wizard":
        return _wizards_password(stack)
    raise OpsError(f"Stack {stack.name} is not deployed, so it has no password yet.", f"First: {stack.make('up')}")


def _wizards_password(stack: Stack) -> str:
    """The password that Jenkins has put into its home for its first visitor, and removes once the wizard is done."""
    name = stack.settings.jenkins.container_name
    try:
        with contextlib.closing(engine.client(stack.settings)) as there:
            code, said = there.containers.get(name).exec_run(["cat", INITIAL_PASSWORD])
    except ERRORS as failed:
        code, said = 1, str(failed).encode()
    if code or not isinstance(said, bytes):
        raise OpsError(f"{name} has no initial password: {said!r}", "After the wizard, use the one that you set there.")
    return said.decode().strip()


OF_A_VALUE = frozenset({"unknown_key", "wrong_type", "not_accepted", "vulnerable"})
"""The codes of a problem that is in a value itself. Others may lack a second setting, which can only be set later."""

KEY = re.compile(r"[a-z][a-z0-9-]*:\w+(?:\.[\w-]+|\[\d{1,3}\]|\[\"[\w./-]+\"\]){0,9}", re.ASCII)
"""A key with a path, as Pulumi takes it: names, numbers of a list's entries, and names with a dot in quotes."""


def set_one(named: str | None, key: str | None, *, secret: bool) -> None:
    """Run `pulumi config set` with a value from a prompt or from stdin, of which a last newline goes."""
    full = known_key(key)
    stack = open_stack(named)
    top = re.split(r"[.\[]", full.removeprefix("ci:"))[0]
    secret = secret or top in SECRETS
    again = stack.make(f"set KEY={full}")
    asks, value = sys.stdin.isatty(), ""
    if asks and top in FROM_FILES:
        # A prompt takes one line, and the first line of a key would be stored as if it were the key.
        raise OpsError(f"{full} has more than one line.", f"From its file: {again} < FILE", code=2)
    if asks:
        value = typer.prompt(full, default="", hide_input=secret, show_default=False, err=True)
    else:
        with contextlib.suppress(UnicodeDecodeError):
            value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise OpsError(f"No value was given for {full}.", f"For example, in UTF-8: printf '%s' VALUE | {again}", code=2)
    nested = ["--path"] if full != f"ci:{top}" else []
    words = [full, "--secret" if secret else "--plaintext", *nested, "--non-interactive"]
    file = stack.clone.file(stack.name)
    with tempfile.TemporaryDirectory(prefix="ci-ops-") as folder:
        copy = Path(folder) / file.name
        shutil.copyfile(file, copy)
        stack.ask("config", "set", *words, "--config-file", str(copy), stdin=value)
        problems = stack.read("--config-file", str(copy))[1]
        before = {*map(str, stack.read("--config-file", str(file))[1])}
        new = [each for each in problems if each.key.startswith(full) or str(each) not in before]
        own = [each for each in new if each.code in OF_A_VALUE]
        if own:
            raise OpsError("\n".join(map(str, own)), "Nothing was changed.", code=2)
        file.write_bytes(copy.read_bytes())
    where = file.relative_to(stack.clone.root)
    console.note(f"{full} is set in {where}{', encrypted' if secret else ''}.")
    for each in problems:
        console.note(f"Before it can be deployed: {each}")
    console.note(f"To apply it: {stack.make('up')}")


def known_key(key: str | None) -> str:
    """The full key of a setting, as `ci:jenkins.httpPort`. Raises OpsError for one that is not in the model."""
    if not key:
        raise OpsError("Which setting? KEY is missing.", "For example: make set KEY=ci:jenkins.httpPort", code=2)
    full = key if ":" in key else f"ci:{key}"
    if not KEY.fullmatch(full):
        raise OpsError(
            f"{key[:80]!r} is not a key.", "For example: make set KEY=ci:jenkins.httpPort, KEY=ci:jobs[0].name", code=2
        )
    if not full.startswith("ci:"):
        return full  # a provider's own
    top, *inner = re.findall(r"\[\d+\]|[^\".\[\]]+|(?<=\")[^\"]+(?=\")", full.removeprefix("ci:"))
    value: object = None
    for part in reversed(inner):
        value = [value] if part.startswith("[") else {part: value}
    problems = read({top: json.dumps(value)}, frozenset({top}))[1]
    unknown = next((each for each in problems if each.code == "unknown_key"), None)
    if unknown:
        known = unknown.instead.partition("use one of ")[2]
        raise OpsError(f"{unknown.key} {unknown.wrong}.", f"Use one of {known}.", code=2)
    return full


def env(named: str | None) -> None:
    """Print exports for a shell, paths and switches without a secret, and as a comment the way to name the stack."""
    stack = open_stack(named)
    stack.get_plugins()
    for name, value in stack.env.items():
        if os.environ.get(name) != value:
            print(f"export {name}={shlex.quote(value)}")
    print(f"# pulumi preview --stack {stack.name}")
