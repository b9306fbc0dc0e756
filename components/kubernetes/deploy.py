"""Puts the Kubernetes platform together from a stack's settings."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes import core

from components import certificates, password
from components.kubernetes import addresses, certificate, cluster, context, gitlab_deploy, history, namespaces, texts
from components.kubernetes.build import Build, Plan, failure_hook, plan
from components.kubernetes.builders import Work
from components.kubernetes.builders.work import GIT_SECRET, PUSH_SECRET, STORAGE_SECRET, TRUST, TRUST_FILE
from components.kubernetes.cluster import ApiReader, Reader
from components.kubernetes.mirror import Mirror, MirrorArgs
from components.kubernetes.namespaces import Namespaces, NamespacesArgs
from components.kubernetes.network import Network, NetworkArgs
from components.kubernetes.registry import Registry, RegistryArgs
from components.settings import BuildSettings, Settings
from components.settings.cluster_checks import logins, own_repository, pods_of, quota_of

PULL_SECRET = "registry-pull"  # noqa: S105 - a name


def deploy(settings: Settings, reader: Reader | None = None) -> Mapping[str, pulumi.Input[object]]:
    """Register everything; give the stack's outputs by name."""
    ask = reader or ApiReader(settings.kubernetes)
    past = history.read()
    on_cluster = pulumi.ResourceOptions(providers=[cluster.provider(settings.kubernetes)])
    where = addresses.of(settings)
    plans = [_plan(place, build, settings, where) for place, build in enumerate(settings.builds)]
    places = _namespaces(settings, on_cluster)
    clear = password.kept("registry-password", settings.registry_password)
    Network(
        "network",
        NetworkArgs(
            settings=settings.kubernetes,
            registry=settings.registry,
            registry_namespace=places.registry,
            builds_namespace=places.builds,
            gitlab=settings.gitlab_runner.url if settings.gitlab_runner is not None else None,
        ),
        on_cluster,
    )
    registry = _registry(settings, places, clear, on_cluster)
    logged_in = _logins(settings, where, places, clear, on_cluster)
    ready = pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=[registry, *logged_in]))
    hook = failure_hook(plans, ask) if plans else None
    builds = {
        each.settings.name: Build(
            each,
            namespace=places.builds,
            reader=ask,
            done=past.images.get(each.job),
            volume=registry.volume,
            before=past.volume,
            on_error=hook,
            opts=ready,
        )
        for each in plans
        if hook is not None
    }
    if settings.gitlab_runner is not None:
        gitlab_deploy.runner(settings, settings.gitlab_runner, where, places, pull_secret=PULL_SECRET, opts=ready)
    return {
        "platform": settings.platform,
        "url": where.url,
        "registry": where.pull,
        "images": {name: build.image for name, build in builds.items()},
        "builds": {name: build.job for name, build in builds.items()},
        "registryInCluster": where.push,
        "registryUser": settings.registry.user,
        "registryPassword": clear,
        "context": cluster.named(settings.kubernetes),
        "namespace": places.registry,
        "buildsNamespace": places.builds,
        "pullSecret": PULL_SECRET,
        "pullConfig": _docker_config(settings, where, clear),
        "registryVolume": registry.volume,
        "containerdHosts": _hosts(settings, registry),
        "next": _next(settings, where),
    }


def _plan(place: int, build: BuildSettings, settings: Settings, where: addresses.Addresses) -> Plan:
    packed = context.of(build)
    targets = build.destinations or (f"{build.name}:latest",)
    own = [repository for target in targets if (repository := own_repository(target)) is not None]
    first = own_repository(targets[0])
    kubernetes = settings.kubernetes
    trusted = kubernetes.trusted_ca_file
    mirror, mirrored = settings.registry.mirror, where.mirror
    storage = kubernetes.object_storage
    work = Work(
        build=build,
        image=kubernetes.image_of(build.builder),
        destinations=[f"{where.push}/{target}" if own_repository(target) else target for target in targets],
        cache_repository=f"{where.push}/cache/{build.name}",
        plain_registries=where.plain,
        mirrors=dict.fromkeys(mirror.hosts, mirrored) if mirror is not None and mirrored is not None else {},
        git_image=kubernetes.git_image,
        trusted_ca=certificate.digest(certificates.read(trusted)) if trusted else None,
        object_storage={
            **({"AWS_REGION": storage.region} if storage.region else {}),
            **({"S3_ENDPOINT": storage.endpoint, "S3_FORCE_PATH_STYLE": "true"} if storage.endpoint else {}),
        },
    )
    return plan(
        place,
        work,
        packed,
        own=[f"{where.push}/{repository}" for repository in own],
        pull=f"{where.pull}/{first}" if first is not None else targets[0].rpartition(":")[0],
    )


def _namespaces(settings: Settings, opts: pulumi.ResourceOptions) -> Namespaces:
    cpu, memory = quota_of(settings)
    return Namespaces(
        "namespaces",
        NamespacesArgs(
            settings=settings.kubernetes,
            cpu_millicores=cpu,
            memory_mib=memory,
            builds=pods_of(settings),
        ),
        opts,
    )


def _registry(
    settings: Settings, places: Namespaces, clear: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> Registry:
    user = settings.registry.user
    realm = f"{pulumi.get_project()}/{pulumi.get_stack()}"
    tls_in_pod = addresses.of(settings).tls_in_pod

    def files(known: str) -> Mapping[str, str]:
        hashed = password.bcrypted(known, realm=f"registry:{realm}/{user}", cost=password.REGISTRY_COST)
        return {
            "config.yml": texts.configuration(tls=tls_in_pod, secret=texts.signing_secret(known, f"registry:{realm}")),
            "htpasswd": texts.users_file(user, hashed, settings.registry),
        }

    given, key = settings.registry.tls and settings.registry.tls.certificate_file, settings.registry_tls_key
    registry = Registry(
        "registry",
        RegistryArgs(
            settings=settings.registry,
            names=addresses.names(settings),
            namespace=places.registry,
            kubectl_image=settings.kubernetes.kubectl_image,
            files=clear.apply(files),
            certificate=certificates.read(given) if given else None,
            certificate_key=pulumi.Output.secret(key.get_secret_value()) if key else None,
        ),
        opts,
    )
    if settings.registry.mirror is not None:
        own = settings.mirror_password.get_secret_value() if settings.mirror_password else None

        def mirror_files(known: str) -> Mapping[str, str]:
            secret = texts.signing_secret(known, f"mirror:{realm}")
            text = texts.mirror_configuration(settings.registry, tls=tls_in_pod, secret=secret, password=own)
            return {"config.yml": text}

        Mirror(
            "mirror",
            MirrorArgs(
                settings=settings.registry,
                namespace=places.registry,
                files=clear.apply(mirror_files),
                tls_secret=registry.tls_secret if tls_in_pod else None,
                tls_digest=registry.tls_digest,
            ),
            opts,
        )
    return registry


def _docker_config(
    settings: Settings, where: addresses.Addresses, clear: pulumi.Output[str], more: Mapping[str, Any] | None = None
) -> pulumi.Output[str]:
    hosts = [where.push, where.pull]
    return clear.apply(lambda known: texts.docker_config(hosts, settings.registry.user, known, more=more))


def _logins(
    settings: Settings,
    where: addresses.Addresses,
    places: Namespaces,
    clear: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Register what builds log in with, and what nodes pull with."""
    more = logins(settings.docker_config.get_secret_value()) if settings.docker_config else None
    secrets: dict[str, dict[str, pulumi.Input[str]]] = {
        PUSH_SECRET: {".dockerconfigjson": _docker_config(settings, where, clear, more)},
        PULL_SECRET: {".dockerconfigjson": _docker_config(settings, where, clear)},
    }
    git = {"token": settings.git_token, "key": settings.git_ssh_key}
    secrets[GIT_SECRET] = {key: value.get_secret_value() for key, value in git.items() if value is not None}
    if settings.storage_credentials is not None:
        secrets[STORAGE_SECRET] = {"credentials": settings.storage_credentials.get_secret_value()}
    made: list[pulumi.Resource] = [
        core.v1.Secret(
            f"login-{name}",
            metadata={"name": name, "namespace": places.builds},
            type="kubernetes.io/dockerconfigjson" if ".dockerconfigjson" in data else "Opaque",
            string_data=pulumi.Output.secret(data),
            opts=opts,
        )
        for name, data in secrets.items()
        if data
    ]
    if settings.kubernetes.trusted_ca_file is not None:
        made.append(
            core.v1.ConfigMap(
                "trusted-ca",
                metadata={"name": TRUST, "namespace": places.builds},
                data={TRUST_FILE: certificates.read(settings.kubernetes.trusted_ca_file)},
                opts=opts,
            )
        )
    return made


def _hosts(settings: Settings, registry: Registry) -> pulumi.Input[str | None]:
    text = addresses.hosts_toml(settings)
    if text is None:
        return None
    return registry.cluster_ip.apply(lambda found: text.replace("<cluster IP>", found) if found else text)


def _next(settings: Settings, where: addresses.Addresses) -> list[str]:
    pull = where.pull
    stack = pulumi.get_stack()
    how = f"the password: `make password STACK={stack}`, or `pulumi stack output --show-secrets registryPassword`"
    steps = [f"Log in: `docker login {pull}` as {settings.registry.user}; {how}."]
    if settings.gitlab_runner is not None:
        steps += gitlab_deploy.steps(settings.gitlab_runner, where, settings.registry.user)
    elif not settings.builds:
        steps.append("Add an image to ci:builds, for example {name: website, context: {directory: images/website}}.")
    if addresses.hosts_toml(settings) is not None:
        place = f"/etc/containerd/certs.d/{pull}/hosts.toml"
        give = "give ci:registry.nodePort or ci:registry.ingress"
        steps.append(f"Nodes don't know {pull}: write the output containerdHosts to {place} on each, or {give}.")
    inside = namespaces.of_builds(settings.kubernetes.namespace)
    pulled = f"Pods in {inside} pull with imagePullSecrets: [{{name: {PULL_SECRET}}}]"
    steps.append(f"{pulled}; for other namespaces the output pullConfig is the content of such a Secret.")
    if settings.registry.tls is None:
        steps.append(
            "The registry speaks plain HTTP, as ci:registry.plainHttp asks: passwords cross the network in clear."
        )
    return steps
