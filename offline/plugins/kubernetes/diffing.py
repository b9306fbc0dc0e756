"""Comparing a recorded object with new inputs, and reading inputs back from a live object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..stubs import provider_pb2
from ..values import has_unknown
from . import checkpoint, merge
from .api import StatusError
from .awaiting.job import progress
from .connection import UnreachableError
from .difference import Differences, Leaf, Path, write_path
from .immutable import immutable_paths, touches
from .normalize import normalize
from .objects import (
    AUTONAMED,
    REPLACE_UNREADY,
    Kind,
    Object,
    is_named,
    is_set,
    name_of,
    namespace_of,
    pluck,
    set_metadata,
)
from .operations import Operations, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .cluster import Cluster

# PropertyDiff.Kind; one more when it replaces.
_KINDS: Final = {"add": 0, "delete": 2, "update": 4}
_UNREADY: Final = f'.metadata.annotations["{REPLACE_UNREADY}"]'
# What an import takes over besides what every object has.
_NO_INPUTS: Final = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
_NO_ANNOTATIONS: Final = (
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
)


@dataclass(frozen=True)
class Question:
    """What is compared: the new inputs with the recorded state of a resource."""

    cluster: Cluster
    operations: Operations
    urn: str
    inputs: Object
    state: Object


@dataclass(frozen=True)
class Answer:
    """What changes."""

    leaves: dict[Path, Leaf]
    replaces: list[str]
    delete_first: bool = False
    warning: str = ""
    also: list[str] = field(default_factory=list)

    def response(self) -> provider_pb2.DiffResponse:
        """Say it to the engine."""
        changed = bool(self.leaves or self.replaces)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=self.replaces,
            deleteBeforeReplace=self.delete_first,
            detailedDiff={
                write_path(path): provider_pb2.PropertyDiff(
                    kind=_KINDS[leaf.change] + int(leaf.replaces),  # type: ignore[arg-type]
                    inputDiff=leaf.change == "delete",
                )
                for path, leaf in self.leaves.items()
            },
            hasDetailedDiff=True,
        )


def compare(question: Question, ignored: Iterable[str]) -> Answer:
    """Compare: new inputs with the live object as it was recorded, cut down to the fields that were given."""
    old_inputs, live = checkpoint.parse(question.state)
    new = normalize(question.inputs)
    old = merge.prune(live, normalize(old_inputs))
    _align(old, new, live, question.cluster)
    found = _differences(question.cluster, old, new, ignored)
    if found.leaves:
        _drop_spellings(question, found, new, live)
    replaces = [
        write_path(path)
        for path, leaf in found.leaves.items()
        if leaf.replaces or (leaf.change == "delete" and path == ("metadata",))
    ]
    warning = ""
    if is_set(new, REPLACE_UNREADY):
        unready, warning = _unready(question, new, live)
        replaces += [_UNREADY] if unready else []
    same_place = name_of(new) == name_of(live) and namespace_of(new) == namespace_of(live)
    first = bool(replaces) and is_named(new) and not is_set(new, AUTONAMED) and same_place
    return Answer(found.leaves, replaces, delete_first=first, warning=warning)


def _align(old: Object, new: Object, live: Object, cluster: Cluster) -> None:
    """Make name, namespace and kind comparable: an object that names no namespace is in `default`."""
    kind = Kind.of(new)
    known = kind.namespaced()
    if known is None and not cluster.unreachable and cluster.discovery.has(kind):
        known = cluster.discovery.find(kind).namespaced
    for obj in (old, new):
        if not isinstance(obj.setdefault("metadata", {}), dict):
            continue
        if known is False:
            obj["metadata"].pop("namespace", None)
        elif not obj["metadata"].get("namespace"):
            set_metadata(obj, "namespace", "default")
    old.setdefault("apiVersion", new.get("apiVersion"))
    old.setdefault("kind", new.get("kind"))
    if name_of(new) and isinstance(old["metadata"], dict):
        set_metadata(old, "name", name_of(live))


def _differences(cluster: Cluster, old: Object, new: Object, ignored: Iterable[str]) -> Differences:
    fixed = immutable_paths(
        new, mutable_secrets=cluster.on("enableSecretMutable"), mutable_config_maps=cluster.on("enableConfigMapMutable")
    )

    def replaces(path: Path, value: Any) -> bool:
        return any(touches(path, value, one) for one in fixed)

    found = Differences(replaces).find(merge.merge_patch(old, new), old, new)
    found.ignore(ignored)
    return found


def _drop_spellings(question: Question, found: Differences, new: Object, live: Object) -> None:
    """Drop changes that are none: an empty or zero value given for one that the server leaves out.

    Which of them it leaves out depends on the field, and nothing but the server says so: it is asked, without being
    changed, and only when there is such a value. (The official plugin knows it from Kubernetes' own Go types.)
    """
    doubtful = [path for path, leaf in found.leaves.items() if leaf.change == "add" and _is_zero(leaf.new)]
    kind = Kind.of(new)
    if not doubtful or has_unknown(new) or not kind.built_in:
        return
    planned = None
    if not question.cluster.unreachable:
        task = Task(question.urn, new, checkpoint.manager(question.state) or "pulumi-kubernetes")
        planned = question.operations.dry_apply(task, live)
    for path in doubtful:
        if planned is not None and pluck(planned, *path) is None:
            del found.leaves[path]


def _is_zero(value: Any) -> bool:
    """Say whether a value is one that the server may leave out: a zero one, or one of nothing but those."""
    if isinstance(value, dict):
        return all(_is_zero(item) for item in value.values())
    return value in (None, "", False, 0) or value == []


def _unready(question: Question, new: Object, live: Object) -> tuple[bool, str]:
    """Say whether an object that is to be made anew unless it is ready is not; with what the user should know."""
    if question.cluster.unreachable:
        return False, "Cluster is unreachable, skipping replaceUnready check"
    if new.get("kind") != "Job":
        return False, "replaceUnready annotation is not supported for this resource"
    try:
        done, _, _ = progress(question.operations.look(live))
    except (StatusError, UnreachableError):
        return False, ""
    return not done, ""


def live_inputs(live: Object, old_inputs: Object, *, imported: bool) -> Object:
    """Give the inputs that a live object corresponds to: its own values, of the fields that were given.

    Of an imported object, all fields are taken but those that only the server writes.
    """
    if not imported:
        pruned: Object = merge.prune(live, old_inputs)
        return pruned
    inputs = {key: value for key, value in live.items() if key != "status"}
    metadata = {key: value for key, value in (live.get("metadata") or {}).items() if key not in _NO_INPUTS}
    if "annotations" in metadata:
        kept = {key: value for key, value in metadata["annotations"].items() if key not in _NO_ANNOTATIONS}
        metadata["annotations"] = kept
    return {**inputs, "metadata": metadata}
