"""What limits access in the cluster and was changed by hand: found, and put back.

Pulumi's provider compares an object only in the fields and list entries that the program declares, and a refresh does
the same. So it sees neither a rule that somebody appended to a NetworkPolicy or a Role, nor a new field beside the
declared ones. Here the API server itself says what an object would be with the declared part put back.
"""

import http
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from operator import attrgetter, getitem
from typing import Any, Final

import pulumi

from .cluster import ApiReader, ForbiddenError, ReadError

_SEEN_BY_PULUMI: Final = "metadata.name"

_BOUNDS: Final[Mapping[str, str]] = {
    "Namespace": "metadata.labels",
    "Service": "spec.selector",
    **dict.fromkeys(("CronJob", "LimitRange", "NetworkPolicy", "ResourceQuota"), "spec"),
    **dict.fromkeys(("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"), "spec"),
    **dict.fromkeys(("ClusterRole", "Role"), "rules"),
    **dict.fromkeys(("ClusterRoleBinding", "RoleBinding"), "subjects"),
    **dict.fromkeys(("Secret", "ServiceAccount"), _SEEN_BY_PULUMI),
}
"""The kinds that limit access, lead to a pod or are needed by one, each with the field that is the stack's alone. Of
the last, only whether they are there counts."""

_FORCED: Final = {"pulumi.com/patchForce": "true"}
"""The annotations of an object whose fields may have another owner to the API server: somebody who changed it by hand,
who put it back here, or an update that was killed. An older provider than 4.34 knows no enable_patch_force, and would
refuse the next change of such a field."""

_AT_ONCE: Final = 8
"""How many objects are compared at one time. Two requests for each take some seconds on a cluster that is far away."""


def changed(reader: ApiReader, resources: Iterable[Mapping[str, Any]], *, mend: bool = False) -> Iterator[str]:
    """Yield each object that limits access and is not as declared, as `Role ci-builds/gitlab-runner`.

    resources: of a state, with `type` and `inputs`.
    mend: put it back.

    Raises ReadError if the cluster does not answer; ForbiddenError if this user may not patch, which also a look needs.
    """
    compared = [each for each in resources if _kind(each) in _BOUNDS and not each.get("delete")]
    if not compared:
        return
    from kubernetes.client import ApiException  # noqa: PLC0415 - see ApiReader
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from filter(None, pool.map(partial(_compare, reader.client, mend=mend), compared))
    except ApiException as error:
        kind = ForbiddenError if error.status == http.HTTPStatus.FORBIDDEN else ReadError
        raise kind(f"the API server refused: {error.status} {error.reason}") from None
    except (HTTPError, OSError) as error:
        raise ReadError(f"the API server does not answer: {error}") from None


def of_program(resources: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the resources of which Pulumi does not see every change itself."""
    return [each for each in resources if _BOUNDS.get(_kind(each), _SEEN_BY_PULUMI) != _SEEN_BY_PULUMI]


def forced(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    """Return a resource that limits access as one whose fields the update takes from every other owner."""
    if not of_program([{"type": args.type_}]):
        return None
    metadata: Any = args.props["metadata"]
    metadata = {**metadata, "annotations": {**metadata.get("annotations", {}), **_FORCED}}
    return pulumi.ResourceTransformationResult({**args.props, "metadata": metadata}, args.opts)


def _kind(resource: Mapping[str, Any]) -> str:
    package, _, token = str(resource["type"]).partition(":")
    return token.rpartition(":")[2] if package == "kubernetes" else ""


def _compare(connection: Any, resource: Mapping[str, Any], *, mend: bool) -> str | None:  # noqa: ANN401 - without types
    from kubernetes import client  # noqa: PLC0415 - see ApiReader

    kind, inputs = _kind(resource), resource["inputs"]
    field, group = _BOUNDS[kind], str(resource["type"]).split(":")[1]
    where = [inputs["metadata"][key] for key in ("namespace", "name") if key in inputs["metadata"]]
    # As the client's generator names them: `RbacAuthorizationV1Api.read_namespaced_role_binding`.
    parts = re.split(r"[./]", group.replace(".k8s.io", ""))
    api = getattr(client, f"{''.join(map(str.title, parts))}Api")(connection)
    noun = "_namespaced" * (len(where) - 1) + re.sub("(?=[A-Z])", "_", kind).lower()
    shown, dry = f"{kind} {'/'.join(where)}", {} if mend else {"dry_run": "All"}
    declared, path = reduce(getitem, field.split("."), inputs), f"/{field.replace('.', '/')}"
    # Others may have labels on a namespace.
    ours = declared if kind == "Namespace" else {}
    values = {f"{path}/{key.replace('/', '~1')}": value for key, value in ours.items()} or {path: declared}
    patch = [{"op": "add", "path": path, "value": value} for path, value in values.items()]
    try:
        live = getattr(api, f"read{noun}")(*reversed(where))
        wanted = getattr(api, f"patch{noun}")(*reversed(where), patch, **dry)
    except client.ApiException as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
        return f"{shown} (gone)"
    return shown if attrgetter(field)(live) != attrgetter(field)(wanted) else None
