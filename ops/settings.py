"""`password`, `set` and `env`: small verbs about a stack's settings."""

# ruff: noqa: PLC0415, T201 - late imports cost a quiet run nothing; stdout is for the answer

from __future__ import annotations

import getpass
import shlex
import sys

from ops import choice, deploy, engine, run, stackfile
from ops.local import RUNNER_TOKEN, Workspace, password_key, secret_keys
from ops.toolchain import console
from ops.toolchain.errors import Trouble

INITIAL_PASSWORD = "/var/jenkins_home/secrets/initialAdminPassword"  # noqa: S105 - the file, not the password
FROM_FILES = frozenset(
    {"ci:gitSshKey", "ci:registryTlsKey", "ci:dockerTlsKey", "ci:tcpTlsKey", "ci:dockerConfig", "ci:storageCredentials"}
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
    workspace = deploy.open_workspace(named)
    print(stack_password(workspace, named or choice.remembered(workspace.clone)))


def stack_password(workspace: Workspace, stack: str) -> str:
    """The password that we set, or the one that Jenkins' set-up wizard made.

    Raises:
        Trouble: when there is none.
    """
    settings = workspace.settings(stack)
    key = password_key(settings)
    if not key and stackfile.gitlab_runner(settings):
        raise Trouble(
            f"Stack {stack} has no password: people log in to GitLab, with their own.",
            f"The runner's token is shown by nobody; a new one: make set KEY={RUNNER_TOKEN} STACK={stack}",
        )
    if not key:
        return _wizards_password(workspace, stack)
    if key not in stackfile.keys(settings):
        advice = f"`make up` makes one; your own: make set KEY={key}"
        raise Trouble(f"Stack {stack} has no {key}.", choice.with_stack(workspace.clone, stack, advice))
    effective = workspace.prepare(stack)
    return run.answer(workspace, ["config", "get", key, "--stack", stack, "--config-file", str(effective)]).strip()


def _wizards_password(workspace: Workspace, stack: str) -> str:
    """The password that Jenkins has put into its home for its first visitor."""
    import docker

    settings = workspace.settings(stack)
    name = stackfile.setting(settings, "ci:jenkins", "containerName", default="jenkins-server")
    try:
        container = engine.client(workspace, stack).containers.get(name)
        code, said = container.exec_run(["cat", INITIAL_PASSWORD])
    except (docker.errors.DockerException, OSError) as failed:
        raise Trouble(
            f"The container {name} can't be asked for Jenkins' first password: {failed}", "See: make status"
        ) from failed
    if code or not isinstance(said, bytes):
        raise Trouble(
            f"{name} has no {INITIAL_PASSWORD}.",
            "Jenkins removes it once the wizard is done; the password is yours since.",
        )
    return said.decode().strip()


def set_one(named: str | None, key: str, *, secret: bool) -> None:
    """Put one setting into the clone's overlay, its value from a prompt or from stdin, of which a last newline goes."""
    workspace = deploy.open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    name, dot, _ = key.partition(".")
    full = key if ":" in key else f"{workspace.clone.name}:{key}"
    top = name if ":" in name else f"{workspace.clone.name}:{name}"
    secret = secret or top in secret_keys()
    named_too = f" STACK={named}" if named else ""
    if sys.stdin.isatty():
        if top in FROM_FILES:
            # A prompt takes one line, and the first line of a key would be stored as if it were the key.
            raise Trouble(
                f"{full} has more than one line.", f"From its file: make set KEY={key}{named_too} < FILE", code=2
            )
        value = getpass.getpass(f"{full} (not shown): ") if secret else input(f"{full}: ")
    else:
        value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise Trouble(
            f"No value for {full}.", f"For example: printf '%s' VALUE | make set KEY={key}{named_too}", code=2
        )
    workspace.prepare(stack, password=False)
    workspace.set(stack, full, value, secret=secret, path=bool(dot))
    workspace.prepare(stack, password=False)
    console.note(f"{full} is set for stack {stack} in this clone. `make up{named_too}` applies it.")


def env(named: str | None) -> None:
    """Print exports for a shell, and as a comment the way to name stack and settings."""
    workspace = deploy.open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    effective = workspace.prepare(stack)
    for name in SHOWN:
        if name in workspace.env:
            print(f"export {name}={shlex.quote(workspace.env[name])}")
    print(f"# pulumi preview --stack {stack} --config-file {effective.relative_to(workspace.clone.root)}")
