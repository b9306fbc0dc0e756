"""The lab's images, made from its own programs and busybox, as archives that containerd takes in without a registry."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab import builder_images, configs, git_image
from offline import archive, binaries, gitlab_runner, images, proxy
from offline.archive import Entry
from ops.toolchain import cache
from ops.toolchain.console import OpsError

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUSYBOX = "ci-lab/busybox:1"
GIT = "ci-lab/git:1"
BUILDAH = "ci-lab/buildah:1"
GITLAB_RUNNER = "ci-lab/gitlab-runner:1"
HAPROXY = "ci-lab/haproxy:1"
NODE = "node"
UPSTREAM = "upstream"

PAUSE_SCRIPT = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 86400 & wait $!; done\n"
"""The process that holds a pod's namespaces. As process 1 of a pod that shares them it also waits for orphans."""
REGISTRY_CONFIG = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""
"""What the official image has at /etc/distribution/config.yml."""
REGISTRY_ENTRYPOINT = """\
#!/bin/sh
set -e
case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
"""
"""Takes the same words as the official image's: a configuration's path, or a verb of the registry's."""
_USERS = """\
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000::/home/user:/bin/sh
nobody:x:65534:65534::/:/bin/false
"""


@dataclasses.dataclass(frozen=True)
class Image:
    """One image of the lab's."""

    name: str
    """As Pod specs have it: `ci-lab/kaniko:1.24.0`; containerd puts `docker.io/` before it."""
    entries: tuple[Entry, ...]
    config: Mapping[str, Any]
    kept: str
    """`node`: put into containerd. `upstream`: put into the registry that stands for the public one."""

    @property
    def short(self) -> str:
        """Its name without repository and tag: `kaniko`."""
        return self.name.rpartition("/")[2].partition(":")[0]


def all_of(programs: Mapping[str, Path], versions: Mapping[str, str]) -> list[Image]:
    """Every image.

    Args:
        programs: the lab's programs by name, as `programs.ensure` has them.
        versions: their versions without the v, by the same names: they are the tags.

    Raises:
        OpsError: when the machine has no bundle of certificate authorities.
    """
    if not CA_BUNDLE.is_file():
        raise OpsError(f"{CA_BUNDLE} is missing.", "apt-get install ca-certificates")
    userland = _userland()
    bundle = Entry(str(CA_BUNDLE), mode=0o644, source=CA_BUNDLE)
    shell = {"Cmd": ["/bin/sh"], "Env": [images.PATH]}
    return [
        Image(
            configs.PAUSE,
            (*userland, Entry("/pause", content=PAUSE_SCRIPT)),
            {"Entrypoint": ["/pause"], "User": "65535:65535", "Env": [images.PATH]},
            NODE,
        ),
        Image(BUSYBOX, userland, shell, NODE),
        Image("library/busybox:1", userland, shell, UPSTREAM),
        Image("library/alpine:latest", userland, shell, UPSTREAM),
        Image(
            f"ci-lab/coredns:{versions['coredns']}",
            (Entry("/coredns", source=programs["coredns"]),),
            {"Entrypoint": ["/coredns"]},
            NODE,
        ),
        _kaniko(programs["executor"], versions["executor"]),
        _registry(userland, programs["registry"], versions["registry"]),
        Image(GIT, (*userland, *git_image.entries(), bundle), {"Entrypoint": ["git"], "Env": [images.PATH]}, NODE),
        *_builders((*userland, bundle), programs, versions),
        Image(
            f"ci-lab/kubectl:{versions['kubectl']}",
            (Entry("/bin/kubectl", source=programs["kubectl"]),),
            {"Entrypoint": ["/bin/kubectl"], "Env": ["PATH=/bin"], "User": "65532"},
            NODE,
        ),
        Image(HAPROXY, tuple(proxy.entries()), proxy.config({}, images.PATH), NODE),
        Image(GITLAB_RUNNER, (*userland, *gitlab_runner.entries()), gitlab_runner.config({}, images.PATH), NODE),
    ]


def _builders(common: tuple[Entry, ...], programs: Mapping[str, Path], versions: Mapping[str, str]) -> list[Image]:
    """The builders that bring a shell. Debian's Buildah is as old as the machine, and its image has no version."""
    without_root, config = builder_images.buildkit(programs)
    machines_own, of_root = builder_images.buildah()
    return [
        Image(f"ci-lab/buildkit:{versions['buildkitd']}", (*common, *without_root), config, NODE),
        Image(BUILDAH, (*common, *machines_own), of_root, NODE),
    ]


def _userland() -> tuple[Entry, ...]:
    """busybox under all its names, with users of no particular image."""
    users = Entry("/etc/passwd", mode=0o644, content=_USERS)
    groups = Entry("/etc/group", mode=0o644, content="root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n")
    return (*images.userland(binaries.busybox()), users, groups)


def _kaniko(executor: Path, version: str) -> Image:
    """Laid out as the published executor image is: nothing but /kaniko, which any user may write to."""
    entries = (
        Entry("/kaniko", mode=0o777),
        Entry("/kaniko/executor", source=executor),
        Entry("/kaniko/.docker"),
        Entry("/kaniko/ssl/certs/ca-certificates.crt", mode=0o644, source=CA_BUNDLE),
        Entry("/etc/nsswitch.conf", mode=0o644, content="hosts: files dns\n"),
        Entry("/workspace"),
    )
    env = ["HOME=/root", "USER=root", "PATH=/usr/local/bin:/kaniko", "SSL_CERT_DIR=/kaniko/ssl/certs"]
    config = {
        "Entrypoint": ["/kaniko/executor"],
        "Env": [*env, "DOCKER_CONFIG=/kaniko/.docker/"],
        "WorkingDir": "/workspace",
    }
    return Image(f"ci-lab/kaniko:{version}", entries, config, NODE)


def _registry(userland: tuple[Entry, ...], registry: Path, version: str) -> Image:
    """Laid out as the official image is."""
    entries = (
        *userland,
        Entry("/bin/registry", source=registry),
        Entry("/entrypoint.sh", content=REGISTRY_ENTRYPOINT),
        Entry("/etc/distribution/config.yml", mode=0o644, content=REGISTRY_CONFIG),
        Entry("/etc/ssl/certs/ca-certificates.crt", mode=0o644, source=CA_BUNDLE),
        Entry("/var/lib/registry"),
    )
    config = {
        "Entrypoint": ["/entrypoint.sh"],
        "Cmd": ["/etc/distribution/config.yml"],
        "Env": [images.PATH, "OTEL_TRACES_EXPORTER=none"],
        "ExposedPorts": {"5000/tcp": {}},
        "Volumes": {"/var/lib/registry": {}},
    }
    return Image(f"ci-lab/registry:{version}", entries, config, NODE)


def archives(wanted: Iterable[Image]) -> dict[str, Path]:
    """Each image's archive by its name, made first if need be: in the format of `docker save`."""
    return {image.name: _archive(image) for image in wanted}


def _archive(image: Image) -> Path:
    def build(part: Path) -> None:
        with (part / "image.tar").open("wb") as file:
            archive.write(
                file, name=image.name, entries=image.entries, config=image.config, architecture=binaries.architecture()
            )

    what = "lab-image-" + image.name.rpartition("/")[2].replace(":", "-")
    return cache.make(what, _key(image), build, waiting_for=f"making {image.name}") / "image.tar"


def _key(image: Image) -> str:
    """The hash of an image's content. A big program's name in the cache stands for it; it has its pins' hash in it."""
    parts: list[str] = [image.name, repr(sorted(image.config.items())), binaries.architecture()]
    for entry in image.entries:
        stat = entry.source.stat() if entry.source else None
        size = f"{stat.st_size} {stat.st_mtime_ns}" if stat else ""
        parts.append(repr((entry, size)))
    return cache.digest(*parts, Path(archive.__file__))
