"""The rules between the settings of the registry, its mirror and the receiver of git hosts' calls."""

import re
from collections.abc import Iterator
from typing import Final

from .kubernetes import RegistrySettings, WebhookSettings
from .model import Settings
from .problems import Problem, duplicate, no_effect, required

_OLDEST_REGISTRY: Final = (3, 1, 2)
"""The first release without BIT-distribution-2026-85747: manifests that do not match their digest. Those before 3.1.0
also write files that a power cut leaves empty."""

_ADDRESS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}(?::|$)")


def between(settings: Settings) -> Iterator[Problem]:
    """Return every problem between two settings of the registry, or between it and another key."""
    yield from _registry(settings)
    yield from _webhook(settings)
    yield from _users(settings.registry)
    yield from _mirror(settings)
    yield from _tls(settings)


def _registry(settings: Settings) -> Iterator[Problem]:
    registry = settings.registry
    yield from _ingress("ci:registry", registry, "registry.example.org")
    collection = registry.garbage_collection
    if registry.keep is not None and (collection is None or not collection.delete_untagged):
        key = "ci:registry.garbageCollection" + ("" if collection is None else ".deleteUntagged")
        instead = "write garbageCollection: {deleteUntagged: true}, or remove ci:registry.keep"
        yield required(key, "by ci:registry.keep: without it, the images of removed tags would stay", instead)
    version = re.search(r"(?:^|/)(?:registry|distribution):v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-@]|$)", registry.image)
    if version and tuple(int(part or 0) for part in version.groups()) < _OLDEST_REGISTRY:
        yield Problem(
            "ci:registry.image",
            "vulnerable",
            "does not check an image against its digest (BIT-distribution-2026-85747)",
            "give 3.1.2 or newer, for example registry:3.1.2",
            registry.image,
        )


def _ingress(key: str, given: RegistrySettings | WebhookSettings, example: str) -> Iterator[Problem]:
    if given.ingress is None:
        return
    if given.host is None:
        yield required(f"{key}.host", "by an ingress", f"give a name, for example host: {example}")
    elif _ADDRESS.match(given.host):
        instead = f"give a name that resolves to it, for example host: {example}"
        yield Problem(f"{key}.host", "conflict", "is an address, and an ingress needs a name", instead, given.host)
    if given.node_port is not None:
        yield no_effect(f"{key}.nodePort", "beside an ingress, since there is one name", "remove one")


def _webhook(settings: Settings) -> Iterator[Problem]:
    webhook = settings.webhook
    if webhook is None:
        if settings.webhook_secret is not None:
            yield no_effect("ci:webhookSecret", "without ci:webhook", "remove it, or give for example ci:webhook: {}")
        return
    yield from _ingress("ci:webhook", webhook, "hooks.example.org")
    if not any(build.on_push for build in settings.builds):
        yield no_effect("ci:webhook", "without a build with onPush", "give a build onPush: {}, or remove it")
    if webhook.node_port is not None and webhook.node_port == settings.registry.node_port:
        yield duplicate("ci:webhook.nodePort", webhook.node_port, "ci:registry.nodePort", "give another, such as 30900")
    names = [given.host.partition(":")[0] for given in (webhook, settings.registry) if given.ingress and given.host]
    if len({*names}) < len(names):
        yield duplicate("ci:webhook.host", webhook.host, "ci:registry.host", "give another, such as hooks.example.org")
    if webhook.ingress is None and webhook.tls_secret is not None:
        yield no_effect("ci:webhook.tlsSecret", "without an ingress", "give the ingress, or remove this")
    if webhook.ingress is None and webhook.node_port is None and webhook.host is not None:
        yield no_effect("ci:webhook.host", "without an ingress or a nodePort", "give one of them, or remove this")


def _users(registry: RegistrySettings) -> Iterator[Problem]:
    names = {registry.user: "ci:registry.user"}
    if registry.pull_user == registry.user:
        yield duplicate("ci:registry.pullUser", registry.pull_user, "ci:registry.user", "give another, such as ci-pull")
    names[registry.pull_user] = "ci:registry.pullUser"
    for index, user in enumerate(registry.users):
        key = f"ci:registry.users[{index}].name"
        other = names.setdefault(user.name, key)
        if other != key:
            yield duplicate(key, user.name, other, f"give the user another name, for example {user.name}-2")
        if user.repositories and not user.push:
            key = f"ci:registry.users[{index}].repositories"
            yield no_effect(key, "without push, and the user may pull everywhere", "write push: true beside it")


def _mirror(settings: Settings) -> Iterator[Problem]:
    mirror = settings.registry.mirror
    if mirror is None:
        return
    for index, host in enumerate(mirror.hosts):
        if host in {"docker.io", "registry-1.docker.io"}:
            yield Problem(
                f"ci:registry.mirror.hosts[{index}]",
                "conflict",
                "is not kaniko's name for the public registry, so its builds would not use the mirror",
                "write index.docker.io, which every builder accepts",
                host,
            )
    if (mirror.user is None) != (settings.mirror_password is None):
        yield required(
            "ci:registry.mirror.user" if mirror.user is None else "ci:mirrorPassword",
            "since a login at the mirror's upstream needs both a user and a password",
            "give both (user: NAME and `pulumi config set --secret ci:mirrorPassword`), or neither",
        )


def _tls(settings: Settings) -> Iterator[Problem]:
    registry, tls = settings.registry, settings.registry.tls
    if tls is None and not registry.plain_http:
        yield Problem(
            "ci:registry.tls",
            "not_confirmed",
            "is missing, so passwords and images would cross the network in clear",
            "give a certificate, for example tls: {issuer: letsencrypt}, or write plainHttp: true",
        )
    if tls is not None and registry.plain_http:
        yield Problem(
            "ci:registry.plainHttp", "conflict", "conflicts with ci:registry.tls", "remove one of the two", value=True
        )
    sources = (tls.secret_name, tls.certificate_file, tls.issuer) if tls is not None else ()
    given = len([source for source in sources if source is not None])
    if tls is not None and given != 1:
        yield Problem(
            "ci:registry.tls",
            "one_of",
            f"names {given or 'no'} sources of the certificate",
            "give one of secretName, certificateFile and issuer, for example issuer: letsencrypt",
        )
    if tls is not None and tls.issuer is None and "issuer_kind" in tls.model_fields_set:
        yield no_effect("ci:registry.tls.issuerKind", "without an issuer", "give the issuer, or remove this")
    has_file = tls is not None and tls.certificate_file is not None
    if has_file != (settings.registry_tls_key is not None):
        yield required(
            "ci:registryTlsKey" if has_file else "ci:registry.tls.certificateFile",
            "by ci:registry.tls.certificateFile" if has_file else "by ci:registryTlsKey",
            "give both: the file, and `pulumi config set --secret ci:registryTlsKey < key.pem`",
        )
