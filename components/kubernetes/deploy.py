"""The Kubernetes platform: one component with everything that a stack has in a cluster."""

import contextlib
from collections.abc import Iterator, Mapping

import pulumi
from pulumi_kubernetes import core

from .. import certificates, labels, password, state
from ..settings import Problem, Settings, SettingsError
from ..settings.cluster_checks import logins
from ..settings.load import check
from ..settings.problems import duplicate
from ..settings.secret_fields import Secret, text_of
from . import buildkit as daemon
from . import (
    cluster,
    declared,
    endpoints,
    gitlab_runner,
    history,
    namespaces,
    network,
    queue,
    texts,
)
from .build import Build, BuildArgs, failure_hook
from .builders.spec import (
    BUILD_SECRETS,
    GIT_SECRET,
    PULL_SECRET,
    PUSH_SECRET,
    STORAGE_SECRET,
    TRUST,
    TRUST_FILE,
)
from .cluster import ApiReader, ReadError
from .endpoints import Endpoints
from .history import History
from .namespaces import Namespaces, StackArgs
from .network import Network, NetworkArgs
from .plan import Plan, plan
from .preflight import preflight as of_cluster
from .push import Push, PushArgs, watched
from .registry import Mirror, MirrorArgs, Registry, RegistryArgs
from .retention import IMAGES


class KubernetesCi(pulumi.ComponentResource):
    """A CI in a cluster: a registry, the builds of its images, and what may start them.

    Each namespace comes from the settings, so two of these in one cluster need settings with other namespaces.
    """

    outputs: Mapping[str, pulumi.Input[object]]
    """The stack's outputs, by name."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        opts: pulumi.ResourceOptions | None = None,
        *,
        reader: ApiReader | None = None,
    ) -> None:
        """Register all resources under `name`. Raises SettingsError before the first if the settings are wrong.

        reader: what asks the cluster; by default, the settings' own.
        """
        reader = reader or ApiReader(settings.kubernetes)
        check(settings, lambda it: preflight(name, it, reader))
        _claim(name, settings)
        super().__init__(state.KUBERNETES_CI, name, {}, opts)
        provider = cluster.provider(name, settings.kubernetes, pulumi.ResourceOptions(parent=self))
        inside = pulumi.ResourceOptions(parent=self, providers=[provider], transformations=[declared.forced])
        self.outputs = _deploy(name, settings, reader, inside)
        # The next update reads them.
        self.register_outputs(dict(self.outputs))


def preflight(name: str, settings: Settings, reader: ApiReader) -> Iterator[Problem]:
    """Return what blocks the deployment of the CI `name` in its cluster. Changes nothing."""
    past, named = history.read(name), cluster.named(settings.kubernetes)
    # Without a file or a context in the settings, they may point to another cluster each time.
    fixed = settings.kubernetes.kubeconfig is not None or settings.kubernetes.context is not None
    deployed = fixed and (past.context, past.namespace) == (named, settings.kubernetes.namespace)
    # Nobody has looked yet at one that a new setting needs.
    deployed = deployed and past.namespaces.issuperset(namespaces.names(settings))
    owner = {"project": pulumi.get_project(), "stack": pulumi.get_stack()}
    return of_cluster(settings, reader, **owner, deployed=deployed)


def _claim(name: str, settings: Settings) -> None:
    where = cluster.named(settings.kubernetes)
    for namespace in namespaces.names(settings):
        other = state.claims().setdefault((where, "namespace", namespace), name)
        if other != name:
            whose = f"the CI {other!r} of this program"
            problem = duplicate("ci:kubernetes.namespace", namespace, whose, "give another, for example ci-2")
            raise SettingsError(pulumi.get_stack(), [problem])


def _deploy(
    name: str, settings: Settings, reader: ApiReader, on_cluster: pulumi.ResourceOptions
) -> Mapping[str, pulumi.Input[object]]:
    endpoint, last = endpoints.of(settings), history.read(name)
    spaces = Namespaces(f"{name}-namespaces", settings, on_cluster)
    _put_back(last, reader)
    secret = password.kept(f"{name}-registry-password", settings.registry_password, on_cluster)
    pulling = password.kept(f"{name}-registry-pull-password", settings.registry_pull_password, on_cluster)
    stack = StackArgs(settings=settings, spaces=spaces)
    with _reading():
        addresses = network.known(reader)
    Network(f"{name}-network", NetworkArgs(settings=settings, spaces=spaces, addresses=addresses), on_cluster)
    with_passwords = RegistryArgs(settings=settings, spaces=spaces, password=secret, pull_password=pulling)
    registry = Registry(f"{name}-registry", with_passwords, on_cluster)
    if settings.registry.mirror is not None:
        of_mirror = MirrorArgs(settings=settings, spaces=spaces, registry=registry, password=secret)
        Mirror(f"{name}-mirror", of_mirror, on_cluster)
    pull_config = _docker_config(endpoint, settings.registry.pull_user, pulling)
    push_config = _docker_config(endpoint, settings.registry.user, secret, settings.docker_config)
    needed: list[pulumi.Resource] = [registry, *_logins(name, stack, push_config, pull_config, on_cluster)]
    if settings.kubernetes.parallel_builds is not None:
        in_builds = pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=[spaces]))
        needed.append(queue.Queue(f"{name}-queue", settings.kubernetes, in_builds))
    more: dict[str, pulumi.Input[object]] = {}
    if settings.buildkit is not None:
        there = daemon.Buildkit(f"{name}-buildkit", stack, on_cluster)
        needed.append(there)
        more["buildkit"] = daemon.outputs(settings, there)
    ready = pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=needed))
    volume = _same_volume(settings, last, reader)
    kept = volume is not None or last.volume is None
    plans = [plan(settings, index, last.images.get(build.name)) for index, build in enumerate(settings.builds)]
    hooks = [failure_hook(f"{name}-build-failed", plans, reader)] if plans else []
    builds = {
        each.settings.name: Build(
            f"{name}-build-{each.settings.name}",
            BuildArgs(
                settings=settings,
                spaces=spaces,
                plan=each,
                reader=reader,
                pushed=_pushed(each, last) if kept or not each.in_own_registry else None,
                # In a preview that changes the volume, the uid would not be known, and each Job be replaced.
                volume=volume or registry.volume,
                on_error=hooks,
            ),
            ready,
        )
        for each in plans
    }
    if builds and (settings.registry.keep or settings.docker_config):
        # For the retention of this registry, or of another stack's that this one may push to.
        core.v1.ConfigMap(
            f"{name}-images",
            metadata={"name": IMAGES, "namespace": spaces.registry, "labels": labels.PART},
            data={built: build.image for built, build in builds.items()},
            opts=on_cluster,
        )
    pushes = [each for each in plans if each.on_push is not None]
    if pushes:
        calling = (
            password.kept(f"{name}-webhook-secret", settings.webhook_secret, on_cluster)
            if settings.webhook is not None
            else None
        )
        Push(f"{name}-push", PushArgs(settings=settings, plans=pushes, spaces=spaces, webhook_secret=calling), ready)
        more["watched"] = watched(pushes)
        if calling is not None:
            more |= {"webhook": endpoints.webhook(settings), "webhookSecret": calling}
    if settings.gitlab_runner is not None:
        gitlab_runner.GitlabRunner(f"{name}-gitlab-runner", stack, ready)
    return {
        "platform": settings.platform,
        "url": endpoint.url,
        "registry": endpoint.pull,
        "images": {built: build.image for built, build in builds.items()},
        "builds": {built: build.job for built, build in builds.items()},
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


def _put_back(last: History, reader: ApiReader) -> None:
    """Put back what limits access and was changed by hand; in a preview, only say so."""
    preview = pulumi.runtime.is_dry_run()
    try:
        for name in declared.changed(reader, declared.of_program(last.resources), mend=not preview):
            done = "`pulumi up` puts it back" if preview else "put back"
            pulumi.log.warn(f"changed by hand: {name}; {done}")
    except ReadError as error:
        pulumi.log.warn(f"it can't be seen whether somebody changed by hand what limits access: {error}")


def _same_volume(settings: Settings, last: History, reader: ApiReader) -> str | None:
    """Return the uid of the registry's volume if it is that of the last update; None if it is not, or before any."""
    if last.volume is None or not settings.builds:
        return None
    with _reading():
        uid = reader.claim(settings.kubernetes.namespace, endpoints.REGISTRY)
    return uid if uid == last.volume else None


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turn a cluster's silence into an error that Pulumi shows without a traceback."""
    try:
        yield
    except ReadError as error:
        raise pulumi.RunError(f"the cluster can't be read: {error}") from None


def _pushed(build: Plan, last: History) -> str | None:
    pushed = last.images.get(build.settings.name)
    return pushed.image if pushed is not None and pushed.job == build.job else None


def _docker_config(
    endpoint: Endpoints, user: str, secret: pulumi.Output[str], given: Secret | None = None
) -> pulumi.Output[str]:
    hosts, more = [endpoint.push, endpoint.pull], text_of(given).apply(logins) if given is not None else None
    return pulumi.Output.all(secret, more).apply(
        lambda known: texts.docker_config(hosts, user, known[0], more=known[1])
    )


def _logins(
    name: str,
    args: StackArgs,
    push_config: pulumi.Output[str],
    pull_config: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Register the credentials of builds, the pull secret of nodes, and the trusted authorities."""
    settings, namespace = args.settings, args.spaces.builds
    git = {"token": settings.git_token, "key": settings.git_ssh_key}
    storage = settings.storage_credentials
    secrets: dict[str, dict[str, pulumi.Input[str]]] = {
        PUSH_SECRET: {".dockerconfigjson": push_config},
        PULL_SECRET: {".dockerconfigjson": pull_config},
        GIT_SECRET: {key: text_of(value) for key, value in git.items() if value is not None},
        BUILD_SECRETS: {name: text_of(value) for name, value in (settings.build_secrets or {}).items()},
        STORAGE_SECRET: {"credentials": text_of(storage)} if storage is not None else {},
    }
    made: list[pulumi.Resource] = [
        core.v1.Secret(
            f"{name}-login-{login}",
            metadata={"name": login, "namespace": namespace},
            type="kubernetes.io/dockerconfigjson" if ".dockerconfigjson" in data else "Opaque",
            string_data=pulumi.Output.secret(data),
            opts=opts,
        )
        for login, data in secrets.items()
        if data
    ]
    if settings.kubernetes.trusted_ca_file is not None:
        made.append(
            core.v1.ConfigMap(
                f"{name}-trusted-ca",
                metadata={"name": TRUST, "namespace": namespace},
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
    # Pulumi cuts what it shows at 150 characters, so a long command is a step of its own.
    steps = [
        f"Log in: `docker login {pull}` as {settings.registry.user}.",
        f"The password: `make password STACK={stack}`, or this:",
        f"pulumi stack output --stack {stack} --show-secrets registryPassword",
    ]
    if settings.gitlab_runner is not None:
        steps += gitlab_runner.steps(settings.gitlab_runner, pull, settings.registry.user)
    elif not settings.builds:
        steps.append("Add an image to ci:builds, for example {name: website, context: {directory: images/website}}.")
    if endpoints.hosts_toml(settings) is not None:
        path = f"/etc/containerd/certs.d/{pull}/hosts.toml"
        steps.append(
            f"Nodes can't resolve {pull}: set ci:registry.nodePort or ci:registry.ingress, or write to each node"
        )
        steps.append(f"the output containerdHosts, to {path}")
    builds = namespaces.of_builds(settings.kubernetes.namespace)
    steps.append(f"Pods in {builds} pull with imagePullSecrets: [{{name: {PULL_SECRET}}}]. Its account can only pull.")
    steps.append("For other namespaces, make such a Secret from the output pullConfig.")
    if settings.webhook is not None:
        steps.append(f"Let git hosts call {endpoints.webhook(settings)} after a push, with the output webhookSecret.")
    if settings.registry.tls is None:
        steps.append("The registry uses plain HTTP (ci:registry.plainHttp): passwords cross the network in clear.")
    return steps
