"""Registers the Kubernetes platform from a stack's settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_kubernetes import core

from components import certificates, labels, password
from components.kubernetes import access, cluster, endpoints, gitlab_runner, history, namespaces, queue, texts
from components.kubernetes import buildkit as daemon
from components.kubernetes.build import Build, BuildArgs, failure_hook
from components.kubernetes.builders.spec import (
    BUILD_SECRETS,
    GIT_SECRET,
    PUSH_SECRET,
    STORAGE_SECRET,
    TRUST,
    TRUST_FILE,
)
from components.kubernetes.cluster import ApiReader
from components.kubernetes.endpoints import Endpoints
from components.kubernetes.history import History
from components.kubernetes.namespaces import Namespaces, NamespacesArgs
from components.kubernetes.network import Network, NetworkArgs
from components.kubernetes.plan import Plan, plan
from components.kubernetes.push import Push, PushArgs, watched
from components.kubernetes.registry import Mirror, MirrorArgs, Registry, RegistryArgs
from components.kubernetes.retention import IMAGES
from components.settings import Settings
from components.settings.cluster_checks import logins, pods_of, queue_seconds, quota_of

PULL_SECRET = "registry-pull"  # noqa: S105 - a name


def deploy(settings: Settings, reader: ApiReader | None = None) -> Mapping[str, pulumi.Input[object]]:
    """Register every resource; return the stack's outputs by name."""
    endpoint, last = endpoints.of(settings), history.read()
    on_cluster = pulumi.ResourceOptions(providers=[cluster.provider(settings.kubernetes)])
    spaces = _namespaces(settings, on_cluster)
    secret = password.kept("registry-password", settings.registry_password)
    pulling = password.kept("registry-pull-password", settings.registry_pull_password)
    Network(
        "network",
        NetworkArgs(
            settings=settings.kubernetes,
            registry=settings.registry,
            registry_namespace=spaces.registry,
            builds_namespace=spaces.builds,
            gitlab=settings.gitlab_runner.url if settings.gitlab_runner is not None else None,
            buildkit=settings.buildkit,
            buildkit_namespace=spaces.buildkit,
            watched=[build.context.git.repository for build in settings.builds if build.on_push and build.context.git],
            callers=settings.webhook.allow_from if settings.webhook is not None else (),
        ),
        on_cluster,
    )
    registry = _registry(settings, endpoint, spaces, secret, pulling, on_cluster)
    pull_config = _docker_config(endpoint, settings.registry.pull_user, pulling)
    logged_in = _logins(settings, endpoint, spaces, secret, pull_config, on_cluster)
    needed: list[pulumi.Resource] = [registry, *logged_in]
    if settings.kubernetes.parallel_builds is not None:
        in_builds = pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=[spaces]))
        needed.append(queue.Queue("queue", settings.kubernetes, in_builds))
    more: dict[str, pulumi.Input[object]] = {}
    if settings.buildkit is not None:
        wanted = daemon.BuildkitArgs(settings=settings, wanted=settings.buildkit, spaces=spaces)
        there = daemon.Buildkit("buildkit", wanted, on_cluster)
        needed.append(there)
        more["buildkit"] = daemon.outputs(settings, there)
    ready = pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=needed))
    plans = [plan(settings, index) for index in range(len(settings.builds))]
    builds = _builds(settings, plans, reader or ApiReader(settings.kubernetes), spaces, registry, last, ready)
    if builds and (settings.registry.keep or settings.docker_config):
        # For the retention of this registry, or of another stack's that this one may push to.
        core.v1.ConfigMap(
            "images",
            metadata={"name": IMAGES, "namespace": spaces.registry, "labels": labels.PART},
            data={name: build.image for name, build in builds.items()},
            opts=on_cluster,
        )
    pushes = [each for each in plans if each.on_push is not None]
    if pushes:
        calling = password.kept("webhook-secret", settings.webhook_secret) if settings.webhook is not None else None
        Push("push", PushArgs(settings=settings, plans=pushes, spaces=spaces, webhook_secret=calling), ready)
        more["watched"] = watched(pushes)
        if calling is not None:
            more |= {"webhook": endpoints.webhook(settings), "webhookSecret": calling}
    if settings.gitlab_runner is not None:
        gitlab_runner.deploy(settings, settings.gitlab_runner, spaces, pull_secret=PULL_SECRET, opts=ready)
    return {
        "platform": settings.platform,
        "url": endpoint.url,
        "registry": endpoint.pull,
        "images": {name: build.image for name, build in builds.items()},
        "builds": {name: build.job for name, build in builds.items()},
        "registryInCluster": endpoint.push,
        "registryUser": settings.registry.user,
        "registryPassword": secret,
        "context": cluster.named(settings.kubernetes),
        "namespace": spaces.registry,
        "buildsNamespace": spaces.builds,
        "pullSecret": PULL_SECRET,
        "pullConfig": pull_config,
        "registryVolume": registry.volume,
        "containerdHosts": _containerd_hosts(settings, registry),
        **more,
        "next": _next(settings, endpoint),
    }


def _builds(  # noqa: PLR0913, PLR0917 - a part of deploy
    settings: Settings,
    plans: Sequence[Plan],
    reader: ApiReader,
    spaces: Namespaces,
    registry: Registry,
    last: History,
    opts: pulumi.ResourceOptions,
) -> Mapping[str, Build]:
    if not plans:
        return {}
    hook = failure_hook(plans, reader)
    return {
        each.settings.name: Build(
            f"build-{each.settings.name}",
            BuildArgs(
                plan=each,
                namespace=spaces.builds,
                reader=reader,
                pushed=last.images.get(each.job),
                volume=registry.volume,
                last_volume=last.volume,
                queue=queue.of_jobs(settings.kubernetes),
                queue_seconds=queue_seconds(settings),
                on_error=hook,
            ),
            opts,
        )
        for each in plans
    }


def _namespaces(settings: Settings, opts: pulumi.ResourceOptions) -> Namespaces:
    cpu, memory = quota_of(settings)
    return Namespaces(
        "namespaces",
        NamespacesArgs(
            settings=settings.kubernetes,
            cpu_millicores=cpu,
            memory_mib=memory,
            build_pods=pods_of(settings),
            buildkit=settings.buildkit is not None,
        ),
        opts,
    )


def _registry(  # noqa: PLR0913, PLR0917 - a part of deploy
    settings: Settings,
    endpoint: Endpoints,
    spaces: Namespaces,
    secret: pulumi.Output[str],
    pulling: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> Registry:
    users = (settings.registry.user, settings.registry.pull_user)
    pushers = [users[0], *(user.name for user in settings.registry.users if user.push)]
    realm = f"{pulumi.get_project()}/{pulumi.get_stack()}"

    def files(known: Sequence[str]) -> Mapping[str, str]:
        hashes = {
            user: password.bcrypted(one, realm=f"registry:{realm}/{user}", cost=password.REGISTRY_COST)
            for user, one in zip(users, known, strict=True)
        }
        return {
            "config.yml": texts.configuration(secret=texts.signing_secret(known[0], f"registry:{realm}")),
            "htpasswd": texts.users_file(hashes, settings.registry),
            access.CONFIGURATION: access.configuration(pushers, tls=endpoint.tls_in_pod),
        }

    given, key = settings.registry.tls and settings.registry.tls.certificate_file, settings.registry_tls_key
    registry = Registry(
        "registry",
        RegistryArgs(
            settings=settings.registry,
            names=endpoints.names(settings),
            namespace=spaces.registry,
            kubectl_image=settings.kubernetes.kubectl_image,
            files=pulumi.Output.all(secret, pulling).apply(files),
            certificate=certificates.read(given) if given else None,
            certificate_key=pulumi.Output.secret(key.get_secret_value()) if key else None,
        ),
        opts,
    )
    if settings.registry.mirror is not None:
        upstream = settings.mirror_password.get_secret_value() if settings.mirror_password else None

        def mirror_files(known: str) -> Mapping[str, str]:
            signing = texts.signing_secret(known, f"mirror:{realm}")
            text = texts.mirror_configuration(
                settings.registry, tls=endpoint.tls_in_pod, secret=signing, password=upstream
            )
            return {"config.yml": text}

        Mirror(
            "mirror",
            MirrorArgs(
                settings=settings.registry,
                namespace=spaces.registry,
                files=secret.apply(mirror_files),
                tls_secret=registry.tls_secret if endpoint.tls_in_pod else None,
                tls_digest=registry.tls_digest,
            ),
            opts,
        )
    return registry


def _docker_config(
    endpoint: Endpoints, user: str, secret: pulumi.Output[str], more: Mapping[str, Any] | None = None
) -> pulumi.Output[str]:
    hosts = [endpoint.push, endpoint.pull]
    return secret.apply(lambda known: texts.docker_config(hosts, user, known, more=more))


def _logins(  # noqa: PLR0913, PLR0917 - a part of deploy
    settings: Settings,
    endpoint: Endpoints,
    spaces: Namespaces,
    secret: pulumi.Output[str],
    pull_config: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Register the credentials of builds, the pull secret of nodes, and the trusted authorities."""
    more = logins(settings.docker_config.get_secret_value()) if settings.docker_config else None
    git = {"token": settings.git_token, "key": settings.git_ssh_key}
    storage = settings.storage_credentials
    secrets: dict[str, dict[str, pulumi.Input[str]]] = {
        PUSH_SECRET: {".dockerconfigjson": _docker_config(endpoint, settings.registry.user, secret, more)},
        PULL_SECRET: {".dockerconfigjson": pull_config},
        GIT_SECRET: {key: value.get_secret_value() for key, value in git.items() if value is not None},
        BUILD_SECRETS: {name: value.get_secret_value() for name, value in (settings.build_secrets or {}).items()},
        STORAGE_SECRET: {"credentials": storage.get_secret_value()} if storage is not None else {},
    }
    made: list[pulumi.Resource] = [
        core.v1.Secret(
            f"login-{name}",
            metadata={"name": name, "namespace": spaces.builds},
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
                metadata={"name": TRUST, "namespace": spaces.builds},
                data={TRUST_FILE: certificates.read(settings.kubernetes.trusted_ca_file)},
                opts=opts,
            )
        )
    return made


def _containerd_hosts(settings: Settings, registry: Registry) -> pulumi.Input[str | None]:
    text = endpoints.hosts_toml(settings)
    if text is None:
        return None
    return registry.cluster_ip.apply(lambda address: text.replace("<cluster IP>", address) if address else text)


def _next(settings: Settings, endpoint: Endpoints) -> list[str]:
    pull, stack = endpoint.pull, pulumi.get_stack()
    how = f"the password: `make password STACK={stack}`, or `pulumi stack output --show-secrets registryPassword`"
    steps = [f"Log in: `docker login {pull}` as {settings.registry.user}; {how}."]
    if settings.gitlab_runner is not None:
        steps += gitlab_runner.steps(settings.gitlab_runner, pull, settings.registry.user)
    elif not settings.builds:
        steps.append("Add an image to ci:builds, for example {name: website, context: {directory: images/website}}.")
    if endpoints.hosts_toml(settings) is not None:
        path = f"/etc/containerd/certs.d/{pull}/hosts.toml"
        steps.append(
            f"Nodes can't resolve {pull}: write the output containerdHosts to {path} on each node, "
            "or set ci:registry.nodePort or ci:registry.ingress."
        )
    builds = namespaces.of_builds(settings.kubernetes.namespace)
    steps.append(
        f"Pods in {builds} pull with imagePullSecrets: [{{name: {PULL_SECRET}}}]; for other namespaces, make such a "
        "Secret from the output pullConfig. Its account can only pull."
    )
    if settings.webhook is not None:
        steps.append(f"Let git hosts call {endpoints.webhook(settings)} after a push, with the output webhookSecret.")
    if settings.registry.tls is None:
        steps.append("The registry uses plain HTTP (ci:registry.plainHttp): passwords cross the network in clear.")
    return steps
