"""Garbage collection of the registry: a script before its start, and a schedule that restarts it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi_kubernetes import batch, core, rbac

from .. import labels
from ..settings.kubernetes import KeepSettings
from . import restricted, retention, texts
from .namespaces import StackArgs
from .network import RESTARTER

_DEADLINE_SECONDS: Final = 300
"""How long a restart may take. It deletes one or two pods and does not wait for them."""

_AT_MOST_EVERY_MINUTES: Final = 720
"""Half a day: a pod that is rescheduled twice in a night collects once."""

_TEXT: Final = Path(__file__).with_name("collection.sh").read_text(encoding="utf-8")
SCRIPT: Final = _TEXT.replace("@data@", texts.DATA).replace("@minutes@", str(_AT_MOST_EVERY_MINUTES))
"""Runs in an init container, when nobody can push. It never keeps the registry from starting: it ignores failures and a
full volume, does not start again right after it was killed, and keeps only the last lines of a long output."""


def script(keep: KeepSettings | None) -> str:
    """Return the init container's script: SCRIPT, behind what removes old tags if these settings are given."""
    if keep is None:
        return SCRIPT
    return f"(\n{retention.SCRIPT})\ncase $? in 0) ;; 4) FLAGS= ;; *) exit 0 ;; esac\n{SCRIPT}"


def container(common: dict[str, Any], flags: Sequence[str], keep: KeepSettings | None = None) -> dict[str, Any]:
    """Return the init container. common: the fields that it shares with the registry's container."""
    environment = {"OTEL_TRACES_EXPORTER": "none", "FLAGS": " ".join(flags)}
    if keep is not None:
        environment |= retention.environment(keep)
    return {
        **common,
        "name": "collect",
        "command": ["/bin/sh", "-uc", script(keep)],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "volume_mounts": [*common["volume_mounts"], *([retention.MOUNT] if keep is not None else [])],
    }


def restarts(name: str, args: StackArgs, schedule: str, pods: Sequence[str], opts: pulumi.ResourceOptions) -> None:
    """Register a CronJob that deletes these pods on a schedule, with the rights to delete these only.

    With `ci:registry.keep`, it asks before that which images are in use, by the shell and wget of the registry's image.
    """
    namespace, image, settings = args.spaces.registry, args.settings.kubernetes.kubectl_image, args.settings.registry
    meta: dict[str, Any] = {"name": RESTARTER, "namespace": namespace, "labels": {labels.APP: RESTARTER}}
    account = core.v1.ServiceAccount(
        f"{name}-restarter", metadata=meta, automount_service_account_token=False, opts=opts
    )
    rules: list[dict[str, Any]] = [
        {"api_groups": [""], "resources": ["pods"], "resource_names": pods, "verbs": ["get", "delete"]}
    ]
    if settings.keep is not None:
        rules.append(retention.RULE)
    role = rbac.v1.Role(f"{name}-restart-role", metadata=meta, rules=rules, opts=opts)
    binding = rbac.v1.RoleBinding(
        f"{name}-restart-binding",
        metadata=meta,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
        subjects=[{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": namespace}],
        opts=opts,
    )
    needed: list[pulumi.Resource] = [binding]
    pod = {
        **restricted.pod(token=True),
        "restart_policy": "Never",
        "service_account_name": account.metadata.name,
        "containers": [
            restricted.kubectl("kubectl", image, "delete", "pod", *pods, "--ignore-not-found", "--wait=false")
        ],
        "volumes": [{"name": "tmp", "empty_dir": {"size_limit": "32Mi"}}],
    }
    if settings.keep is not None:
        needed += retention.rights(name, meta, account, opts)
        pod["init_containers"] = retention.asking(image, settings.image)
        pod["volumes"].append(retention.WORK)
    batch.v1.CronJob(
        f"{name}-restart",
        metadata=meta,
        spec={
            "schedule": schedule,
            "concurrency_policy": "Forbid",
            "starting_deadline_seconds": 3600,
            "successful_jobs_history_limit": 1,
            "failed_jobs_history_limit": 1,
            "job_template": {
                "spec": {
                    "active_deadline_seconds": _DEADLINE_SECONDS,
                    "backoff_limit": 2,
                    "template": {"metadata": {"labels": {labels.APP: RESTARTER}}, "spec": pod},
                }
            },
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=needed)),
    )
