"""The lab's images, made from its own programs and busybox, as archives that containerd takes in without a registry."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lab import builder_images, configs, programs
from offline import archive, binaries, gitlab_runner, images, proxy
from offline.archive import Entry
from setup import cache
from setup.console import OpsError

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_NAMES = {
    # Debian's Buildah is as old as the machine, and its image has no version.
    **{name: f"ci-lab/{name}:1" for name in ("buildah", "busybox", "git", "gitlab-runner", "haproxy")},
    **{name: f"ci-lab/{name}:{{{name}}}" for name in ("coredns", "kubectl", "registry")},
    "buildkit": "ci-lab/buildkit:{buildkitd}",
    "kaniko": "ci-lab/kaniko:{executor}",
    "pause": configs.PAUSE,
}
UPSTREAM = "library/"
"""How the names of those begin that are in the registry that stands for the public one. The others are on the node."""

PAUSE_SCRIPT = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 86400 & wait $!; done\n"
"""The process that holds a pod's namespaces. As process 1 of a pod that shares them it also waits for orphans."""
_USERS = """\
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000::/home/user:/bin/sh
nobody:x:65534:65534::/:/bin/false
"""


@dataclasses.dataclass(frozen=True)
class Image:
    """One image of the lab's."""

    name: str
    """As Pod specs have it: `ci-lab/kaniko:1.27.5`; containerd puts `docker.io/` before it."""
    entries: tuple[Entry, ...]
    config: Mapping[str, Any]


def names() -> dict[str, str]:
    """Give the names of the images on the node, as a Pod spec has them, by their short names."""
    versions = {name: module.version.removeprefix("v") for module in programs.ALL for name in module.programs}
    return {short: name.format_map(versions) for short, name in _NAMES.items()}


def all_of(built: Mapping[str, Path]) -> list[Image]:
    """Every image of the lab's programs by name. Raises OpsError where there is no bundle of authorities."""
    if not CA_BUNDLE.is_file():
        raise OpsError(f"{CA_BUNDLE} is missing.", "apt-get install ca-certificates")
    userland = _userland()
    bundle = Entry(str(CA_BUNDLE), mode=0o644, source=CA_BUNDLE)
    on_node: dict[str, Sequence[Entry]] = {
        "pause": (*userland, Entry("/pause", content=PAUSE_SCRIPT)),
        "busybox": userland,
        "coredns": (Entry("/coredns", source=built["coredns"]),),
        "kaniko": _kaniko(built["executor"]),
        "registry": (*userland, *_registry(built["registry"])),
        "git": (*userland, *builder_images.git(), bundle),
        "buildkit": (*userland, bundle, *builder_images.buildkit(built)),
        "buildah": (*userland, bundle, *builder_images.buildah()),
        "kubectl": (Entry("/bin/kubectl", source=built["kubectl"]),),
        "haproxy": proxy.entries(),
        "gitlab-runner": (*userland, *gitlab_runner.entries()),
    }
    config = yaml.safe_load((configs.TEMPLATES / "images.yaml").read_text())
    config |= {"haproxy": images.config(images.PROXY), "gitlab-runner": images.config(images.GITLAB_RUNNER)}
    named = names()
    return [
        *(Image(named[short], tuple(of), config[short]) for short, of in on_node.items()),
        *(
            Image(f"{UPSTREAM}{name}", userland, config["busybox"])
            for name in ("busybox:1", "alpine:3.22", "alpine:latest")
        ),
    ]


def _userland() -> tuple[Entry, ...]:
    """busybox under all its names, with users of no particular image."""
    users = Entry("/etc/passwd", mode=0o644, content=_USERS)
    groups = Entry("/etc/group", mode=0o644, content="root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n")
    return (*images.userland(binaries.busybox()), users, groups)


def _kaniko(executor: Path) -> tuple[Entry, ...]:
    """Laid out as the published executor image is: nothing but /kaniko, which any user may write to."""
    return (
        Entry("/kaniko", mode=0o777),
        Entry("/kaniko/executor", source=executor),
        Entry("/kaniko/.docker"),
        Entry("/kaniko/ssl/certs/ca-certificates.crt", mode=0o644, source=CA_BUNDLE),
        Entry("/etc/nsswitch.conf", mode=0o644, content="hosts: files dns\n"),
        Entry("/workspace"),
    )


def _registry(registry: Path) -> tuple[Entry, ...]:
    """Laid out as the official image is."""
    return (
        Entry("/bin/registry", source=registry),
        Entry("/entrypoint.sh", content=(configs.TEMPLATES / "registry-entrypoint.sh").read_text()),
        Entry("/etc/distribution/config.yml", mode=0o644, content=(configs.TEMPLATES / "registry.yaml").read_text()),
        Entry("/etc/ssl/certs/ca-certificates.crt", mode=0o644, source=CA_BUNDLE),
        Entry("/var/lib/registry"),
    )


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
