"""What the pods of all builders have in common."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .source import Source, checked
from .spec import BUILD_SECRETS, PUSH_SECRET, SECRETS_FOLDER, TRUST, BuildSpec, resources

SERVICE_ACCOUNT: Final = "builder"
LOGINS: Final = f"{SECRETS_FOLDER}/logins"
"""The folder of docker's config.json, for builders whose folder can be chosen."""

SCRATCH: Final = "/tmp"  # noqa: S108 - in the container, and in no image
"""The folder where builders unpack images and keep their own files. It is deleted with the pod."""

_SECRETS: Final = f"{SECRETS_FOLDER}/build"
_PUBLIC_AUTHORITIES: Final = "/etc/ssl/certs"
_TRUST_FOLDER: Final = "/trust"

_NOBODY: Final = 65_534

ISOLATED: Final = Path(__file__).with_name("isolated.sh").read_text(encoding="utf-8")
"""Fails in a container without a user namespace of its pod's own."""

PodSpec = Mapping[str, Any]
"""The spec of a pod that does one build, in the API's shape. The termination message of its first container is the
digest of the pushed image."""


def pod_spec(
    spec: BuildSpec,
    context: Source,
    container: Mapping[str, Any],
    **own: Any,  # noqa: ANN401 - the API's shapes
) -> PodSpec:
    """Return the spec of the pod that runs a builder's container.

    own: fields that this builder adds to the spec. `volumes` are added to those of all builders.
    """
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
        *own.pop("volumes", ()),
    ]
    if spec.trusted_ca is not None:
        volumes.append({"name": "trust", "configMap": {"name": TRUST, "defaultMode": 0o444}})
    if spec.build.secrets:
        items = [{"key": name, "path": name} for name in spec.build.secrets]
        secret = {"secretName": BUILD_SECRETS, "defaultMode": 0o440, "items": items}
        volumes.append({"name": "secrets", "secret": secret})
    platform = spec.build.platform
    architecture = {"kubernetes.io/arch": platform.split("/")[1]} if platform is not None else {}
    check = [isolated(spec.git_image, resources(spec.build))] if spec.user_namespace else []
    first = [*check, *context.first]
    return {
        **({"hostUsers": False} if spec.user_namespace else {}),
        **({"runtimeClassName": spec.runtime_class} if spec.runtime_class is not None else {}),
        "restartPolicy": "Never",
        "serviceAccountName": SERVICE_ACCOUNT,
        # No build uses the API.
        "automountServiceAccountToken": False,
        # The variables of other Services would be visible in RUN steps.
        "enableServiceLinks": False,
        # RUN steps need a processor of the platform's architecture.
        "nodeSelector": {"kubernetes.io/os": "linux", **architecture},
        "volumes": volumes,
        **({"initContainers": first} if first else {}),
        "containers": [_container(spec, container)],
        **own,
    }


def isolated(image: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the container that runs before all others and fails where the node made no user namespace.

    image: one with a shell, which not each builder's has.
    """
    return {
        "name": "isolated",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-euc", ISOLATED],
        "env": [],
        "resources": limits,
        # A namespace at `restricted` lets it in, too.
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _container(spec: BuildSpec, own: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "resources": resources(spec.build),
        # When the build fails, the last lines of its log become the pod's message.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **own,
    }


def scripted(
    spec: BuildSpec, context: Source, script: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of a container that runs a shell script: command, arguments, environment and mounts.

    script: runs in `SCRATCH` with the arguments as "$@". A program that it starts with `follow` ends with the pod, and
    gets the packed context as its standard input.
    """
    known = {
        # Programs in Go read every file of these folders beside the image's own bundle.
        "SSL_CERT_DIR": f"{_PUBLIC_AUTHORITIES}:{_TRUST_FOLDER}",
        "TMPDIR": SCRATCH,
        "PACKED": context.packed or "",
        **environment,
    }
    mounts = [
        {"name": "logins", "mountPath": LOGINS, "readOnly": True},
        {"name": "scratch", "mountPath": SCRATCH},
        *context.mounts,
    ]
    if spec.trusted_ca is not None:
        mounts.append({"name": "trust", "mountPath": _TRUST_FOLDER, "readOnly": True})
    if spec.build.secrets:
        mounts.append({"name": "secrets", "mountPath": _SECRETS, "readOnly": True})
    # Only the files' names are arguments. BuildKit and Buildah give a step the file in memory, in no layer.
    secrets = [f"--secret=id={name},src={_SECRETS}/{name}" for name in spec.build.secrets]
    return {
        "command": ["/bin/sh", "-euc", _STOPPABLE + checked(spec) + script, spec.build.builder],
        "args": [*secrets, *arguments],
        "env": [{"name": name, "value": value} for name, value in sorted(known.items())],
        "volumeMounts": mounts,
    }


_STOPPABLE: Final = """\
# The first process of a container ignores SIGTERM without a trap, and a shell runs its trap only after the program in
# the foreground. A program in the background reads standard input only if it is redirected.
trap 'exit 143' TERM
exec 3< "${PACKED:-/dev/null}"
follow() { "$@" <&3 & wait "$!"; }
cd "$TMPDIR"
"""


def scratch_volume(spec: BuildSpec) -> dict[str, Any]:
    """Return the volume of `SCRATCH`: unpacked images, the context, and the builder's own files."""
    return {"name": "scratch", "emptyDir": {"sizeLimit": f"{spec.build.resources.disk_mib}Mi"}}


def mirrored(plain: Sequence[str], mirrors: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """Return each host that has a mirror, its mirror, and whether that is reached over plain HTTP.

    Only kaniko uses the old name of Docker Hub.
    """
    found = {host.replace("index.docker.io", "docker.io"): mirror for host, mirror in mirrors.items()}
    return [(host, mirror, mirror in plain) for host, mirror in sorted(found.items())]
