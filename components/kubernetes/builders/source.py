"""How a builder's pod gets its context: volumes, mounts, and the init container that clones."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .spec import GIT_SECRET, SECRETS_FOLDER, STORAGE_SECRET, BuildSpec, resources

FOLDER: Final = "/context"


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a pod gets its context."""

    volumes: Sequence[Mapping[str, Any]]
    mounts: Sequence[Mapping[str, Any]]
    first: Sequence[Mapping[str, Any]] = ()
    """Init containers that fetch what the builder can't fetch itself."""

    folder: str | None = None
    """The folder of an unpacked context."""

    packed: str | None = None
    """The path of a packed context."""

    address: str | None = None
    """The URL of a packed context that the builder fetches itself."""


_INSIDE: Final = Path(__file__).with_name("inside.sh").read_text(encoding="utf-8")
_FETCH: Final = Path(__file__).with_name("fetch.sh").read_text(encoding="utf-8")
"""Clones without history. The credential helper reads the token from its file, so it is in no process's arguments."""


def source(spec: BuildSpec) -> Source:
    """Return how a pod mounts or fetches the build's context."""
    context = spec.build.context
    if context.git is not None:
        return _from_git(spec)
    if context.volume is not None:
        volume = {"name": "context", "persistentVolumeClaim": {"claimName": context.volume.claim, "readOnly": True}}
        folder = f"{FOLDER}/{context.volume.path}" if context.volume.path else FOLDER
        mount = {"name": "context", "mountPath": FOLDER, "readOnly": True}
        return Source(volumes=[volume], mounts=[mount], folder=folder)
    if context.archive is not None:
        volumes, mounts = [], []
        if not context.archive.startswith("https:"):
            volumes.append({"name": "storage", "secret": {"secretName": STORAGE_SECRET, "defaultMode": 0o400}})
            mounts.append({"name": "storage", "mountPath": f"{SECRETS_FOLDER}/storage", "readOnly": True})
        return Source(volumes=volumes, mounts=mounts, address=context.archive)
    return Source(
        volumes=[{"name": "context", "configMap": {"name": spec.config_map, "defaultMode": 0o444}}],
        mounts=[{"name": "context", "mountPath": FOLDER, "readOnly": True}],
        packed=f"{FOLDER}/context.tar.gz",
    )


def checked(spec: BuildSpec) -> str:
    """Return a shell script that checks a context on a volume, which others may write to; empty for other contexts."""
    volume = spec.build.context.volume
    return _inside(FOLDER, volume.path, spec.build.dockerfile) if volume is not None else ""


def checked_first(spec: BuildSpec, context: Source) -> Source:
    """Return the source with that check in an init container, for a builder whose image has no shell."""
    script = checked(spec)
    if not script:
        return context
    # As root that may enter the folders of others, as the builder may.
    able = {"capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}, "runAsUser": 0}
    return replace(context, first=[*context.first, _with_git(spec, "check", script, context.mounts, **able)])


def _inside(root: str, folder: str | None, dockerfile: str) -> str:
    folder = f"{root}/{folder}" if folder else root
    return _INSIDE + "".join(f"inside {root} {shlex.quote(path)}\n" for path in (folder, f"{folder}/{dockerfile}"))


def _with_git(
    spec: BuildSpec,
    name: str,
    script: str,
    mounts: Sequence[Mapping[str, Any]],
    **security: Any,  # noqa: ANN401 - the API's shapes
) -> dict[str, Any]:
    """Return an init container that runs a shell script in the image with git.

    security: fields of its security context beside, or in the place of, the least.
    """
    least = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "name": name,
        "image": spec.git_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-euc", script],
        "env": [],
        "resources": resources(spec.build),
        "securityContext": {**least, **security},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _from_git(spec: BuildSpec) -> Source:
    git = spec.build.context.git
    if git is None:
        raise AssertionError
    volumes: list[dict[str, Any]] = [
        {"name": "context", "emptyDir": {"sizeLimit": f"{spec.build.resources.disk_mib}Mi"}},
        {"name": "fetch", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "context", "mountPath": FOLDER},
        {"name": "fetch", "mountPath": "/tmp"},  # noqa: S108 - in the container
    ]
    env = [
        {"name": "REPOSITORY", "value": git.repository},
        {"name": "REF", "value": git.ref},
        {"name": "GIT_USER", "value": git.user},
        # Fail instead of asking for a password.
        {"name": "GIT_TERMINAL_PROMPT", "value": "0"},
    ]
    if git.credentials == "gitSshKey":
        env.append(
            {
                "name": "GIT_SSH_COMMAND",
                "value": f"ssh -i {SECRETS_FOLDER}/git/key -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes "
                "-o UserKnownHostsFile=/tmp/known_hosts",
            }
        )
        env.append({"name": "KNOWN_HOSTS", "value": git.known_hosts or ""})
    if git.credentials is not None:
        item = {"gitToken": "token", "gitSshKey": "key"}[git.credentials]
        # The client of a daemon is not root, and reads what root's group may.
        mode = 0o440 if spec.daemon is not None and item == "token" else 0o400
        volumes.append(
            {
                "name": "git",
                "secret": {"secretName": GIT_SECRET, "defaultMode": mode, "items": [{"key": item, "path": item}]},
            }
        )
        mounts.append({"name": "git", "mountPath": f"{SECRETS_FOLDER}/git", "readOnly": True})
    if spec.trusted_ca is not None:
        mounts.append({"name": "trust", "mountPath": "/trust", "readOnly": True})
    inside = _inside(f"{FOLDER}/source", git.directory, spec.build.dockerfile)
    known = '[ -z "${KNOWN_HOSTS:-}" ] || printf "%s\\n" "$KNOWN_HOSTS" > /tmp/known_hosts\n'
    fetch = {**_with_git(spec, "fetch", known + _FETCH + inside, mounts), "env": env}
    folder = f"{FOLDER}/source" + (f"/{git.directory}" if git.directory else "")
    return Source(volumes=volumes, mounts=[{"name": "context", "mountPath": FOLDER}], first=[fetch], folder=folder)
