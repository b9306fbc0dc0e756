"""Buildah builds as root in its container, in a user namespace that it creates itself."""

import json
from pathlib import Path
from typing import Final

from .pod import LOGINS, SCRATCH, PodSpec, mirrored, pod_spec, scratch_volume, scripted
from .source import Source, source
from .spec import BuildSpec, flags

_CAPABILITIES: Final = ("SETFCAP", "SETGID", "SETUID")
"""Needed to create a user namespace with all users of the container, root too (SETFCAP). Inside that namespace Buildah
has every capability. Pod Security `baseline` allows all three."""

_FORMAT: Final = ("--format=docker", "--identity-label=false")
"""OCI's format has no HEALTHCHECK and no SHELL. The other builders do not label an image with their own name."""

_SCRIPT: Final = Path(__file__).with_name("buildah.sh").read_text(encoding="utf-8")


def buildah(spec: BuildSpec) -> PodSpec:
    """Return the pod that builds with Buildah."""
    context = source(spec)
    environment = {
        "BUILDAH_ISOLATION": "chroot",
        "DESTINATIONS": " ".join(spec.destinations),
        "CONTAINERS_STORAGE_CONF": f"{SCRATCH}/storage.conf",
        "REGISTRIES": _configuration(spec),
        "REGISTRY_AUTH_FILE": f"{LOGINS}/config.json",
    }
    wanted = [*flags(spec.build, platform="--platform"), *_FORMAT, *_cache(spec), *_context(spec, context)]
    container = {
        "name": "buildah",
        **scripted(spec, context, _SCRIPT, wanted, environment),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
            # Its libraries also write locks and caches in /run and /var, in folders that depend on their version.
            "readOnlyRootFilesystem": False,
            "runAsUser": 0,
            # No seccompProfile: the runtime's default profile forbids creating a user namespace.
        },
    }
    return pod_spec(spec, context, container, volumes=[scratch_volume(spec)])


def _context(spec: BuildSpec, context: Source) -> list[str]:
    if context.folder is not None:
        return [f"--file={context.folder}/{spec.build.dockerfile}", context.folder]
    # A packed context is read from standard input.
    return [f"--file={spec.build.dockerfile}", context.address or "-"]


def _cache(spec: BuildSpec) -> list[str]:
    if not spec.build.cache.enabled:
        return ["--no-cache"]
    return [
        "--layers",
        f"--cache-from={spec.cache_repository}",
        f"--cache-to={spec.cache_repository}",
        f"--cache-ttl={spec.build.cache.hours}h",
    ]


def _configuration(spec: BuildSpec) -> str:
    """Return registries.conf in TOML. As usual, a name without a host means Docker Hub."""
    mirrors = {host: (mirror, plain) for host, mirror, plain in mirrored(spec.plain_registries, spec.mirrors)}
    text = 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n'
    for host in sorted({*spec.plain_registries, *mirrors}):
        text += f"\n[[registry]]\nlocation = {json.dumps(host)}\n"
        text += "insecure = true\n" if host in spec.plain_registries else ""
        if host in mirrors:
            mirror, plain = mirrors[host]
            text += f"\n[[registry.mirror]]\nlocation = {json.dumps(mirror)}\n" + ("insecure = true\n" if plain else "")
    return text
