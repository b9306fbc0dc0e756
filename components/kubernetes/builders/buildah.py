"""Buildah: builds as root of its own container, in a user namespace that it makes itself."""

import json
from typing import Final

from components.kubernetes.builders.pod import LOGINS, WORK, Pod, mirrored, pod, scripted, work_volume
from components.kubernetes.builders.source import Source, source
from components.kubernetes.builders.work import Work

_CAPABILITIES: Final = ("SETFCAP", "SETGID", "SETUID")
"""What it takes to make a user namespace with all of the container's users in it, root too (SETFCAP). In there Buildah
has every capability, and needs no other one outside. Pod Security `baseline` lets all three be added."""

_SCRIPT: Final = """\
mkdir none
printf '%s' "$REGISTRIES" > registries.conf
# Overlays take a kernel that lets a user namespace mount them; copies of whole file systems work everywhere, slowly.
for driver in overlay vfs; do
  printf '[storage]\\ndriver = "%s"\\ngraphroot = "%s"\\nrunroot = "%s"\\n' \
    "$driver" "$TMPDIR/$driver" "$TMPDIR/run" > "$CONTAINERS_STORAGE_CONF"
  if buildah info > /dev/null 2>&1; then break; fi
done
echo "images are kept by $driver"
run() { follow buildah --registries-conf=registries.conf --registries-conf-dir=none "$@"; }
run build --tag=ci-build "$@"
for destination in $DESTINATIONS; do
  run push --digestfile=digest --retry=3 localhost/ci-build "docker://$destination"
  # What `images` names must be found under every tag.
  if [ -e first ] && ! cmp -s first digest; then
    echo "$destination got $(cat digest), and the first destination $(cat first)"
    exit 1
  fi
  [ -e first ] || cp digest first
done
cat first > /dev/termination-log
"""


def buildah(work: Work) -> Pod:
    """Give the pod that builds with Buildah."""
    context = source(work)
    environment = {
        "BUILDAH_ISOLATION": "chroot",
        "DESTINATIONS": " ".join(work.destinations),
        "CONTAINERS_STORAGE_CONF": f"{WORK}/storage.conf",
        "REGISTRIES": _configuration(work),
        "REGISTRY_AUTH_FILE": f"{LOGINS}/config.json",
    }
    container = {
        "name": "buildah",
        **scripted(work, context, _SCRIPT, [*_what(work), *_cache(work), *_context(work, context)], environment),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
            # Its libraries lock and cache in /run and /var, too, and where depends on their version.
            "readOnlyRootFilesystem": False,
            "runAsUser": 0,
            # No seccompProfile: the runtime's default one forbids to make a user namespace.
        },
    }
    return pod(work, context, container, volumes=[work_volume(work)])


def _context(work: Work, context: Source) -> list[str]:
    if context.folder is not None:
        return [f"--file={context.folder}/{work.build.dockerfile}", context.folder]
    # A packed context is read from the standard input.
    return [f"--file={work.build.dockerfile}", context.address or "-"]


def _what(work: Work) -> list[str]:
    build = work.build
    arguments = [f"--build-arg={name}={value}" for name, value in sorted(build.args.items())]
    arguments += [f"--label={key}={value}" for key, value in sorted(build.labels.items())]
    if build.target is not None:
        arguments.append(f"--target={build.target}")
    if build.platform is not None:
        arguments.append(f"--platform={build.platform}")
    # OCI's format has no health check, no shell and no steps for images built on top. The others don't name themselves.
    return [*arguments, "--format=docker", "--identity-label=false"]


def _cache(work: Work) -> list[str]:
    if not work.build.cache.enabled:
        return ["--no-cache"]
    return [
        "--layers",
        f"--cache-from={work.cache_repository}",
        f"--cache-to={work.cache_repository}",
        f"--cache-ttl={work.build.cache.hours}h",
    ]


def _configuration(work: Work) -> str:
    """Give registries.conf, in TOML: a name without a host is the public registry's, as everywhere."""
    mirrors = {host: (mirror, plain) for host, mirror, plain in mirrored(work)}
    text = 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n'
    for host in sorted({*work.plain_registries, *mirrors}):
        text += f"\n[[registry]]\nlocation = {json.dumps(host)}\n"
        text += "insecure = true\n" if host in work.plain_registries else ""
        if host in mirrors:
            mirror, plain = mirrors[host]
            text += f"\n[[registry.mirror]]\nlocation = {json.dumps(mirror)}\n" + ("insecure = true\n" if plain else "")
    return text
