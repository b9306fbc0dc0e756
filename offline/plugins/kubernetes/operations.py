"""Making, reading, changing and removing one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..rpc import Log, PluginError
from . import managers
from .api import APPLY, JSON_PATCH, StatusError
from .awaiting import awaiter_for, reader_for, waits_for_deletion
from .awaiting.base import Scene, Status, await_ready, check_read
from .awaiting.deletion import await_deleted
from .discovery import NoMatchError, Resource
from .objects import (
    DELETION_PROPAGATION,
    TIMEOUT_SECONDS,
    Kind,
    Object,
    annotation,
    name_of,
    namespace_of,
    pluck,
    set_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .cluster import Cluster

# Seconds before each new attempt to make an object whose namespace or kind is not there yet.
_PAUSES: Final = (1, 2, 4, 8, 16)
_EXISTS: Final = """

The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Adopting a resource into Pulumi: use `pulumi import`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create."""
_CONFLICT_HELP: Final = (
    "https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/"
    "#handle-field-conflicts-on-existing-resources"
)


class NamespaceMissingError(PluginError):
    """A preview cannot tell, as the object's namespace is not there yet."""


@dataclass(frozen=True)
class Task:
    """One resource that something is to be done with.

    Attributes:
        urn: its URN.
        inputs: its inputs.
        manager: the field manager of its fields.
        timeout: the seconds that it may take by `customTimeouts`; 0 when they say nothing.
        preview: whether it is only a question.
    """

    urn: str
    inputs: Object
    manager: str = ""
    timeout: float = 0
    preview: bool = False

    def seconds(self) -> float | None:
        """Give the seconds that it may take; None when nobody says."""
        if self.timeout:
            return self.timeout
        text = annotation(self.inputs, TIMEOUT_SECONDS)
        return float(text) if text.isdigit() else None

    def query(self, **more: str) -> dict[str, str]:
        """Give the query of a request for it."""
        return {**more, **({"dryRun": "All"} if self.preview else {})}


class Operations:
    """What can be done with the objects of one cluster."""

    def __init__(self, cluster: Cluster, log: Log) -> None:
        """Act on `cluster`."""
        self._cluster, self._log = cluster, log

    def create(self, task: Task) -> Object:
        """Make an object, and wait until it is ready; give it as it is then.

        Raises:
            NotReadyError: it was made, but is not ready.
            NamespaceMissingError: a preview whose namespace is not there yet.
            PluginError: it was not made.
        """
        status = Status(self._log, task.urn)
        made = self._retry(task, status, lambda: self._make(task))
        if task.preview:
            return made
        return self._ready(task, self._scene(task, status, made))

    def _retry(self, task: Task, status: Status, attempt: Callable[[], Object]) -> Object:
        """Try again while the object's namespace or kind is not there: whoever makes it may be slower."""
        for number, pause in enumerate((*_PAUSES, None)):
            try:
                return attempt()
            except (NoMatchError, StatusError) as error:
                if task.preview and isinstance(error, StatusError) and error.namespace_missing:
                    raise NamespaceMissingError(str(error)) from error
                passing = isinstance(error, NoMatchError) or error.not_found
                if not passing or pause is None or self._cluster.cancelled.is_set():
                    raise
                status.tell(f"Retry #{number}; creation failed: {error}")
                self._cluster.cancelled.wait(pause)
        raise AssertionError

    def _make(self, task: Task) -> Object:
        resource = self._cluster.discovery.find(Kind.of(task.inputs))
        if self._cluster.on("upsertExistingObjects"):
            return self._apply(task, resource, None)
        query = task.query(fieldManager=managers.CREATOR, fieldValidation="Strict")
        path = resource.collection(namespace_of(task.inputs) or "default")
        try:
            return self._cluster.api.request("POST", path, query, task.inputs)
        except StatusError as error:
            if error.exists and not task.preview:
                raise StatusError(error.code, f"{error}{_EXISTS}", error.reason, error.details) from error
            raise

    def _apply(self, task: Task, resource: Resource, live: Object | None, ignored: Iterable[str] = ()) -> Object:
        """Apply the inputs on the server's side."""
        force = managers.force(task.inputs, live, always=self._cluster.on("enablePatchForce"), preview=task.preview)
        inputs = managers.without_ignored(task.inputs, live or {}, ignored, task.manager)
        path = resource.path(namespace_of(task.inputs), name_of(live or task.inputs))
        query = task.query(fieldManager=task.manager, force=str(force).lower(), fieldValidation="Strict")
        try:
            return self._cluster.api.request("PATCH", path, query, inputs, APPLY)
        except StatusError as error:
            if not error.conflict:
                raise
            text = (
                f"server-side apply field conflict detected, see {_CONFLICT_HELP} for troubleshooting help\n"
                f'The resource managed by field manager "{task.manager}" had an apply conflict: {error}'
            )
            raise StatusError(error.code, text, error.reason, error.details) from error

    def update(self, task: Task, old: Object, ignored: Iterable[str]) -> Object:
        """Change an object, and wait until it is ready; give it as it is then.

        Args:
            task: the new inputs.
            old: the object as it was recorded.
            ignored: the paths that are to stay as they are.

        Raises:
            NotReadyError: it was changed, but is not ready.
            PluginError: it was not changed.
        """
        status = Status(self._log, task.urn)
        resource = self._cluster.discovery.find(Kind.of(task.inputs))
        path = resource.path(namespace_of(task.inputs), name_of(old))
        live = self._cluster.api.get(path)
        changed = self._change(task, resource, path, live, ignored)
        if task.preview:
            return changed
        return self._ready(task, self._scene(task, status, changed, previous=live))

    def _change(self, task: Task, resource: Resource, path: str, live: Object, ignored: Iterable[str]) -> Object:
        if Kind.of(task.inputs).is_a("CustomResourceDefinition", "apiextensions.k8s.io"):
            # A definition is replaced as a whole: a patch could leave versions that are no more.
            body = {**task.inputs, "metadata": dict(task.inputs["metadata"])}
            set_metadata(body, "resourceVersion", pluck(live, "metadata", "resourceVersion"))
            return self._cluster.api.request("PUT", path, task.query(fieldManager=task.manager), body)
        patch = [] if task.preview else managers.take_over(live, task.manager)
        if patch:
            live = self._cluster.api.request("PATCH", path, None, patch, JSON_PATCH)
        return self._apply(task, resource, live, ignored)

    def dry_apply(self, task: Task, old: Object) -> Object | None:
        """Ask what an object would be with these inputs; None when the server refuses them, or does not answer."""
        resource = self._cluster.discovery.find(Kind.of(task.inputs))
        query = {"fieldManager": task.manager, "force": "true", "dryRun": "All"}
        path = resource.path(namespace_of(task.inputs), name_of(old))
        try:
            return self._cluster.api.request("PATCH", path, query, task.inputs, APPLY)
        except PluginError:
            return None

    def relinquish(self, obj: Object, manager: str) -> None:
        """Give up a field manager's fields, once another has them."""
        resource = self._cluster.discovery.find(Kind.of(obj))
        metadata = {"name": name_of(obj), **({"namespace": namespace_of(obj)} if namespace_of(obj) else {})}
        body = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}
        path = resource.path(namespace_of(obj), name_of(obj))
        self._cluster.api.request("PATCH", path, {"fieldManager": manager}, body, APPLY)

    def look(self, obj: Object) -> Object:
        """Read an object as it is now.

        Raises:
            StatusError: it is not there, or may not be read.
        """
        resource = self._cluster.discovery.find(Kind.of(obj))
        return self._cluster.api.get(resource.path(namespace_of(obj), name_of(obj)))

    def read(self, task: Task, name: str, *, judge: bool) -> Object:
        """Read an object; with `judge`, also whether it is as it should be.

        Raises:
            NotReadyError: it is there, and is not.
            StatusError: it is not there, or may not be read.
            NoMatchError: its kind is not there.
        """
        resource = self._cluster.discovery.find(Kind.of(task.inputs))
        found = self._cluster.api.get(resource.path(namespace_of(task.inputs), name))
        if judge:
            status = Status(self._log, task.urn)
            reader = reader_for(self._scene(task, status, found))
            if reader:
                check_read(reader)
        return found

    def delete(self, task: Task, current: Object, name: str) -> None:
        """Remove an object, and wait until it is gone; what is gone already is no error.

        Raises:
            NotReadyError: it was told to go, and is still there.
            StatusError: it may not be removed.
        """
        policy = annotation(task.inputs, DELETION_PROPAGATION).lower()
        policies = {"orphan": "Orphan", "background": "Background"}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": policies.get(policy, "Foreground"),
        }
        try:
            resource = self._cluster.discovery.find(Kind.of(current))
            self._cluster.api.request("DELETE", resource.path(namespace_of(current), name), None, body)
        except NoMatchError:
            return
        except StatusError as error:
            if error.not_found:
                return
            raise
        status = Status(self._log, task.urn)
        if waits_for_deletion(task.inputs):
            await_deleted(self._scene(task, status, current), task.seconds())
        else:
            status.tell("Skipping await logic")
        status.clear()

    def _ready(self, task: Task, scene: Scene) -> Object:
        """Wait until an object is ready."""
        awaiter = awaiter_for(scene)
        ready = await_ready(awaiter, task.seconds()) if awaiter else scene.current
        scene.status.clear()
        return ready

    def _scene(self, task: Task, status: Status, current: Object, previous: Object | None = None) -> Scene:
        return Scene(
            api=self._cluster.api,
            discovery=self._cluster.discovery,
            hub=self._cluster.hub,
            cancelled=self._cluster.cancelled,
            status=status,
            current=current,
            previous=previous,
            inputs=task.inputs,
        )
