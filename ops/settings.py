"""`password`, `set` and `env`: small verbs about a stack's settings."""

# ruff: noqa: PLC0415, T201 - late imports cost a quiet run nothing; stdout is for the answer

from __future__ import annotations

import getpass
import shlex
import sys

from ops import choice, deploy, run, stackfile
from ops.local import ADMIN_PASSWORD, SECRET_KEYS, Workspace
from tools.toolchain import console
from tools.toolchain.errors import Trouble

INITIAL_PASSWORD = "/var/jenkins_home/secrets/initialAdminPassword"  # noqa: S105 - the file, not the password
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
    """Print the administrator's password to stdout, for a person or a pipe."""
    workspace = deploy.open_workspace(named)
    print(admin_password(workspace, named or choice.remembered(workspace.clone)))


def sample(named: str | None) -> None:
    """Run the sample pipeline on the stack that is up, and follow it."""
    from pydantic import SecretStr

    from ops.sample import run_sample

    workspace = deploy.open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    found = deploy.outputs(workspace, stack) if workspace.exists(stack) else {}
    if not found.get("url"):
        raise Trouble(f"Stack {stack} is not up.", "Bring it up first: make up")
    if not found.get("sampleJob"):
        raise Trouble(
            f"Stack {stack} has no sample job.", "It is there with `setup: casc` and `sample: true`, the defaults."
        )
    run_sample(
        url=found["url"],
        user=found["adminUser"],
        password=SecretStr(admin_password(workspace, stack)),
        job=found["sampleJob"],
        docker_host=found["dockerHost"],
        console=console.out(),
    )


def admin_password(workspace: Workspace, stack: str) -> str:
    """The administrator's password: the one that we set, or the one that Jenkins' set-up wizard made.

    Raises:
        Trouble: when there is none.
    """
    settings = workspace.settings(stack)
    if ADMIN_PASSWORD in stackfile.keys(settings):
        effective = workspace.prepare(stack)
        words = ["config", "get", ADMIN_PASSWORD, "--stack", stack, "--config-file", str(effective)]
        return run.answer(workspace, words).strip()
    name = stackfile.setting(settings, "ci:jenkins", "containerName", default="jenkins-server")
    if stackfile.setting(settings, "ci:jenkins", "setup") != "wizard":
        raise Trouble(
            f"Stack {stack} has no {ADMIN_PASSWORD}.", "`make up` makes one; your own: make set KEY=ci:adminPassword"
        )
    import docker

    try:
        container = docker.DockerClient(base_url=choice.docker_host(settings)).containers.get(name)
        code, said = container.exec_run(["cat", INITIAL_PASSWORD])
    except docker.errors.DockerException as failed:
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
    """Put one setting into the clone's overlay, its value from a prompt or from stdin."""
    workspace = deploy.open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    name, dot, _ = key.partition(".")
    full = key if ":" in key else f"{workspace.clone.name}:{key}"
    secret = secret or (name if ":" in name else f"{workspace.clone.name}:{name}") in SECRET_KEYS
    if sys.stdin.isatty():
        value = getpass.getpass(f"{full} (not shown): ") if secret else input(f"{full}: ")
    else:
        value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise Trouble(f"No value for {full}.", f"For example: printf '%s' VALUE | python -m ops set {key}", code=2)
    workspace.prepare(stack, password=False)
    workspace.set(stack, full, value, secret=secret, path=bool(dot))
    workspace.prepare(stack, password=False)
    console.note(f"{full} is set for stack {stack} in this clone. `make up` applies it.")


def env(named: str | None) -> None:
    """Print exports for a shell, and as a comment the way to name stack and settings."""
    workspace = deploy.open_workspace(named)
    stack = named or choice.remembered(workspace.clone)
    effective = workspace.prepare(stack)
    for name in SHOWN:
        if name in workspace.env:
            print(f"export {name}={shlex.quote(workspace.env[name])}")
    print(f"# pulumi preview --stack {stack} --config-file {effective.relative_to(workspace.clone.root)}")
