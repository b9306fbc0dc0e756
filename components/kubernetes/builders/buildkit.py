"""BuildKit without root: a daemon and its client in one pod, in a user namespace of the pod's own."""

import json
from typing import Final

from components.kubernetes.builders.pod import LOGINS, WORK, Pod, mirrored, pod, scripted, work_volume
from components.kubernetes.builders.source import Source, source
from components.kubernetes.builders.work import Work

_UID: Final = 1000
"""The user of the image. /etc/subuid in there has the further ids that it may use."""

_CAPABILITIES: Final = ("SETGID", "SETUID")
"""What newuidmap and newgidmap take from the bounding set when they write the user namespace's maps. The daemon itself
has no capability outside that namespace."""

_CACHE_TAG: Final = "buildkit"

_SCRIPT: Final = """\
mkdir -p "$XDG_RUNTIME_DIR"
printf '%s' "$BUILDKITD" > buildkitd.toml
if [ -n "$PACKED" ]; then
  mkdir context
  tar -xzf "$PACKED" -C context
fi
# Steps share the daemon's processes, since Kubernetes lets no pod mount another /proc.
rootlesskit buildkitd --oci-worker-no-process-sandbox --config buildkitd.toml --root "$TMPDIR/state" \\
  --addr "$BUILDKIT_HOST" > daemon.log 2>&1 &
daemon=$!
until buildctl debug workers > /dev/null 2>&1; do
  if ! kill -0 "$daemon" 2> /dev/null; then
    echo 'BuildKit did not start:'
    cat daemon.log
    exit 1
  fi
  sleep 0.1
done
follow buildctl build --frontend=dockerfile.v0 --progress=plain --metadata-file=pushed.json "$@"
sed -n 's/.*"containerimage\\.digest": *"\\(sha256:[0-9a-f]*\\)".*/\\1/p' pushed.json > /dev/termination-log
"""


def buildkit(work: Work) -> Pod:
    """Give the pod that builds with BuildKit."""
    context = source(work)
    environment = {
        "BUILDKITD": _configuration(work),
        "BUILDKIT_HOST": f"unix://{WORK}/run/buildkitd.sock",
        "DOCKER_CONFIG": LOGINS,
        "XDG_RUNTIME_DIR": f"{WORK}/run",
    }
    container = {
        "name": "buildkit",
        **scripted(work, context, _SCRIPT, [*_context(work, context), *_what(work), *_registries(work)], environment),
        "securityContext": {
            # newuidmap and newgidmap have a capability each as programs, which would count for nothing otherwise.
            "allowPrivilegeEscalation": True,
            "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            # Both forbid to make a user namespace, and to mount in it.
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        },
    }
    # The logins are root's and its group's. A group of the volumes' (fsGroup) would open ssh's key to it, and ssh
    # refuses such a key.
    return pod(work, context, container, volumes=[work_volume(work)], securityContext={"supplementalGroups": [0]})


def _context(work: Work, context: Source) -> list[str]:
    filename = f"--opt=filename={work.build.dockerfile}"
    if context.address is not None:
        return [f"--opt=context={context.address}", filename]
    folder = context.folder or f"{WORK}/context"
    return [f"--local=context={folder}", f"--local=dockerfile={folder}", filename]


def _what(work: Work) -> list[str]:
    build = work.build
    options = {f"build-arg:{name}": value for name, value in build.args.items()}
    options |= {f"label:{key}": value for key, value in build.labels.items()}
    options |= {"target": build.target} if build.target is not None else {}
    options |= {"platform": build.platform} if build.platform is not None else {}
    return [f"--opt={name}={value}" for name, value in sorted(options.items())]


def _registries(work: Work) -> list[str]:
    arguments = [f'--output=type=image,"name={",".join(work.destinations)}",push=true']
    if work.build.cache.enabled:
        layers = f"type=registry,ref={work.cache_repository}:{_CACHE_TAG}"
        # Layers that can't be kept are no reason to fail a build that is pushed.
        arguments += [f"--import-cache={layers}", f"--export-cache={layers},mode=max,ignore-error=true"]
    return arguments


def _configuration(work: Work) -> str:
    """Give the daemon's configuration, in TOML."""
    tables: dict[str, list[str]] = {host: ["http = true"] for host in work.plain_registries}
    for host, mirror, _ in mirrored(work):
        tables.setdefault(host, []).append(f"mirrors = [{json.dumps(mirror)}]")
    return "".join(
        f"[registry.{json.dumps(host)}]\n" + "".join(f"{line}\n" for line in lines)
        for host, lines in sorted(tables.items())
    )
