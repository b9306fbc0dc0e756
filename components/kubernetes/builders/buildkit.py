"""BuildKit builds without root: daemon and client are in one pod, in a user namespace of their own."""

import json
from typing import Final

from components.kubernetes.builders.pod import LOGINS, SCRATCH, PodSpec, mirrored, pod_spec, scratch_volume, scripted
from components.kubernetes.builders.source import Source, source
from components.kubernetes.builders.spec import BuildSpec

_UID: Final = 1000
"""The image's user. /etc/subuid in the image lists further ids that it may use."""

_CAPABILITIES: Final = ("SETGID", "SETUID")
"""newuidmap and newgidmap need them to write the user namespace's maps. The daemon has no capability outside it."""

_CACHE_TAG: Final = "buildkit"

_SCRIPT: Final = """\
mkdir -p "$XDG_RUNTIME_DIR"
printf '%s' "$BUILDKITD" > buildkitd.toml
if [ -n "$PACKED" ]; then
  mkdir context
  tar -xzf "$PACKED" -C context
fi
# Steps see the daemon's processes, since a pod in Kubernetes can't mount another /proc.
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


def buildkit(spec: BuildSpec) -> PodSpec:
    """Return the pod that builds with BuildKit."""
    context = source(spec)
    environment = {
        "BUILDKITD": _configuration(spec),
        "BUILDKIT_HOST": f"unix://{SCRATCH}/run/buildkitd.sock",
        "DOCKER_CONFIG": LOGINS,
        "XDG_RUNTIME_DIR": f"{SCRATCH}/run",
    }
    wanted = [*_context(spec, context), *_what(spec), *_registries(spec)]
    container = {
        "name": "buildkit",
        **scripted(spec, context, _SCRIPT, wanted, environment),
        "securityContext": {
            # newuidmap and newgidmap have file capabilities, which would have no effect otherwise.
            "allowPrivilegeEscalation": True,
            "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            # The default profiles forbid creating a user namespace and mounting in it.
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        },
    }
    # The files of the logins belong to root and its group. With fsGroup, the group could read ssh's key too, and ssh
    # refuses such a key.
    return pod_spec(
        spec, context, container, volumes=[scratch_volume(spec)], securityContext={"supplementalGroups": [0]}
    )


def _context(spec: BuildSpec, context: Source) -> list[str]:
    filename = f"--opt=filename={spec.build.dockerfile}"
    if context.address is not None:
        return [f"--opt=context={context.address}", filename]
    folder = context.folder or f"{SCRATCH}/context"
    return [f"--local=context={folder}", f"--local=dockerfile={folder}", filename]


def _what(spec: BuildSpec) -> list[str]:
    build = spec.build
    options = {f"build-arg:{name}": value for name, value in build.args.items()}
    options |= {f"label:{key}": value for key, value in build.labels.items()}
    options |= {"target": build.target} if build.target is not None else {}
    options |= {"platform": build.platform} if build.platform is not None else {}
    return [f"--opt={name}={value}" for name, value in sorted(options.items())]


def _registries(spec: BuildSpec) -> list[str]:
    arguments = [f'--output=type=image,"name={",".join(spec.destinations)}",push=true']
    if spec.build.cache.enabled:
        layers = f"type=registry,ref={spec.cache_repository}:{_CACHE_TAG}"
        # A failed cache export does not fail a build that is pushed.
        arguments += [f"--import-cache={layers}", f"--export-cache={layers},mode=max,ignore-error=true"]
    return arguments


def _configuration(spec: BuildSpec) -> str:
    """Return the daemon's configuration in TOML."""
    tables: dict[str, list[str]] = {host: ["http = true"] for host in spec.plain_registries}
    for host, mirror, _ in mirrored(spec):
        tables.setdefault(host, []).append(f"mirrors = [{json.dumps(mirror)}]")
    return "".join(
        f"[registry.{json.dumps(host)}]\n" + "".join(f"{line}\n" for line in lines)
        for host, lines in sorted(tables.items())
    )
