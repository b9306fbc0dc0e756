"""A GitLab Runner in the cluster: one pod, which starts a pod in the builds' namespace for each job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core, rbac

from components import certificates, labels
from components.gitlab import config
from components.kubernetes import endpoints, restricted
from components.kubernetes.builders import buildctl
from components.kubernetes.builders.kaniko import CAPABILITIES, HOME, reach
from components.kubernetes.builders.pod import SERVICE_ACCOUNT
from components.kubernetes.builders.spec import PUSH_SECRET, TRUST, TRUST_FILE
from components.kubernetes.namespaces import Namespaces, of_builds
from components.kubernetes.network import GITLAB_RUNNER
from components.kubernetes.server import digest
from components.settings import GitlabRunnerSettings, Settings

_NO_TOKEN: Final = "(ci:gitlabRunnerToken)"  # noqa: S105 - shown in previews in the token's place

_RULES: Final = (
    ("pods", ("create", "delete", "get", "list", "watch")),
    # One verb for each of the two protocols of a client.
    ("pods/attach", ("create", "get")),
    ("pods/exec", ("create", "get")),
    ("pods/log", ("get",)),
    ("events", ("list",)),
    # A job's own pull secret. The runner makes up its name.
    ("secrets", ("create", "delete", "update")),
)
"""What the runner's executor needs for jobs as this project configures them. Source: GitLab Runner's documentation,
"Configure runner API permissions", and tried. `_rights` adds what it reads by name."""


@dataclass(frozen=True, kw_only=True)
class GitlabRunnerArgs:
    """The inputs of a runner."""

    settings: GitlabRunnerSettings
    namespace: pulumi.Input[str]
    builds_namespace: pulumi.Input[str]
    service_account: str
    """The service account of the jobs' pods."""

    pull_secret: str
    shown: str
    """The configuration without the token, to show in previews."""

    files: pulumi.Output[Mapping[str, str]]
    """The files of config.FOLDER by name. A secret."""


class GitlabRunner(pulumi.ComponentResource):
    """A runner that passes Pod Security `restricted`. It has rights in the builds' namespace only."""

    deployment: pulumi.Output[str]
    """The Deployment's name."""

    def __init__(self, name: str, args: GitlabRunnerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the runner with its rights."""
        super().__init__("ci:kubernetes:GitlabRunner", name, {"configuration": args.shown}, opts)
        mine = pulumi.ResourceOptions(parent=self)
        meta = {
            "name": GITLAB_RUNNER,
            "namespace": args.namespace,
            "labels": {labels.APP: GITLAB_RUNNER, **labels.PART},
        }
        account = core.v1.ServiceAccount(
            f"{name}-account", metadata=meta, automount_service_account_token=False, opts=mine
        )
        binding = _rights(name, args, account, mine)
        files = core.v1.Secret(f"{name}-files", metadata=meta, string_data=args.files, opts=mine)
        deployment = apps.v1.Deployment(
            f"{name}-runner",
            metadata=meta,
            spec={
                "replicas": 1,
                # GitLab identifies a runner by its token and id, so two pods with the same would be one machine.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": {labels.APP: GITLAB_RUNNER}},
                "template": {
                    "metadata": {"labels": meta["labels"], "annotations": {labels.FILES: digest(args.files)}},
                    "spec": _pod(args.settings, files.metadata.name, account.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions.merge(mine, pulumi.ResourceOptions(depends_on=[binding])),
        )
        self.deployment = deployment.metadata.apply(lambda made: made.name or GITLAB_RUNNER)
        self.register_outputs({"deployment": self.deployment})


def _rights(
    name: str, args: GitlabRunnerArgs, account: core.v1.ServiceAccount, opts: pulumi.ResourceOptions
) -> rbac.v1.RoleBinding:
    """Register the runner's rights, all of them in the builds' namespace."""
    meta = {"name": GITLAB_RUNNER, "namespace": args.builds_namespace}
    rules: list[dict[str, Any]] = [
        {"api_groups": [""], "resources": [resource], "verbs": list(verbs)} for resource, verbs in _RULES
    ]
    named = {"secrets": args.pull_secret, "serviceaccounts": args.service_account}
    rules += [
        {"api_groups": [""], "resources": [resource], "resource_names": [one], "verbs": ["get"]}
        for resource, one in named.items()
    ]
    role = rbac.v1.Role(f"{name}-role", metadata=meta, rules=rules, opts=opts)
    return rbac.v1.RoleBinding(
        f"{name}-binding",
        metadata=meta,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
        subjects=[{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": args.namespace}],
        opts=opts,
    )


def _pod(settings: GitlabRunnerSettings, files: Any, account: Any) -> dict[str, Any]:  # noqa: ANN401 - outputs
    container = {
        **restricted.CONTAINER,
        "name": GITLAB_RUNNER,
        "image": settings.image,
        "args": list(config.COMMAND),
        "env": [{"name": key, "value": value} for key, value in sorted(config.ENVIRONMENT.items())],
        "ports": [{"name": "metrics", "container_port": config.PORT, "protocol": "TCP"}],
        # It listens once it has read its configuration. Whether GitLab accepts the token is only in its log.
        "readiness_probe": {
            "http_get": {"path": "/metrics", "port": config.PORT},
            "period_seconds": 2,
            "failure_threshold": 5,
        },
        "liveness_probe": {
            "tcp_socket": {"port": config.PORT},
            "initial_delay_seconds": 10,
            "period_seconds": 20,
            "failure_threshold": 6,
        },
        "resources": restricted.resources(settings.cpu_millicores, settings.memory_mib),
        "volume_mounts": [
            {"name": "files", "mount_path": config.FOLDER, "read_only": True},
            {"name": "home", "mount_path": config.HOME},
        ],
    }
    return {
        # It creates the jobs' pods through the API.
        **restricted.pod(config.USER, token=True, fs_group=config.USER),
        "service_account_name": account,
        # At the image's own stop signal, running jobs end first.
        "termination_grace_period_seconds": settings.stop_timeout_seconds,
        "containers": [container],
        "volumes": [
            {"name": "files", "secret": {"secret_name": files, "default_mode": 0o440}},
            {"name": "home", "empty_dir": {"size_limit": "64Mi"}},
        ],
    }


def deploy(
    settings: Settings,
    runner: GitlabRunnerSettings,
    spaces: Namespaces,
    *,
    pull_secret: str,
    opts: pulumi.ResourceOptions,
) -> GitlabRunner:
    """Register the runner of a stack's settings."""
    if settings.gitlab_runner_token is None:
        raise AssertionError
    owner = f"{pulumi.get_project()}/{pulumi.get_stack()}"
    pods = config.Pods(
        namespace=of_builds(settings.kubernetes.namespace),
        service_account=SERVICE_ACCOUNT,
        pull_secret=pull_secret,
        push_secret=PUSH_SECRET,
        trust=TRUST if settings.kubernetes.trusted_ca_file is not None else None,
        trust_file=TRUST_FILE,
        capabilities=CAPABILITIES,
        home=HOME,
        environment=_environment(settings),
        certificates={buildctl.CLIENT_SECRET: buildctl.CERTIFICATES} if settings.buildkit is not None else {},
    )

    def configuration(token: str) -> str:
        return config.for_kubernetes(runner, name=owner, token=token, pods=pods)

    files = config.files(
        runner,
        config=configuration(settings.gitlab_runner_token.get_secret_value()),
        owner=owner,
        authorities=certificates.read(runner.ca_file) if runner.ca_file else None,
    )
    return GitlabRunner(
        "gitlab-runner",
        GitlabRunnerArgs(
            settings=runner,
            namespace=spaces.registry,
            builds_namespace=spaces.builds,
            service_account=SERVICE_ACCOUNT,
            pull_secret=pull_secret,
            shown=configuration(_NO_TOKEN),
            files=pulumi.Output.secret(files),
        ),
        opts,
    )


def _environment(settings: Settings) -> Mapping[str, str]:
    """Return the variables with which a job builds and pushes to the stack's registry."""
    endpoint, daemon = endpoints.of(settings), endpoints.daemon(settings, GITLAB_RUNNER)
    return {
        "BUILD_REGISTRY": endpoint.push,
        "BUILD_PULL_REGISTRY": endpoint.pull,
        "BUILD_FLAGS": " ".join(reach(endpoint.plain, endpoints.mirrors(settings))),
        **({"BUILDKIT_HOST": daemon, "BUILDKIT_FLAGS": buildctl.FLAGS} if daemon is not None else {}),
    }


def steps(runner: GitlabRunnerSettings, pull: str, user: str) -> list[str]:
    """Return the next steps for the user. pull: the endpoint where nodes pull."""
    stack = pulumi.get_stack()
    return [
        f"Check that the runner is online: {runner.url}, under Runners, or with `make status STACK={stack}`.",
        "Build an image: push examples/gitlab-kubernetes to a project that may use the runner.",
        f"Every job may push to {pull} as {user}: let only trusted projects use the runner.",
    ]
