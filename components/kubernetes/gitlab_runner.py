"""A GitLab Runner in the cluster: one pod, which starts a pod in the builds' namespace for each job."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core, rbac

from .. import certificates, labels
from ..gitlab import config
from ..settings import GitlabRunnerSettings, Settings
from ..settings.gitlab import HELPER_CPU_MILLICORES, HELPER_MEMORY_MIB
from ..settings.secret_fields import text_of
from . import endpoints, restricted
from .builders import buildctl
from .builders.kaniko import CAPABILITIES, HOME, reach
from .builders.pod import ISOLATED, SERVICE_ACCOUNT, isolated
from .builders.spec import PULL_SECRET, PUSH_SECRET, TRUST, TRUST_FILE
from .namespaces import StackArgs, of_builds
from .network import GITLAB_RUNNER
from .server import digest

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


class GitlabRunner(pulumi.ComponentResource):
    """A runner that passes Pod Security `restricted`. It has rights in the builds' namespace only."""

    def __init__(self, name: str, args: StackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the runner with its rights."""
        settings, runner, token = args.settings, args.settings.gitlab_runner, args.settings.gitlab_runner_token
        if runner is None or token is None:
            raise AssertionError
        shown = {"configuration": configuration(settings, runner, _NO_TOKEN)}
        super().__init__("ci:kubernetes:GitlabRunner", name, shown, opts)
        authorities = certificates.read(runner.ca_file) if runner.ca_file else None

        def files_of(token: str) -> Mapping[str, str]:
            with_token = configuration(settings, runner, token)
            return config.files(runner, config=with_token, owner=_owner(), authorities=authorities)

        secret = text_of(token).apply(files_of)
        mine = pulumi.ResourceOptions(parent=self)
        meta = {
            "name": GITLAB_RUNNER,
            "namespace": args.spaces.registry,
            "labels": {labels.APP: GITLAB_RUNNER, **labels.PART},
        }
        account = core.v1.ServiceAccount(
            f"{name}-account", metadata=meta, automount_service_account_token=False, opts=mine
        )
        binding = _rights(name, args, account, mine)
        files = core.v1.Secret(f"{name}-files", metadata=meta, string_data=secret, opts=mine)
        deployment = apps.v1.Deployment(
            f"{name}-runner",
            metadata=meta,
            spec={
                "replicas": 1,
                # GitLab identifies a runner by its token and id, so two pods with the same would be one machine.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": {labels.APP: GITLAB_RUNNER}},
                "template": {
                    "metadata": {"labels": meta["labels"], "annotations": {labels.FILES: digest(secret)}},
                    "spec": _pod(runner, files.metadata.name, account.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions.merge(mine, pulumi.ResourceOptions(depends_on=[binding])),
        )
        self.register_outputs({"deployment": deployment.metadata.apply(lambda made: made.name or GITLAB_RUNNER)})


def _rights(
    name: str, args: StackArgs, account: core.v1.ServiceAccount, opts: pulumi.ResourceOptions
) -> rbac.v1.RoleBinding:
    """Register the runner's rights, all of them in the builds' namespace."""
    meta = {"name": GITLAB_RUNNER, "namespace": args.spaces.builds}
    rules: list[dict[str, Any]] = [
        {"api_groups": [""], "resources": [resource], "verbs": list(verbs)} for resource, verbs in _RULES
    ]
    named = {"secrets": PULL_SECRET, "serviceaccounts": SERVICE_ACCOUNT}
    rules += [
        {"api_groups": [""], "resources": [resource], "resource_names": [one], "verbs": ["get"]}
        for resource, one in named.items()
    ]
    role = rbac.v1.Role(f"{name}-role", metadata=meta, rules=rules, opts=opts)
    return rbac.v1.RoleBinding(
        f"{name}-binding",
        metadata=meta,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
        subjects=[{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": args.spaces.registry}],
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
        **restricted.probes(config.PORT, "/metrics"),
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


def _owner() -> str:
    return f"{pulumi.get_project()}/{pulumi.get_stack()}"


def configuration(settings: Settings, runner: GitlabRunnerSettings, token: str) -> str:
    """Return the configuration for jobs in pods: root in their container, with the capabilities that kaniko needs."""
    jobs = runner.jobs
    logins = {
        "name": PUSH_SECRET,
        "mount_path": f"{HOME}/.docker",
        "read_only": True,
        "items": {".dockerconfigjson": "config.json"},
    }
    volumes: dict[str, Any] = {"secret": [logins]}
    if settings.buildkit is not None:
        certificate = {"name": buildctl.CLIENT_SECRET, "mount_path": buildctl.CERTIFICATES, "read_only": True}
        volumes["secret"].append(certificate)
    if settings.kubernetes.trusted_ca_file is not None:
        file = {"mount_path": f"{HOME}/ssl/certs/ci-trusted.crt", "sub_path": TRUST_FILE, "read_only": True}
        volumes["config_map"] = [{"name": TRUST, **file}]
    section = {
        "namespace": of_builds(settings.kubernetes.namespace),
        "image": jobs.image,
        "privileged": False,
        "allow_privilege_escalation": False,
        "cap_drop": ["ALL"],
        "service_account": SERVICE_ACCOUNT,
        # Nothing in a job speaks to the API.
        "automount_service_account_token": False,
        "image_pull_secrets": [PULL_SECRET],
        "pull_policy": ["if-not-present"],
        # A node may have to pull a big image first.
        "poll_timeout": 600,
        **_limits("", cpu=jobs.cpu_millicores, memory=jobs.memory_mib, disk=jobs.disk_mib),
        **_limits("helper_", cpu=HELPER_CPU_MILLICORES, memory=HELPER_MEMORY_MIB, disk=jobs.disk_mib),
        **_limits("service_", cpu=HELPER_CPU_MILLICORES, memory=HELPER_MEMORY_MIB, disk=jobs.disk_mib),
        **({"helper_image": runner.helper_image} if runner.helper_image else {}),
        "node_selector": {"kubernetes.io/os": "linux"},
        "pod_security_context": {"seccomp_profile": {"type": "RuntimeDefault"}},
        "build_container_security_context": {"capabilities": {"drop": ["ALL"], "add": list(CAPABILITIES)}},
        "volumes": volumes,
    }
    own: dict[str, Any] = {}
    if settings.kubernetes.isolation is not None:
        # Services of a job begin before its script, so a container of the pod looks first.
        limits = restricted.resources(HELPER_CPU_MILLICORES, HELPER_MEMORY_MIB, jobs.disk_mib, min(jobs.disk_mib, 512))
        patch = {"hostUsers": False, "initContainers": [isolated(settings.kubernetes.git_image, limits)]}
        section["pod_spec"] = [{"name": "isolation", "patch_type": "strategic", "patch": json.dumps(patch)}]
        # A job's variables can't switch off what is on in the runner's own section. The script is for a runner that
        # does not know the patch, and says nothing.
        own = {"feature_flags": {"FF_USE_ADVANCED_POD_SPEC_CONFIGURATION": True}, "pre_build_script": ISOLATED}
    environment = _environment(settings)
    return config.whole(
        runner, name=_owner(), token=token, executor="kubernetes", environment=environment, section=section, own=own
    )


def _limits(prefix: str, *, cpu: int, memory: int, disk: int) -> dict[str, str]:
    """Return limits, and requests as builds have them."""
    found = restricted.resources(cpu, memory, disk, min(disk, 512))
    return {
        f"{prefix}{resource.replace('-', '_')}_{kind}": found[f"{kind}s"][resource]
        for resource in found["limits"]
        for kind in ("request", "limit")
    }


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
