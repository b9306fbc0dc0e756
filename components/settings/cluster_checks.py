"""What must hold between the settings of the Kubernetes platform."""

import json
import re
from collections.abc import Iterator
from typing import Final

from components.settings import builder_checks
from components.settings.builds import BuildSettings
from components.settings.fields import image_domain
from components.settings.gitlab import HELPER_CPU_MILLICORES, HELPER_MEMORY_MIB
from components.settings.model import Settings
from components.settings.problems import Problem

_OLDEST_REGISTRY: Final = (3, 1, 2)
"""The first release without BIT-distribution-2026-85747: manifests that do not match their digest. Those before 3.1.0
also write files that a power cut leaves empty."""

_ADDRESS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}(?::|$)")

_ARCHIVED_KANIKO: Final = "gcr.io/kaniko-project/"

_LOGIN_KEYS: Final = ("auth", "identitytoken", "password", "registrytoken")

RESERVED_TAG: Final = "build-"
"""How the tag begins under which the registry keeps every single build's image."""


def between(settings: Settings) -> Iterator[Problem]:
    """Give every problem that lies between two settings, each under the key that is best changed."""
    yield from _registry(settings)
    yield from _tls(settings)
    yield from _images(settings)
    yield from _builds(settings)
    yield from builder_checks.between(settings)
    yield from _quota(settings)


def own_repository(destination: str) -> str | None:
    """Give the repository in this stack's registry that a destination names; None where it names another registry."""
    return None if image_domain(destination) else destination.rpartition(":")[0]


def logins(docker_config: str) -> dict[str, dict[str, str]] | None:
    """Give the logins of a docker config.json by host; None where it is not one.

    An entry without a login in it is what docker leaves there when it keeps the login in a store of the desktop's.
    """
    try:
        auths = json.loads(docker_config)["auths"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(auths, dict) or not all(isinstance(entry, dict) for entry in auths.values()):
        return None
    return {host: entry for host, entry in auths.items() if any(entry.get(key) for key in _LOGIN_KEYS)}


def _registry(settings: Settings) -> Iterator[Problem]:
    registry = settings.registry
    if settings.registry_password is None:
        yield Problem(
            key="ci:registryPassword",
            wrong="is missing, and builds push with it",
            instead="set one with `pulumi config set --secret ci:registryPassword`",
        )
    if registry.ingress is not None and registry.host is None:
        yield Problem(
            key="ci:registry.host",
            wrong="is missing, and the ingress answers to a name",
            instead="give the name, for example host: registry.example.org",
        )
    if registry.ingress is not None and registry.host is not None and _ADDRESS.match(registry.host):
        yield Problem(
            key="ci:registry.host",
            value=registry.host,
            wrong="is an address, and an ingress answers to names alone",
            instead="give a name that leads to it, for example host: registry.example.org",
        )
    if registry.ingress is not None and registry.node_port is not None:
        yield Problem(
            key="ci:registry.nodePort",
            value=registry.node_port,
            wrong="stands beside an ingress, and the registry has one name",
            instead="leave one of the two out",
        )
    names = [registry.user, *(user.name for user in registry.users)]
    for place, user in enumerate(registry.users):
        if names.index(user.name) <= place:
            yield Problem(
                key=f"ci:registry.users[{place}].name",
                value=user.name,
                wrong="is another user's name too",
                instead="give each user a name of its own",
            )
    mirror = registry.mirror
    for place, host in enumerate(mirror.hosts if mirror is not None else ()):
        if host in {"docker.io", "registry-1.docker.io"}:
            yield Problem(
                key=f"ci:registry.mirror.hosts[{place}]",
                value=host,
                wrong="is not what kaniko calls the public registry, so its builds would pass the mirror by",
                instead="write index.docker.io, which every builder takes",
            )
    if mirror is not None and (mirror.user is None) != (settings.mirror_password is None):
        yield Problem(
            key="ci:registry.mirror.user" if mirror.user is None else "ci:mirrorPassword",
            wrong="is missing, and the other half of the login is given",
            instead="give both (`pulumi config set --secret ci:mirrorPassword`), or neither",
        )


def _tls(settings: Settings) -> Iterator[Problem]:
    registry, tls = settings.registry, settings.registry.tls
    if tls is None:
        if not registry.plain_http:
            yield Problem(
                key="ci:registry.tls",
                wrong="is missing, so passwords and images would cross the network in clear",
                instead="give a certificate, for example tls: {issuer: letsencrypt}, or write plainHttp: true",
            )
    elif registry.plain_http:
        yield Problem(
            key="ci:registry.plainHttp",
            value=True,
            wrong="stands beside tls",
            instead="leave one of the two out",
        )
    if tls is not None:
        given = [
            key
            for key, value in (
                ("secretName", tls.secret_name),
                ("certificateFile", tls.certificate_file),
                ("issuer", tls.issuer),
            )
            if value is not None
        ]
        if len(given) != 1:
            yield Problem(
                key="ci:registry.tls",
                wrong=f"names {len(given)} sources of the certificate",
                instead="give one of secretName, certificateFile and issuer, for example issuer: letsencrypt",
            )
        if tls.issuer is None and "issuer_kind" in tls.model_fields_set:
            yield Problem(
                key="ci:registry.tls.issuerKind",
                value=tls.issuer_kind,
                wrong="has no effect without an issuer",
                instead="give the issuer, or leave this out",
            )
    has_file = tls is not None and tls.certificate_file is not None
    if has_file != (settings.registry_tls_key is not None):
        yield Problem(
            key="ci:registryTlsKey" if has_file else "ci:registry.tls.certificateFile",
            wrong="is missing, and its other half is given",
            instead="give both: the file, and `pulumi config set --secret ci:registryTlsKey < key.pem`",
        )


def _images(settings: Settings) -> Iterator[Problem]:
    image = settings.registry.image
    version = re.search(r"(?:^|/)(?:registry|distribution):v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-@]|$)", image)
    if version and tuple(int(part or 0) for part in version.groups()) < _OLDEST_REGISTRY:
        yield Problem(
            key="ci:registry.image",
            value=image,
            wrong="does not check an image against its digest (BIT-distribution-2026-85747)",
            instead="give 3.1.2 or newer, for example registry:3.1.2",
        )
    kaniko = settings.kubernetes.kaniko_image
    if kaniko.startswith(_ARCHIVED_KANIKO):
        yield Problem(
            key="ci:kubernetes.kanikoImage",
            value=kaniko,
            wrong="is of the archived project, whose last release writes outside its folder (CVE-2026-28406)",
            instead="give the maintained fork, for example ghcr.io/osscontainertools/kaniko:v1.28.3",
        )


def _builds(settings: Settings) -> Iterator[Problem]:
    names = [build.name for build in settings.builds]
    taken: dict[str, str] = {}
    elsewhere = logins(settings.docker_config.get_secret_value()) if settings.docker_config else {}
    if elsewhere is None:
        yield Problem(
            key="ci:dockerConfig",
            wrong="is not a docker config.json with a map of logins under auths",
            instead='set it from a file that holds {"auths": {"ghcr.io": {"auth": "..."}}}',
        )
    for place, build in enumerate(settings.builds):
        key = f"ci:builds[{place}]"
        first = names.index(build.name)
        if first < place:
            yield Problem(
                key=f"{key}.name",
                value=build.name,
                wrong=f"is the name of ci:builds[{first}] too",
                instead="give each build a name of its own",
            )
        for number, destination in enumerate(build.destinations or (f"{build.name}:latest",)):
            spot = f"{key}.destinations[{number}]"
            if destination in taken:
                yield Problem(
                    key=spot,
                    value=destination,
                    wrong=f"is pushed by {taken[destination]} too, and the later push would win",
                    instead="give each image a tag of its own",
                )
            taken.setdefault(destination, spot)
            yield from _destination(spot, destination, elsewhere)
        yield from _context(key, build, settings)


def _destination(key: str, destination: str, elsewhere: dict[str, dict[str, str]] | None) -> Iterator[Problem]:
    domain = image_domain(destination)
    if domain is not None and elsewhere is not None and _host(domain) not in map(_host, elsewhere):
        yield Problem(
            key=key,
            value=destination,
            wrong=f"is in a registry without a login ({', '.join(sorted(elsewhere)) or 'there are none'})",
            instead=f"add {domain} to `ci:dockerConfig`, or leave the host out for this stack's registry",
        )
    if domain is None and destination.rpartition(":")[2].startswith(RESERVED_TAG):
        yield Problem(
            key=key,
            value=destination,
            wrong=f"has a tag that begins with {RESERVED_TAG}, under which every single build is kept",
            instead="give another tag",
        )


def _host(login: str) -> str:
    """Give the host that a login is for. docker writes an address for its own registry, which has several names."""
    host = re.sub(r"^https?://", "", login).partition("/")[0]
    return "docker.io" if host in {"index.docker.io", "registry-1.docker.io"} else host


def _context(key: str, build: BuildSettings, settings: Settings) -> Iterator[Problem]:
    context = build.context
    given = [name for name, value in context if value is not None]
    if len(given) != 1:
        yield Problem(
            key=f"{key}.context",
            wrong=f"names {len(given)} sources of files" + (f" ({', '.join(given)})" if given else ""),
            instead="give one of git, archive, directory, inline and volume, for example directory: images/website",
        )
    if context.inline is not None and build.dockerfile not in context.inline:
        yield Problem(
            key=f"{key}.dockerfile",
            value=build.dockerfile,
            wrong=f"is not among the inline files ({', '.join(sorted(context.inline))})",
            instead="add it to them, or name one of them",
        )
    inside = [
        path for path in context.inline or () if any(path.startswith(f"{other}/") for other in context.inline or ())
    ]
    if inside:
        yield Problem(
            key=f"{key}.context.inline",
            wrong=f"has {inside[0]}, which is inside another of the files",
            instead="give each file a path of its own",
        )
    if context.archive is not None and not context.archive.startswith("https:") and not settings.storage_credentials:
        yield Problem(
            key=f"{key}.context.archive",
            value=context.archive,
            wrong="is in object storage, and the stack has no credentials for it",
            instead="set them with `pulumi config set --secret ci:storageCredentials < file`",
        )
    if context.git is not None:
        yield from _git(f"{key}.context.git", build, settings)


def _git(key: str, build: BuildSettings, settings: Settings) -> Iterator[Problem]:
    git = build.context.git
    if git is None:
        return
    over_ssh = git.repository.startswith("ssh:")
    wanted = "gitSshKey" if over_ssh else "gitToken"
    if over_ssh and not git.known_hosts:
        yield Problem(
            key=f"{key}.knownHosts",
            wrong="is missing, so whoever answers would be taken for the host",
            instead="give what `ssh-keyscan HOST` prints, after a look at the host's published fingerprint",
        )
    if not over_ssh and git.known_hosts is not None:
        yield Problem(key=f"{key}.knownHosts", wrong="is for ssh:// addresses", instead="leave it out, or give one")
    if (git.credentials is None and over_ssh) or git.credentials not in (None, wanted):
        yield Problem(
            key=f"{key}.credentials",
            value=git.credentials,
            wrong=f"does not open {git.repository.partition(':')[0]}:// addresses",
            instead=f"write credentials: {wanted}",
        )
    elif git.credentials and (settings.git_ssh_key if over_ssh else settings.git_token) is None:
        yield Problem(
            key=f"{key}.credentials",
            value=git.credentials,
            wrong="needs a secret that the stack does not have",
            instead=f"set it with `pulumi config set --secret ci:{wanted}`",
        )


def _quota(settings: Settings) -> Iterator[Problem]:
    quota = settings.kubernetes.quota
    if quota is None:
        return
    cpu, memory = _needed(settings)
    jobs = " and a GitLab Runner's jobs" if settings.gitlab_runner is not None else ""
    also = ", or ci:gitlabRunner.concurrency" if jobs else ""
    for needed, allowed, key, unit in (
        (cpu, quota.cpu_millicores, "cpuMillicores", "thousandths"),
        (memory, quota.memory_mib, "memoryMib", "MiB"),
    ):
        if needed > allowed:
            yield Problem(
                key=f"ci:kubernetes.quota.{key}",
                value=allowed,
                wrong=f"is less than the {needed} {unit} of all builds'{jobs} limits, so some would be refused (403)",
                instead=f"give {needed} or more, or lower ci:builds[...].resources.{key}{also}",
            )


def _pods(build: BuildSettings) -> int:
    """Give how many pods of a build can run at one time: its Job's, and its schedule's."""
    return 2 if build.schedule else 1


def pods_of(settings: Settings) -> int:
    """Give how many pods the builds, and a GitLab Runner's jobs, are at one time."""
    jobs = settings.gitlab_runner.concurrency if settings.gitlab_runner is not None else 0
    return sum(_pods(build) for build in settings.builds) + jobs


def quota_of(settings: Settings) -> tuple[int, int]:
    """Give the builds' quota: thousandths of a processor, and MiB of memory."""
    quota = settings.kubernetes.quota
    return _needed(settings) if quota is None else (quota.cpu_millicores, quota.memory_mib)


def _needed(settings: Settings) -> tuple[int, int]:
    """Give what everything that may run at one time is limited to: thousandths of a processor, and MiB of memory."""
    cpu = sum(build.resources.cpu_millicores * _pods(build) for build in settings.builds)
    memory = sum(build.resources.memory_mib * _pods(build) for build in settings.builds)
    runner = settings.gitlab_runner
    if runner is not None:
        cpu += runner.concurrency * (runner.jobs.cpu_millicores + HELPER_CPU_MILLICORES)
        memory += runner.concurrency * (runner.jobs.memory_mib + HELPER_MEMORY_MIB)
    return cpu, memory
