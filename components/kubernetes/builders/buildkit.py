"""BuildKit builds without root: daemon and client are in one pod, in a user namespace of their own."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from . import buildctl
from .pod import LOGINS, SCRATCH, PodSpec, mirrored, pod_spec, scratch_volume, scripted
from .source import source
from .spec import BuildSpec

UID: Final = 1000
"""The image's user. /etc/subuid in the image lists further ids that it may use."""

_CAPABILITIES: Final = ("SETGID", "SETUID")
"""newuidmap and newgidmap need them to write the user namespace's maps. The daemon has no capability outside it."""

RIGHTS: Final[Mapping[str, Any]] = {
    # newuidmap and newgidmap have file capabilities, which would have no effect otherwise.
    "allowPrivilegeEscalation": True,
    "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": UID,
    "runAsGroup": UID,
    # The default profiles forbid creating a user namespace and mounting in it.
    "seccompProfile": {"type": "Unconfined"},
    "appArmorProfile": {"type": "Unconfined"},
}
"""The security context of a container with a daemon."""

_OF_STEPS: Final = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
"""What the daemon gives to steps, as Docker does. Source: BuildKit's executor/oci, "withDefaultCapabilities"."""

_RIGHTS_IN_NAMESPACE: Final[Mapping[str, Any]] = {
    **RIGHTS,
    # They hold in the pod's user namespace alone: SYS_ADMIN mounts file systems for steps, and no more of the node's.
    "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN", *_OF_STEPS]},
    "runAsNonRoot": False,
    "runAsUser": 0,
    "runAsGroup": 0,
    # So that it can mount another /proc for each step.
    "procMount": "Unmasked",
}

_ROOTLESS: Final = "rootlesskit buildkitd --oci-worker-no-process-sandbox"
"""Steps see the daemon's processes, since a pod without a user namespace can't mount another /proc."""


def daemon(*, user_namespace: bool) -> tuple[str, Mapping[str, Any]]:
    """Return a daemon's command, and the security context of its container."""
    return ("buildkitd", _RIGHTS_IN_NAMESPACE) if user_namespace else (_ROOTLESS, RIGHTS)


_SCRIPT: Final = f"""\
mkdir -p "$XDG_RUNTIME_DIR"
printf '%s' "$BUILDKITD" > buildkitd.toml
{buildctl.UNPACK}\
@daemon@ --config buildkitd.toml --root "$TMPDIR/state" \\
  --addr "$BUILDKIT_HOST" > daemon.log 2>&1 &
daemon=$!
reach() {{
  until buildctl debug workers > /dev/null 2>&1; do
    if ! kill -0 "$daemon" 2> /dev/null; then
      echo 'BuildKit did not start:'
      cat daemon.log
      exit 1
    fi
    sleep 0.1
  done
}}
{buildctl.building("", 0)}"""


def buildkit(spec: BuildSpec) -> PodSpec:
    """Return the pod that builds with BuildKit: by a daemon of its own, or by the one that the build has been given."""
    if spec.daemon is not None:
        return buildctl.client(spec, spec.daemon)
    context = source(spec)
    command, rights = daemon(user_namespace=spec.user_namespace)
    environment = {
        "BUILDKITD": configuration(spec.plain_registries, spec.mirrors),
        "BUILDKIT_HOST": f"unix://{SCRATCH}/run/buildkitd.sock",
        "DOCKER_CONFIG": LOGINS,
        "XDG_RUNTIME_DIR": f"{SCRATCH}/run",
    }
    container = {
        "name": "buildkit",
        **scripted(spec, context, _SCRIPT.replace("@daemon@", command), buildctl.arguments(spec, context), environment),
        "securityContext": rights,
    }
    # The files of the logins belong to root and its group. With fsGroup, the group could read ssh's key too, and ssh
    # refuses such a key.
    return pod_spec(
        spec, context, container, volumes=[scratch_volume(spec)], securityContext={"supplementalGroups": [0]}
    )


def configuration(plain: Sequence[str], mirrors: Mapping[str, str]) -> str:
    """Return what a daemon's configuration says of registries, in TOML: those over plain HTTP, and those mirrored."""
    tables: dict[str, list[str]] = {host: ["http = true"] for host in plain}
    for host, mirror, _ in mirrored(plain, mirrors):
        tables.setdefault(host, []).append(f"mirrors = [{json.dumps(mirror)}]")
    return "".join(
        f"[registry.{json.dumps(host)}]\n" + "".join(f"{line}\n" for line in lines)
        for host, lines in sorted(tables.items())
    )
