"""What every builder's pod has in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.kubernetes.builders.source import Source
from components.kubernetes.builders.work import PUSH_SECRET, SECRETS_FOLDER, TRUST, Work, limits

SERVICE_ACCOUNT: Final = "builder"
LOGINS: Final = f"{SECRETS_FOLDER}/logins"
"""The folder of docker's config.json, for builders that can be told where it is."""

WORK: Final = "/tmp"  # noqa: S108 - in the container, and in no image
"""Where builders unpack and keep what they can keep where they are told. It goes with the pod."""

_PUBLIC_AUTHORITIES: Final = "/etc/ssl/certs"
_TRUST_FOLDER: Final = "/trust"


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod that does one build and ends."""

    spec: Mapping[str, Any]
    """The pod's spec, as the API has it. The digest of what was pushed is the first container's termination message."""


def pod(work: Work, context: Source, container: Mapping[str, Any], **own: Any) -> Pod:  # noqa: ANN401 - the API's shapes
    """Give the pod that runs a builder's container.

    own: fields of the spec that this builder adds; `volumes` come to those that every one has.
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
    if work.trusted_ca is not None:
        volumes.append({"name": "trust", "configMap": {"name": TRUST, "defaultMode": 0o444}})
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": SERVICE_ACCOUNT,
        # Nothing in a build speaks to the API.
        "automountServiceAccountToken": False,
        # The variables of other Services would change what a RUN step sees.
        "enableServiceLinks": False,
        "nodeSelector": _architecture(work.build.platform),
        "volumes": volumes,
        **({"initContainers": list(context.first)} if context.first else {}),
        "containers": [_container(work, container)],
        **own,
    }
    return Pod(spec=spec)


def _container(work: Work, own: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image": work.image,
        "imagePullPolicy": "IfNotPresent",
        "resources": limits(work.build),
        # The last lines of the log are the pod's message where the build fails.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **own,
    }


def scripted(
    work: Work, context: Source, script: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Give what a builder's container has that a shell drives: its words, its files, and a folder to write in.

    script: gets the arguments as "$@" and is run in `WORK`. What it runs by `follow` ends with the pod, and gets the
    packed context as its standard input.
    """
    known = {
        # Go's programs read every file of these folders, and the image's own bundle.
        "SSL_CERT_DIR": f"{_PUBLIC_AUTHORITIES}:{_TRUST_FOLDER}",
        "TMPDIR": WORK,
        "PACKED": context.packed or "",
        **environment,
    }
    mounts = [
        {"name": "logins", "mountPath": LOGINS, "readOnly": True},
        {"name": "work", "mountPath": WORK},
        *context.mounts,
    ]
    if work.trusted_ca is not None:
        mounts.append({"name": "trust", "mountPath": _TRUST_FOLDER, "readOnly": True})
    return {
        "command": ["/bin/sh", "-euc", _STOPPABLE + script, work.build.builder],
        "args": list(arguments),
        "env": [{"name": name, "value": value} for name, value in sorted(known.items())],
        "volumeMounts": mounts,
    }


_STOPPABLE: Final = """\
# The first process of a container ends at SIGTERM only if it says so, and a shell first waits for what it has started;
# what it has started in the background reads nothing unless it is told from where.
trap 'exit 143' TERM
exec 3< "${PACKED:-/dev/null}"
follow() { "$@" <&3 & wait "$!"; }
cd "$TMPDIR"
"""


def work_volume(work: Work) -> dict[str, Any]:
    """Give the volume behind `WORK`: the unpacked images, the context, and what the builder keeps."""
    return {"name": "work", "emptyDir": {"sizeLimit": f"{work.build.resources.disk_mib}Mi"}}


def mirrored(work: Work) -> list[tuple[str, str, bool]]:
    """Give the hosts that have a mirror, the mirror of each, and whether it speaks plain HTTP.

    kaniko alone knows the public registry by its old name.
    """
    found = {host.replace("index.docker.io", "docker.io"): mirror for host, mirror in work.mirrors.items()}
    return [(host, mirror, mirror in work.plain_registries) for host, mirror in sorted(found.items())]


def _architecture(platform: str | None) -> dict[str, str]:
    """Give the node selector for a platform: a RUN step needs a processor of its kind."""
    selector = {"kubernetes.io/os": "linux"}
    if platform is not None:
        selector["kubernetes.io/arch"] = platform.split("/")[1]
    return selector
