"""Kaniko: builds as root of its own container, with five capabilities and no privilege on the node."""

from typing import Any, Final

from components.kubernetes.builders.pod import Pod, pod
from components.kubernetes.builders.source import Source, source
from components.kubernetes.builders.work import SECRETS_FOLDER, TRUST_FILE, Work

_CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
"""What unpacking an image and running its steps as other users takes. Source: the kaniko project's discussion of least
rights; each was needed by some Dockerfile. All are among those that Pod Security `baseline` allows to add."""

_HOME: Final = "/kaniko"

_HOW: Final = (
    # The digest as pushed becomes the pod's termination message.
    "--digest-file=/dev/termination-log",
    "--push-retry=3",
    "--image-download-retry=3",
    "--log-format=text",
)


def kaniko(work: Work) -> Pod:
    """Give the pod that builds with kaniko's executor."""
    context = source(work)
    container: dict[str, Any] = {
        "name": "kaniko",
        "args": [*_context(work, context), *_what(work), *_registries(work), *_HOW],
        "env": _environment(work),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
            # Unpacks the image over its own root file system, as root of the container.
            "readOnlyRootFilesystem": False,
            "runAsUser": 0,
        },
        "volumeMounts": [
            {"name": "logins", "mountPath": f"{_HOME}/.docker", "readOnly": True},
            *context.mounts,
            *_trust(work),
        ],
    }
    return pod(work, context, container, securityContext={"seccompProfile": {"type": "RuntimeDefault"}})


def _context(work: Work, context: Source) -> list[str]:
    kinds = {"dir://": context.folder, "tar://": context.packed, "": context.address}
    [address] = [f"{scheme}{where}" for scheme, where in kinds.items() if where is not None]
    return [f"--context={address}", f"--dockerfile={work.build.dockerfile}"]


def _what(work: Work) -> list[str]:
    build = work.build
    arguments = [f"--build-arg={name}={value}" for name, value in sorted(build.args.items())]
    arguments += [f"--label={key}={value}" for key, value in sorted(build.labels.items())]
    if build.target is not None:
        arguments.append(f"--target={build.target}")
    if build.platform is not None:
        arguments.append(f"--custom-platform={build.platform}")
    return arguments


def _registries(work: Work) -> list[str]:
    arguments = [f"--destination={destination}" for destination in work.destinations]
    if work.build.cache.enabled:
        # Without a repository of its own, kaniko would put layers beside the first destination, maybe on another host.
        arguments += [
            "--cache=true",
            f"--cache-repo={work.cache_repository}",
            f"--cache-ttl={work.build.cache.hours}h",
            # Compressing in memory is what most builds that are killed were killed for.
            "--compressed-caching=false",
        ]
    arguments += [f"--insecure-registry={host}" for host in work.plain_registries]
    arguments += [f"--registry-map={host}={mirror}" for host, mirror in sorted(work.mirrors.items())]
    return arguments


def _environment(work: Work) -> list[dict[str, str]]:
    variables = [{"name": "SSL_CERT_DIR", "value": f"{_HOME}/ssl/certs"}]
    archive = work.build.context.archive or ""
    if archive.startswith("s3:"):
        variables.append({"name": "AWS_SHARED_CREDENTIALS_FILE", "value": f"{SECRETS_FOLDER}/storage/credentials"})
    if archive.startswith("gs:"):
        variables.append({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"{SECRETS_FOLDER}/storage/credentials"})
    if archive.startswith("s3:"):
        variables += [{"name": name, "value": value} for name, value in sorted(work.object_storage.items())]
    return variables


def _trust(work: Work) -> list[dict[str, Any]]:
    if work.trusted_ca is None:
        return []
    # One more file in the folder where the executor looks for certificates, beside the public ones.
    return [
        {"name": "trust", "mountPath": f"{_HOME}/ssl/certs/ci-trusted.crt", "subPath": TRUST_FILE, "readOnly": True}
    ]
