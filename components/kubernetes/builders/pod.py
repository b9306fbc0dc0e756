"""What every builder's pod has in common: the context, the logins, the limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from components.settings import BuildSettings

Level = Literal["restricted", "baseline", "privileged"]
LEVELS: Final[Sequence[Level]] = ("restricted", "baseline", "privileged")
"""The Pod Security levels, the strictest first. Source: the Kubernetes documentation, "Pod Security Standards"."""

SERVICE_ACCOUNT: Final = "builder"
PUSH_SECRET: Final = "registry-push"  # noqa: S105 - a name
"""The Secret with the logins of every registry that builds use, as docker's config.json."""

GIT_SECRET: Final = "git"  # noqa: S105 - a name
STORAGE_SECRET: Final = "storage"  # noqa: S105 - a name
TRUST: Final = "trusted-ca"
"""A ConfigMap with the certificate authorities that builds trust beside the public ones."""

CONTEXT_FOLDER: Final = "/context"
SECRETS_FOLDER: Final = "/secrets"
TRUST_FILE: Final = "ca.crt"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One build, with every address resolved."""

    build: BuildSettings
    image: str
    """The builder's image."""

    destinations: Sequence[str]
    """What to push as, each `host/repository:tag`."""

    cache_repository: str
    """Where layers are kept, `host/repository`."""

    plain_registries: Sequence[str] = ()
    """Hosts that are spoken to over plain HTTP."""

    mirrors: Mapping[str, str]
    """By the host in an image's name, the host where to look first."""

    git_image: str
    context_digest: str | None = None
    """SHA-256 of the packed files, for a context out of a ConfigMap."""

    config_map: str | None = None
    """The ConfigMap that holds the packed files."""

    trusted_ca: str | None = None
    """SHA-256 of the certificate authorities that the build trusts beside the public ones; None for no such."""

    object_storage: Mapping[str, str]
    """Environment variables, none of them secret, by which the object storage is found."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod that does one build and ends."""

    spec: Mapping[str, Any]
    """The pod's spec, as the API has it. The digest of what was pushed is the first container's termination message."""

    level: Level
    """The strictest Pod Security level that lets it in."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a pod gets its context."""

    volumes: Sequence[Mapping[str, Any]]
    mounts: Sequence[Mapping[str, Any]]
    first: Sequence[Mapping[str, Any]]
    """Init containers, which fetch what the builder can't fetch itself."""

    folder: str | None
    """The context's folder, where it is one."""

    tar: str | None
    """The packed context, where it is one: a path, or an address that the builder fetches itself."""


_FETCH: Final = """\
cd /context
export HOME=/tmp/home
mkdir -p "$HOME" source
if [ -e /trust/ca.crt ]; then
  cat /etc/ssl/certs/ca-certificates.crt /trust/ca.crt > "$HOME/ca.crt"
  export GIT_SSL_CAINFO="$HOME/ca.crt"
fi
cd source
git -c init.defaultBranch=main init --quiet
git remote add origin "$REPOSITORY"
if [ -e /secrets/git/token ]; then
  git config credential.helper '!f() { echo "username=$GIT_USER"; echo "password=$(cat /secrets/git/token)"; }; f'
fi
# A server may refuse to give a single commit, but then has it among all the others.
if git fetch --quiet --depth 1 origin "$REF"; then
  git checkout --quiet --detach FETCH_HEAD
else
  git fetch --quiet --tags origin '+refs/heads/*:refs/remotes/origin/*'
  git checkout --quiet --detach "$REF"
fi
echo "commit $(git rev-parse HEAD)"
rm -rf .git
"""
"""Clones without history. The credential helper reads the token's file, so no process has it among its arguments."""


def limits(build: BuildSettings) -> dict[str, Any]:
    """Give the resources of a build's containers. Memory is reserved whole: a build that needs it would be killed."""
    wanted = build.resources
    return {
        "requests": {
            "cpu": f"{max(wanted.cpu_millicores // 10, 1)}m",
            "memory": f"{wanted.memory_mib}Mi",
            "ephemeral-storage": f"{min(wanted.disk_mib, 512)}Mi",
        },
        "limits": {
            "cpu": f"{wanted.cpu_millicores}m",
            "memory": f"{wanted.memory_mib}Mi",
            "ephemeral-storage": f"{wanted.disk_mib}Mi",
        },
    }


def source(work: Work) -> Source:
    """Give what mounts or fetches the build's context."""
    context = work.build.context
    if context.git is not None:
        return _from_git(work)
    if context.volume is not None:
        volume = {
            "name": "context",
            "persistentVolumeClaim": {"claimName": context.volume.claim, "readOnly": True},
        }
        folder = f"{CONTEXT_FOLDER}/{context.volume.path}" if context.volume.path else CONTEXT_FOLDER
        mount = {"name": "context", "mountPath": CONTEXT_FOLDER, "readOnly": True}
        return Source(volumes=[volume], mounts=[mount], first=[], folder=folder, tar=None)
    if context.archive is not None:
        volumes, mounts = [], []
        if not context.archive.startswith("https:"):
            volumes.append({"name": "storage", "secret": {"secretName": STORAGE_SECRET, "defaultMode": 0o400}})
            mounts.append({"name": "storage", "mountPath": f"{SECRETS_FOLDER}/storage", "readOnly": True})
        return Source(volumes=volumes, mounts=mounts, first=[], folder=None, tar=context.archive)
    return Source(
        volumes=[{"name": "context", "configMap": {"name": work.config_map, "defaultMode": 0o444}}],
        mounts=[{"name": "context", "mountPath": CONTEXT_FOLDER, "readOnly": True}],
        first=[],
        folder=None,
        tar=f"{CONTEXT_FOLDER}/context.tar.gz",
    )


def _from_git(work: Work) -> Source:
    git = work.build.context.git
    if git is None:
        raise AssertionError
    volumes: list[dict[str, Any]] = [
        {"name": "context", "emptyDir": {"sizeLimit": f"{work.build.resources.disk_mib}Mi"}},
        {"name": "fetch", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "context", "mountPath": CONTEXT_FOLDER},
        {"name": "fetch", "mountPath": "/tmp"},  # noqa: S108 - in the container
    ]
    env = [
        {"name": "REPOSITORY", "value": git.repository},
        {"name": "REF", "value": git.ref},
        {"name": "GIT_USER", "value": git.user},
        # Never ask: nobody is there to answer.
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
        volumes.append(
            {
                "name": "git",
                "secret": {"secretName": GIT_SECRET, "defaultMode": 0o400, "items": [{"key": item, "path": item}]},
            }
        )
        mounts.append({"name": "git", "mountPath": f"{SECRETS_FOLDER}/git", "readOnly": True})
    if work.trusted_ca is not None:
        mounts.append({"name": "trust", "mountPath": "/trust", "readOnly": True})
    known = '[ -z "${KNOWN_HOSTS:-}" ] || printf "%s\\n" "$KNOWN_HOSTS" > /tmp/known_hosts\n'
    fetch = {
        "name": "fetch",
        "image": work.git_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-euc", known + _FETCH],
        "env": env,
        "resources": limits(work.build),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    folder = f"{CONTEXT_FOLDER}/source" + (f"/{git.directory}" if git.directory else "")
    return Source(
        volumes=volumes,
        mounts=[{"name": "context", "mountPath": CONTEXT_FOLDER}],
        first=[fetch],
        folder=folder,
        tar=None,
    )


def architecture(platform: str | None) -> dict[str, str]:
    """Give the node selector for a platform: a RUN step needs a processor of its kind."""
    selector = {"kubernetes.io/os": "linux"}
    if platform is not None:
        selector["kubernetes.io/arch"] = platform.split("/")[1]
    return selector


def common(work: Work, context: Source) -> dict[str, Any]:
    """Give the parts of a pod's spec that no builder chooses."""
    volumes = [
        {
            "name": "logins",
            "secret": {
                "secretName": PUSH_SECRET,
                "defaultMode": 0o440,
                "items": [{"key": ".dockerconfigjson", "path": "config.json"}],
            },
        },
        *context.volumes,
    ]
    if work.trusted_ca is not None:
        volumes.append({"name": "trust", "configMap": {"name": TRUST, "defaultMode": 0o444}})
    return {
        "restartPolicy": "Never",
        "serviceAccountName": SERVICE_ACCOUNT,
        # Nothing in a build speaks to the API.
        "automountServiceAccountToken": False,
        # The variables of other Services would change what a RUN step sees.
        "enableServiceLinks": False,
        "nodeSelector": architecture(work.build.platform),
        "volumes": volumes,
        **({"initContainers": list(context.first)} if context.first else {}),
    }
