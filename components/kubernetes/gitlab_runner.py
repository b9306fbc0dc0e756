"""A GitLab Runner in the cluster: one pod, which starts a pod in the builds' namespace for each job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core, rbac

from components.gitlab import config
from components.kubernetes.network import APP, GITLAB_RUNNER
from components.kubernetes.registry import digest
from components.settings import GitlabRunnerSettings

_RULES: Final = (
    ("pods", ("create", "delete", "get", "list", "watch")),
    # One verb for each of the two protocols that a client may speak there.
    ("pods/attach", ("create", "get")),
    ("pods/exec", ("create", "get")),
    ("pods/log", ("get",)),
    ("events", ("list",)),
    # A job's own pull secret, whose name the runner makes up.
    ("secrets", ("create", "delete", "update")),
)
"""What the runner's executor asks of the API for jobs as this project configures them, and no more. Source: GitLab
Runner's documentation, "Configure runner API permissions", and tried. What it looks up by a name is in `_named`."""


@dataclass(frozen=True, kw_only=True)
class GitlabRunnerArgs:
    """What a runner is made from."""

    settings: GitlabRunnerSettings
    namespace: pulumi.Input[str]
    builds_namespace: pulumi.Input[str]
    service_account: str
    """The account of the jobs' pods."""

    pull_secret: str
    shown: str
    """The configuration without the token, for previews to show."""

    files: pulumi.Output[Mapping[str, str]]
    """The files of config.FOLDER by name. A secret."""


class GitlabRunner(pulumi.ComponentResource):
    """A runner that passes Pod Security `restricted`. Only in the builds' namespace may it do anything."""

    deployment: pulumi.Output[str]
    """The Deployment's name."""

    def __init__(self, name: str, args: GitlabRunnerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the runner with its rights."""
        super().__init__("ci:kubernetes:GitlabRunner", name, {"configuration": args.shown}, opts)
        mine = pulumi.ResourceOptions(parent=self)
        labels = {APP: GITLAB_RUNNER, "app.kubernetes.io/part-of": "ci"}
        meta = {"name": GITLAB_RUNNER, "namespace": args.namespace, "labels": labels}
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
                # Two with one token and id would be one machine to GitLab.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": {APP: GITLAB_RUNNER}},
                "template": {
                    "metadata": {"labels": labels, "annotations": {"ci/files": digest(args.files)}},
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
    """Register what the runner may do, all of it in the builds' namespace."""
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
        "name": GITLAB_RUNNER,
        "image": settings.image,
        "image_pull_policy": "IfNotPresent",
        "args": list(config.COMMAND),
        "env": [{"name": key, "value": value} for key, value in sorted(config.ENVIRONMENT.items())],
        "ports": [{"name": "metrics", "container_port": config.PORT, "protocol": "TCP"}],
        # It listens once it has read its configuration; whether GitLab takes the token, only its log tells.
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
        "resources": {
            "requests": {
                "cpu": f"{max(settings.cpu_millicores // 10, 1)}m",
                "memory": f"{settings.memory_mib}Mi",
                "ephemeral-storage": "64Mi",
            },
            "limits": {
                "cpu": f"{settings.cpu_millicores}m",
                "memory": f"{settings.memory_mib}Mi",
                "ephemeral-storage": "256Mi",
            },
        },
        "security_context": {
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volume_mounts": [
            {"name": "files", "mount_path": config.FOLDER, "read_only": True},
            {"name": "home", "mount_path": config.HOME},
        ],
        "termination_message_policy": "FallbackToLogsOnError",
    }
    return {
        "service_account_name": account,
        # Through the API it makes the jobs' pods.
        "automount_service_account_token": True,
        "enable_service_links": False,
        # The image's own signal to stop lets the jobs that run end first.
        "termination_grace_period_seconds": settings.stop_timeout_seconds,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": config.USER,
            "run_as_group": config.USER,
            "fs_group": config.USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "files", "secret": {"secret_name": files, "default_mode": 0o440}},
            {"name": "home", "empty_dir": {"size_limit": "64Mi"}},
        ],
    }
