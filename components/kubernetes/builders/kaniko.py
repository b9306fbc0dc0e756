"""Kaniko builds as root in its container, with five capabilities and without privileges on the node."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .pod import PodSpec, pod_spec
from .source import Source, checked_first, source
from .spec import SECRETS_FOLDER, TRUST_FILE, BuildSpec, flags

CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
"""Needed to unpack an image and to run its steps as other users. Source: the kaniko project's discussion of least
rights; some Dockerfile needs each of them. Pod Security `baseline` allows all of them."""

HOME: Final = "/kaniko"

_HOW: Final = (
    # The digest of the pushed image becomes the pod's termination message.
    "--digest-file=/dev/termination-log",
    # After 1, 2, 4 ... 32 seconds: a registry that restarts to collect garbage is back within a minute.
    "--push-retry=6",
    "--image-download-retry=3",
    "--log-format=text",
)


def kaniko(spec: BuildSpec) -> PodSpec:
    """Return the pod that builds with kaniko's executor."""
    context = checked_first(spec, source(spec))
    container: dict[str, Any] = {
        "name": "kaniko",
        "args": [
            *_context(spec, context),
            *flags(spec.build, platform="--custom-platform"),
            *_registries(spec),
            *_HOW,
            # Kaniko looks for signs of a container, and a sandbox may show none of them.
            *(["--force"] if spec.runtime_class is not None else []),
        ],
        "env": _environment(spec),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": list(CAPABILITIES)},
            # Unpacks the image over its own root file system, as root.
            "readOnlyRootFilesystem": False,
            "runAsUser": 0,
        },
        "volumeMounts": [
            {"name": "logins", "mountPath": f"{HOME}/.docker", "readOnly": True},
            *context.mounts,
            *_trust(spec),
        ],
    }
    return pod_spec(spec, context, container, securityContext={"seccompProfile": {"type": "RuntimeDefault"}})


def _context(spec: BuildSpec, context: Source) -> list[str]:
    kinds = {"dir://": context.folder, "tar://": context.packed, "": context.address}
    [address] = [f"{scheme}{where}" for scheme, where in kinds.items() if where is not None]
    return [f"--context={address}", f"--dockerfile={spec.build.dockerfile}"]


def _registries(spec: BuildSpec) -> list[str]:
    arguments = [f"--destination={destination}" for destination in spec.destinations]
    if spec.build.cache.enabled:
        # By default, kaniko would push the layers beside the first destination, which may be on another host.
        arguments += [
            "--cache=true",
            f"--cache-repo={spec.cache_repository}",
            f"--cache-ttl={spec.build.cache.hours}h",
            # Compressing layers in memory is the most frequent reason for killed builds.
            "--compressed-caching=false",
        ]
    arguments += [] if spec.tries_login else ["--skip-push-permission-check"]
    return [*arguments, *reach(spec.plain_registries, spec.mirrors)]


def reach(plain: Sequence[str], mirrors: Mapping[str, str]) -> list[str]:
    """Return the options for registries over plain HTTP and for mirrors. mirrors: by the host in an image's name."""
    arguments = [f"--insecure-registry={host}" for host in plain]
    return arguments + [f"--registry-map={host}={mirror}" for host, mirror in sorted(mirrors.items())]


def _environment(spec: BuildSpec) -> list[dict[str, str]]:
    variables = [{"name": "SSL_CERT_DIR", "value": f"{HOME}/ssl/certs"}]
    archive = spec.build.context.archive or ""
    if archive.startswith("s3:"):
        variables.append({"name": "AWS_SHARED_CREDENTIALS_FILE", "value": f"{SECRETS_FOLDER}/storage/credentials"})
    if archive.startswith("gs:"):
        variables.append({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"{SECRETS_FOLDER}/storage/credentials"})
    if archive.startswith("s3:"):
        variables += [{"name": name, "value": value} for name, value in sorted(spec.object_storage.items())]
    return variables


def _trust(spec: BuildSpec) -> list[dict[str, Any]]:
    if spec.trusted_ca is None:
        return []
    # One more file in the executor's folder of certificates, beside the public ones.
    return [{"name": "trust", "mountPath": f"{HOME}/ssl/certs/ci-trusted.crt", "subPath": TRUST_FILE, "readOnly": True}]
