"""Garbage collection of the registry: a script before its start, and a schedule that restarts it."""

from collections.abc import Sequence
from typing import Any, Final

import pulumi
from pulumi_kubernetes import batch, core, rbac

from components import labels
from components.kubernetes import restricted, texts
from components.kubernetes.network import RESTARTER

_DEADLINE_SECONDS: Final = 300
"""How long a restart may take. It deletes one or two pods and does not wait for them."""

_AT_MOST_EVERY_MINUTES: Final = 720
"""Half a day: a pod that is rescheduled twice in a night collects once."""

SCRIPT: Final = f"""\
stamp={texts.DATA}/.collected
if [ -d {texts.DATA}/docker ] && [ -z "$(find "$stamp" -mmin -{_AT_MOST_EVERY_MINUTES} 2>/dev/null)" ]; then
  touch "$stamp"
  {{
    registry garbage-collect $FLAGS /etc/distribution/config.yml 2>&1 \\
      || echo "the collection failed; nothing is lost, the next one tries again"
  }} | tail -n 5
fi
exit 0
"""
"""Runs in an init container, when nobody can push. It never keeps the registry from starting: it ignores failures and a
full volume, does not start again right after it was killed, and keeps only the last lines of a long output."""


def container(common: dict[str, Any], flags: Sequence[str]) -> dict[str, Any]:
    """Return the init container. common: the fields that it shares with the registry's container."""
    return {
        **common,
        "name": "collect",
        "command": ["/bin/sh", "-uc", SCRIPT],
        "env": [
            {"name": "OTEL_TRACES_EXPORTER", "value": "none"},
            {"name": "FLAGS", "value": " ".join(flags)},
        ],
    }


def restarts(  # noqa: PLR0913 - by keyword
    name: str,
    *,
    schedule: str,
    pods: Sequence[str],
    image: str,
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Register a CronJob that deletes these pods on a schedule, with the rights to delete these only.

    image: contains kubectl.
    """
    meta: dict[str, Any] = {"name": RESTARTER, "namespace": namespace, "labels": {labels.APP: RESTARTER}}
    account = core.v1.ServiceAccount(
        f"{name}-restarter", metadata=meta, automount_service_account_token=False, opts=opts
    )
    role = rbac.v1.Role(
        f"{name}-restart-role",
        metadata=meta,
        rules=[{"api_groups": [""], "resources": ["pods"], "resource_names": pods, "verbs": ["get", "delete"]}],
        opts=opts,
    )
    binding = rbac.v1.RoleBinding(
        f"{name}-restart-binding",
        metadata=meta,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
        subjects=[{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": namespace}],
        opts=opts,
    )
    kubectl = {
        **restricted.CONTAINER,
        "name": "kubectl",
        "image": image,
        # The official image has no shell, but kubectl on its path.
        "command": ["kubectl", "delete", "pod", *pods, "--ignore-not-found", "--wait=false", "--cache-dir=/tmp/cache"],
        "resources": restricted.resources(100, 128, 64),
        "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108 - in the container
    }
    pod = {
        **restricted.pod(token=True),
        "restart_policy": "Never",
        "service_account_name": account.metadata.name,
        "containers": [kubectl],
        "volumes": [{"name": "tmp", "empty_dir": {"size_limit": "32Mi"}}],
    }
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
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[binding])),
    )
