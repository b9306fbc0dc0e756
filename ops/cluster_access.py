"""What limits access in a stack's namespaces, compared with what the stack declares.

Pulumi's provider compares an object of the cluster only in the fields and list entries that the program declares, and
a refresh does the same. So it sees neither a rule that somebody appended to a NetworkPolicy or a Role, nor a new field
beside the declared ones. Here the API server itself says what the object would be with the declared part put back.
"""

from __future__ import annotations

import http
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from kubernetes import client

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.kubernetes.cluster import ApiReader

_Rbac = client.RbacAuthorizationV1Api
_Admission = client.AdmissionregistrationV1Api
_BOUNDS: Mapping[str, tuple[Any, str, str]] = {
    "core/v1:Namespace": (client.CoreV1Api, "namespace", "metadata.labels"),
    "core/v1:ResourceQuota": (client.CoreV1Api, "namespaced_resource_quota", "spec"),
    "core/v1:LimitRange": (client.CoreV1Api, "namespaced_limit_range", "spec"),
    "batch/v1:CronJob": (client.BatchV1Api, "namespaced_cron_job", "spec"),
    "networking.k8s.io/v1:NetworkPolicy": (client.NetworkingV1Api, "namespaced_network_policy", "spec"),
    "rbac.authorization.k8s.io/v1:Role": (_Rbac, "namespaced_role", "rules"),
    "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy": (_Admission, "validating_admission_policy", "spec"),
    "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding": (
        _Admission,
        "validating_admission_policy_binding",
        "spec",
    ),
    "rbac.authorization.k8s.io/v1:RoleBinding": (_Rbac, "namespaced_role_binding", "subjects"),
    "rbac.authorization.k8s.io/v1:ClusterRole": (_Rbac, "cluster_role", "rules"),
    "rbac.authorization.k8s.io/v1:ClusterRoleBinding": (_Rbac, "cluster_role_binding", "subjects"),
}
"""The kinds by Pulumi's token: the client's API and noun for it, and the field that is the stack's alone."""


def changed(there: ApiReader, resources: Iterable[Mapping[str, Any]], *, mend: bool) -> Iterator[str]:
    """Find what is not as declared, and put it back if asked to. Yields each as `Role ci-builds/gitlab-runner`.

    resources: the state's, or of the same shape.
    """
    for entry in resources:
        package, _, token = str(entry["type"]).partition(":")
        if package != "kubernetes" or token not in _BOUNDS or entry.get("delete"):
            continue
        api, noun, field = _BOUNDS[token]
        inputs = entry["inputs"]
        where = [inputs["metadata"][key] for key in ("namespace", "name") if key in inputs["metadata"]]
        ask, shown = api(there.client), f"{token.rpartition(':')[2]} {'/'.join(where)}"
        try:
            live = getattr(ask, f"read_{noun}")(*reversed(where))
            dry = {} if mend else {"dry_run": "All"}
            wanted = getattr(ask, f"patch_{noun}")(*reversed(where), _declared(field, inputs), **dry)
        except client.ApiException as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise
            yield f"{shown} (gone)"
            continue
        if attrgetter(field)(live) != attrgetter(field)(wanted):
            yield shown


def _declared(field: str, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The JSON patch that puts the declared value of a field back. Others may have labels on a namespace."""
    labels = inputs["metadata"]["labels"] if field == "metadata.labels" else {}
    values = {f"metadata/labels/{key.replace('/', '~1')}": value for key, value in labels.items()}
    values = values or {field: inputs[field]}
    return [{"op": "add", "path": f"/{path}", "value": value} for path, value in values.items()]
