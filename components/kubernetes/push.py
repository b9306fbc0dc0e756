"""Builds on push: a pod that watches branches, the only Jobs that it may create, and their templates."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml
from pulumi_kubernetes import admissionregistration, apps, batch, core, rbac

from .. import certificates, labels
from ..settings import Settings
from ..settings.cluster_checks import pushes_of
from ..settings.secret_fields import text_of
from . import endpoints, queue, restricted, webhook
from .build import job_spec
from .builders.spec import SECRETS_FOLDER, TRUST_FILE
from .namespaces import StackArgs, of_builds
from .network import PUSH
from .plan import Plan, push_job, template_name
from .server import digest

SCRIPT: Final = Path(__file__).with_name("push.sh")
HUNG: Final = Path(__file__).with_name("push_hung.sh")
POLICY: Final = Path(__file__).with_name("push_policy.yaml")

_PROXY_PORT: Final = 8001
_KEPT_RUNS: Final = 10
_KEPT_RUNS_OF_MANY: Final = 100
"""How many Jobs that ended well are kept of a build, and how many that failed; the second for a pattern of branches,
where the newest Job of each branch should be among them."""

_PASSWD: Final = f"push:x:{restricted.USER}:{restricted.USER}::/tmp:/bin/sh\n"
"""ssh does not start for a user without a name."""


@dataclass(frozen=True, kw_only=True)
class PushArgs(StackArgs):
    """The inputs of the watcher."""

    plans: Sequence[Plan]
    """The plans of the builds that are watched."""

    webhook_secret: pulumi.Output[str] | None = None
    """What git hosts sign their calls with; None without `ci:webhook`."""


class Push(pulumi.ComponentResource):
    """A watcher that passes Pod Security `restricted`. It may list Jobs, and create those of a template."""

    def __init__(self, name: str, args: PushArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the templates, the watcher with its rights, and the policy about what it may create."""
        shown = {"watched": watched(args.plans), "webhook": endpoints.webhook(args.settings)}
        super().__init__("ci:kubernetes:Push", name, shown, opts)
        mine = pulumi.ResourceOptions(parent=self)
        files = {plan.settings.name: self._build(name, args, plan) for plan in args.plans}
        meta = {"name": PUSH, "namespace": args.spaces.registry, "labels": {labels.APP: PUSH, **labels.PART}}
        account = core.v1.ServiceAccount(
            f"{name}-account", metadata=meta, automount_service_account_token=False, opts=mine
        )
        guards = [self._rights(name, args, account), *self._policies(name, args)]
        # A build may be named `files`, and none has a dot in its name.
        was = pulumi.ResourceOptions.merge(mine, pulumi.ResourceOptions(aliases=[pulumi.Alias(name=f"{name}-files")]))
        common = core.v1.ConfigMap(f"{name}.files", metadata=meta, data=_files(args.settings), opts=was)
        if credentials := _credentials(args):
            core.v1.Secret(f"{name}-git", metadata=meta, string_data=pulumi.Output.secret(credentials), opts=mine)
        containers = [_watcher(args.settings, len(files), credentials=bool(credentials)), _proxy(args.settings)]
        volumes = _volumes(files, credentials=bool(credentials))
        # No build's name begins with '/'.
        parts = {"/files": common.data, **{build: made.data for build, made in files.items()}}
        if args.webhook_secret is not None:
            parts["/webhook"] = args.webhook_secret.apply(lambda it: {"haproxy.cfg": webhook.configuration(it)})
            meta_of_receiver = {**meta, "name": endpoints.WEBHOOK}
            core.v1.Secret(f"{name}-webhook", metadata=meta_of_receiver, string_data=parts["/webhook"], opts=mine)
            containers.append(webhook.container(args.settings.registry.access_image))
            volumes.append(webhook.VOLUME)
        texts = pulumi.Output.all(**parts).apply(
            lambda known: {f"{build}/{key}": text for build, data in known.items() for key, text in data.items()}
        )
        watcher = apps.v1.Deployment(
            f"{name}-watcher",
            metadata=meta,
            spec={
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": {labels.APP: PUSH}},
                "template": {
                    "metadata": {
                        "labels": meta["labels"],
                        "annotations": {labels.FILES: digest(texts)},
                    },
                    "spec": {
                        **restricted.pod(token=False, fs_group=restricted.USER),
                        "service_account_name": account.metadata.name,
                        "containers": containers,
                        "volumes": volumes,
                    },
                },
            },
            opts=pulumi.ResourceOptions.merge(mine, pulumi.ResourceOptions(depends_on=guards)),
        )
        if args.settings.webhook is not None:
            # As the registry's Service, it may have a port of the nodes.
            options = pulumi.ResourceOptions(depends_on=[watcher], delete_before_replace=True)
            after = pulumi.ResourceOptions.merge(mine, options)
            webhook.expose(name, args.settings.webhook, args.spaces.registry, after)
        self.register_outputs({})

    def _build(self, name: str, args: PushArgs, plan: Plan) -> core.v1.ConfigMap:
        """Register a build's template, and what the watcher reads of the build."""
        build, git, wanted = plan.settings, plan.settings.context.git, plan.settings.on_push
        if git is None or wanted is None or plan.on_push is None:
            raise AssertionError
        marks, waits = {labels.BUILD: build.name, **labels.PART}, queue.of_jobs(args.settings.kubernetes)
        spec = job_spec(build, plan.on_push, marks)
        kept = _KEPT_RUNS_OF_MANY if "*" in wanted.branch else _KEPT_RUNS
        template = batch.v1.CronJob(
            f"{name}-{build.name}-template",
            metadata={
                "name": template_name(build.name),
                "namespace": args.spaces.builds,
                "labels": {**marks, labels.APP: PUSH},
            },
            spec={
                # It never starts a Job. Kubernetes removes the oldest Jobs that belong to it.
                "schedule": "@yearly",
                "suspend": True,
                "successfulJobsHistoryLimit": kept,
                "failedJobsHistoryLimit": kept,
                "jobTemplate": {"metadata": {"labels": {**marks, **waits}}, "spec": spec},
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        variables = {
            "BRANCH": wanted.branch,
            "REPOSITORY": git.repository,
            "GIT_USER": git.user,
            "TOKEN": "yes" if git.credentials == "gitToken" else "",
            "SECONDS_BETWEEN": str(wanted.every_seconds),
            # In a queue, a Job's deadline begins when its turn comes.
            "DECIDES": plan.decides_on_push or "",
            "AT_MOST": str(pushes_of(build, args.settings)) if "*" in wanted.branch and not waits else "",
        }
        data: dict[str, pulumi.Input[str]] = {
            "settings": "".join(f"{key}={shlex.quote(value)}\n" for key, value in variables.items()),
            "known_hosts": f"{git.known_hosts or ''}\n",
            "job": template.metadata.apply(
                lambda made: push_job(spec, marks, waits, template_name(build.name), made.uid)
            ),
        }
        return core.v1.ConfigMap(
            f"{name}-{build.name}",
            metadata={"name": f"{PUSH}-{build.name}", "namespace": args.spaces.registry},
            data=data,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _rights(self, name: str, args: PushArgs, account: core.v1.ServiceAccount) -> rbac.v1.RoleBinding:
        mine = pulumi.ResourceOptions(parent=self)
        meta = {"name": PUSH, "namespace": args.spaces.builds}
        rule = {"api_groups": ["batch"], "resources": ["jobs"], "verbs": ["create", "list"]}
        role = rbac.v1.Role(f"{name}-role", metadata=meta, rules=[rule], opts=mine)
        return rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=meta,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
            subjects=[{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": args.spaces.registry}],
            opts=mine,
        )

    def _policies(self, name: str, args: PushArgs) -> list[pulumi.Resource]:
        """Register what the API server lets the account create, beside its rights."""
        namespace, waits = args.settings.kubernetes.namespace, queue.of_jobs(args.settings.kubernetes)
        places = {
            "account": f"system:serviceaccount:{namespace}:{PUSH}",
            "builds-namespace": of_builds(namespace),
            "builds": str([plan.settings.name for plan in args.plans]),
            "queue": str([f"{key}={value}" for key, value in waits.items()]),
            # Kueue suspends a Job in a queue before the policies see it.
            "suspend": str(bool(waits)).lower(),
        }
        text = POLICY.read_text(encoding="utf-8")
        for place, value in places.items():
            text = text.replace(f"@{place}@", value)
        lacking = {"namespace": args.spaces.builds, "parameter_not_found_action": "Deny"}
        # Of a build whose own template is gone, the first binding finds only the others, and they let its Jobs pass.
        bindings: dict[str, Any] = {"": {"param_ref": {**lacking, "selector": {"match_labels": {labels.APP: PUSH}}}}}
        for build in watched(args.plans):
            only = {"match_resources": {"object_selector": {"match_labels": {labels.BUILD: build}}}}
            bindings[f"-{build}"] = {"param_ref": {**lacking, "name": template_name(build)}, **only}
        made: list[pulumi.Resource] = []
        # That of the account comes last: it lets a build in, and by then the others must know the build.
        for role, spec in reversed(yaml.safe_load(text).items()):
            # Once the last binding with parameters is gone, an API server finds no parameters any more until it is
            # started again, and would refuse every build of the next stack. Source: kubernetes/kubernetes issue 130887.
            stays = "param_kind" in spec
            options = pulumi.ResourceOptions(parent=self, retain_on_delete=stays or None, depends_on=[*made])
            meta = {"name": f"{namespace}-{PUSH}-{role}"}
            policy = admissionregistration.v1.ValidatingAdmissionPolicy(
                f"{name}-{role}-policy", metadata=meta, spec=spec, opts=options
            )
            made.append(policy)
            for suffix, more in (bindings if stays else {"": {}}).items():
                binding = admissionregistration.v1.ValidatingAdmissionPolicyBinding(
                    f"{name}-{role}-policy-binding{suffix}",
                    metadata={**meta, "name": f"{meta['name']}{suffix}"},
                    spec={"policy_name": policy.metadata.name, "validation_actions": ["Deny"], **more},
                    opts=pulumi.ResourceOptions(parent=self) if suffix else options,
                )
                made.append(binding)
        return made


def watched(plans: Sequence[Plan]) -> Mapping[str, Mapping[str, str]]:
    """Return the branch and the repository of each build that is watched."""
    found = [(plan.settings.name, plan.settings.context.git, plan.settings.on_push) for plan in plans]
    return {
        name: {"branch": wanted.branch, "repository": git.repository} for name, git, wanted in found if git and wanted
    }


def _files(settings: Settings) -> dict[str, str]:
    trusted = settings.kubernetes.trusted_ca_file
    return {"passwd": _PASSWD, **({TRUST_FILE: certificates.read(trusted)} if trusted else {})}


def _credentials(args: PushArgs) -> dict[str, pulumi.Output[str]]:
    """Return the files of the Secret with which the watched repositories are read."""
    used = {plan.settings.context.git.credentials for plan in args.plans if plan.settings.context.git is not None}
    known = {"gitToken": ("token", args.settings.git_token), "gitSshKey": ("key", args.settings.git_ssh_key)}
    return {file: text_of(value) for name, (file, value) in known.items() if name in used and value is not None}


def _watcher(settings: Settings, watched: int, *, credentials: bool) -> dict[str, Any]:
    """Return the container that asks git hosts. watched: how many builds. credentials: whether it has some."""
    environment = {
        "NAMESPACE": of_builds(settings.kubernetes.namespace),
        "PROXY_PORT": str(_PROXY_PORT),
        "BUILD_LABEL": labels.BUILD,
        "BRANCH_LABEL": labels.BRANCH,
    }
    if settings.webhook is not None:
        environment["CALLS_PORT"] = str(webhook.CALLS_PORT)
    mounts = {"watch": "/watch", "files": "/trust", **({"git": f"{SECRETS_FOLDER}/git"} if credentials else {})}
    return {
        **restricted.CONTAINER,
        "name": "watcher",
        "image": settings.kubernetes.git_image,
        "command": ["/bin/sh", "-c", SCRIPT.read_text(encoding="utf-8")],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        # A question by git takes 10 MiB, and all builds may ask at one time, as they do at the start.
        "resources": restricted.resources(500, 112 + 16 * watched, 128),
        "liveness_probe": {
            "exec": {"command": ["/bin/sh", "-c", HUNG.read_text(encoding="utf-8")]},
            "period_seconds": 20,
            "timeout_seconds": 10,
        },
        "volume_mounts": [
            *({"name": name, "mount_path": path, "read_only": True} for name, path in mounts.items()),
            {"name": "files", "mount_path": "/etc/passwd", "sub_path": "passwd", "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 - in the container
        ],
    }


def _proxy(settings: Settings) -> dict[str, Any]:
    """Return the container that alone has the account's token: what talks to git hosts does not."""
    paths = f"^/apis/batch/v1/namespaces/{of_builds(settings.kubernetes.namespace)}/jobs$"
    words = ("proxy", f"--port={_PROXY_PORT}", f"--accept-paths={paths}")
    return {
        **restricted.kubectl("proxy", settings.kubernetes.kubectl_image, *words),
        "volume_mounts": [
            {"name": "token", "mount_path": "/var/run/secrets/kubernetes.io/serviceaccount", "read_only": True},
            {"name": "cache", "mount_path": "/tmp"},  # noqa: S108 - in the container
        ],
    }


def _volumes(builds: Mapping[str, core.v1.ConfigMap], *, credentials: bool) -> list[dict[str, Any]]:
    """Return the volumes of both. builds: what the watcher reads of each build."""
    projected = [
        {
            "config_map": {
                "name": made.metadata.name,
                "items": [{"key": key, "path": f"{build}/{key}"} for key in ("settings", "known_hosts", "job")],
            }
        }
        for build, made in builds.items()
    ]
    token = [
        {"service_account_token": {"path": "token", "expiration_seconds": 3600}},
        {"config_map": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    return [
        {"name": "watch", "projected": {"sources": projected, "default_mode": 0o444}},
        {"name": "files", "config_map": {"name": PUSH, "default_mode": 0o444}},
        *([{"name": "git", "secret": {"secret_name": PUSH, "default_mode": 0o440}}] if credentials else []),
        {"name": "token", "projected": {"sources": token, "default_mode": 0o440}},
        {"name": "tmp", "empty_dir": {"size_limit": "64Mi"}},
        {"name": "cache", "empty_dir": {"size_limit": "32Mi"}},
    ]
