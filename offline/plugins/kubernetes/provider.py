"""The kubernetes provider: the calls of the Pulumi engine, for any kind of object."""

from __future__ import annotations

import secrets
import sys
import threading
from functools import partial
from typing import Any, ClassVar

from ..rpc import Log, PluginError, answering, serve
from ..service import Service, end_half_made, token_of
from ..stubs import empty_pb2, grpc, provider_pb2, provider_pb2_grpc
from ..values import from_struct, has_unknown, to_struct
from . import checkpoint, checks, diffing, library, settings
from .api import StatusError
from .awaiting.base import NotReadyError
from .cluster import Cluster
from .discovery import NoMatchError
from .normalize import normalize
from .objects import FIELD_MANAGER, Kind, Object, annotation, id_of, name_of, namespace_of, set_metadata, split_id
from .operations import NamespaceMissingError, Operations, Task

_UNREACHABLE_HINT = (
    "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the "
    'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
)
# Calls served at once: most of them wait for an object, and the call that cancels them all must never wait itself.
_WORKERS = 512


class KubernetesProvider(Service):
    """Stands in for pulumi-resource-kubernetes 4.34.2."""

    version: ClassVar[str] = "4.34.2"

    def __init__(self, engine_address: str) -> None:
        """Serve the Pulumi engine at `engine_address`."""
        super().__init__(engine_address, Log())
        self._cluster: Cluster | None = None
        self._cancelled = threading.Event()
        self._told_unreachable = False

    def CheckConfig(self, request: provider_pb2.CheckRequest, _: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check the provider's own settings."""
        default = "::default" in request.urn
        found = settings.problems(from_struct(request.news), default_provider=default)
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in found]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @answering
    def DiffConfig(self, request: provider_pb2.DiffRequest, _: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say which settings changed, and whether they point at another cluster."""
        changed, replacing = settings.differences(from_struct(request.olds), from_struct(request.news))
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, diffs=changed, replaces=replacing)

    @answering
    def Configure(
        self, request: provider_pb2.ConfigureRequest, _: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Connect to the cluster; one that cannot be reached is told when something needs it."""
        self._cluster = Cluster(settings.read(from_struct(request.args)), cancelled=self._cancelled)
        self._cluster.reach()
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    @answering
    def Check(self, request: provider_pb2.CheckRequest, _: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check a resource's inputs, and give it a name and a namespace where it has none."""
        cluster = self._the_cluster()
        if cluster.unreachable and cluster.on("skipUpdateUnreachable"):
            text = "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping..."
            self._log.send(text, urn=request.urn, severity="WARNING")
            return provider_pb2.CheckResponse(inputs=request.olds)
        if cluster.unreachable and not self._told_unreachable:
            # The official plugin says nothing until something is to be made, and a preview looks as if all were well.
            self._told_unreachable = True
            text = f"the cluster is unreachable, so it was not asked about what follows: {cluster.unreachable}"
            self._log.send(text, urn=request.urn, severity="WARNING")
        given = from_struct(request.news, sealed=True)
        inputs = checks.check(cluster, request, checkpoint.plain(given), checkpoint.plain(from_struct(request.olds)))
        for message in checks.warnings(checkpoint.plain(given), cluster):
            self._log.send(message, urn=request.urn, severity="WARNING")
        return provider_pb2.CheckResponse(inputs=to_struct(checkpoint.seal(inputs, given)))

    @answering
    def Diff(self, request: provider_pb2.DiffRequest, _: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what the inputs would change."""
        cluster = self._the_cluster()
        state = from_struct(request.olds, sealed=True)
        inputs = checkpoint.plain(from_struct(request.news))
        question = diffing.Question(cluster, Operations(cluster, self._log), request.urn, inputs, state)
        answer = diffing.compare(question, request.ignoreChanges)
        if answer.warning:
            self._log.send(answer.warning, urn=request.urn, severity="WARNING")
        return answer.response()

    @answering
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make an object, or say what it would be."""
        cluster = self._the_cluster()
        given = from_struct(request.properties, sealed=True)
        inputs = checkpoint.plain(given)
        if request.preview and not self._can_preview(cluster, inputs):
            return provider_pb2.CreateResponse(properties=request.properties)
        manager = annotation(inputs, FIELD_MANAGER) or f"pulumi-kubernetes-{secrets.token_hex(4)}"
        task = Task(request.urn, inputs, manager, request.timeout, request.preview)
        record = partial(checkpoint.record, inputs, given=given, api_version=inputs["apiVersion"], manager=manager)
        try:
            made = Operations(cluster, self._log).create(task)
        except NotReadyError as error:
            text = (
                f'resource "{request.urn}" was successfully created, but the Kubernetes API server reported that it '
                f"failed to fully initialize or become live: {error}"
            )
            end_half_made(context, id_of(error.object), to_struct(record(error.object)), [text, *error.reasons])
        except (StatusError, NoMatchError, NamespaceMissingError) as error:
            if request.preview and _tells_nothing(error):
                return provider_pb2.CreateResponse(properties=request.properties)
            raise PluginError(_not_created(request.urn, inputs, error)) from error
        if request.preview:
            made.pop("status", None)  # nobody knows it yet
        return provider_pb2.CreateResponse(
            id="" if request.preview else id_of(made), properties=to_struct(record(made))
        )

    @answering
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Look at an object, of which only the id is known when it is imported."""
        cluster = self._the_cluster()
        if cluster.unreachable:
            return self._read_unreachable(cluster, request)
        state = from_struct(request.properties, sealed=True)
        given = from_struct(request.inputs, sealed=True)
        old_inputs, imported = self._inputs_to_read(request, checkpoint.plain(given), checkpoint.parse(state)[1])
        task = Task(request.urn, old_inputs)
        failure: NotReadyError | None = None
        try:
            live = Operations(cluster, self._log).read(task, split_id(request.id)[1], judge=not imported)
        except NotReadyError as error:
            live, failure = error.object, error
        except NoMatchError:
            return provider_pb2.ReadResponse()
        except StatusError as error:
            if error.not_found:
                return provider_pb2.ReadResponse()
            raise
        inputs = diffing.live_inputs(live, old_inputs, imported=imported)
        manager = annotation(old_inputs, FIELD_MANAGER) or checkpoint.manager(state)
        recorded = to_struct(
            checkpoint.record(
                inputs,
                live,
                given,
                api_version=checkpoint.api_version(state, old_inputs),
                manager=manager or f"pulumi-kubernetes-{secrets.token_hex(4)}",
            )
        )
        sealed = checkpoint.seal(inputs, given)
        if failure:
            reasons = [str(failure), *failure.reasons]
            end_half_made(context, request.id, recorded, reasons, inputs=sealed, message=str(failure))
        return provider_pb2.ReadResponse(id=request.id, properties=recorded, inputs=to_struct(sealed))

    @answering
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change an object in place, or say what it would be."""
        cluster = self._the_cluster()
        state = from_struct(request.olds, sealed=True)
        given = from_struct(request.news, sealed=True)
        inputs = normalize(checkpoint.plain(given))
        if request.preview and not self._can_preview(cluster, inputs):
            return provider_pb2.UpdateResponse(properties=request.news)
        old_inputs, old_live = checkpoint.parse(state)
        old_manager = annotation(old_inputs, FIELD_MANAGER) or checkpoint.manager(state)
        manager = (
            annotation(inputs, FIELD_MANAGER)
            or checkpoint.manager(state)
            or f"pulumi-kubernetes-{secrets.token_hex(4)}"
        )
        version = checkpoint.api_version(state, old_inputs)
        record = partial(checkpoint.record, inputs, given=given, api_version=version, manager=manager)
        operations = Operations(cluster, self._log)
        task = Task(request.urn, inputs, manager, request.timeout, request.preview)
        try:
            changed = operations.update(task, old_live, request.ignoreChanges)
        except (StatusError, NoMatchError, NotReadyError) as error:
            if request.preview and isinstance(error, StatusError) and error.forbidden:
                return provider_pb2.UpdateResponse(properties=request.news)
            now = self._after_failure(operations, request.urn, old_live, error)
            text = (
                f'the Kubernetes API server reported that "{id_of(now)}" failed to fully initialize or become live: '
                f"{error}"
            )
            reasons = error.reasons if isinstance(error, NotReadyError) else []
            end_half_made(context, id_of(now), to_struct(record(now)), [text, *reasons])
        if not request.preview and old_manager and old_manager != manager:
            operations.relinquish(changed, old_manager)
        return provider_pb2.UpdateResponse(properties=to_struct(record(changed)))

    @answering
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Remove an object."""
        cluster = self._the_cluster()
        state = from_struct(request.properties, sealed=True)
        inputs, current = checkpoint.parse(state)
        if cluster.unreachable:
            self._warn_unreachable(cluster, request.urn)
            if cluster.on("deleteUnreachable"):
                return empty_pb2.Empty()
            raise PluginError(f"configured Kubernetes cluster is unreachable. {_UNREACHABLE_HINT}")
        task = Task(request.urn, inputs, timeout=request.timeout)
        try:
            Operations(cluster, self._log).delete(task, current, split_id(request.id)[1])
        except NotReadyError as error:
            version, manager = checkpoint.api_version(state, inputs), checkpoint.manager(state)
            left = checkpoint.record(inputs, error.object, state, api_version=version, manager=manager)
            end_half_made(context, request.id, to_struct(left), [str(error), *error.reasons])
        return empty_pb2.Empty()

    def Invoke(self, request: provider_pb2.InvokeRequest, _: grpc.ServicerContext) -> Any:
        """Refuse by name what needs Helm, Kustomize or a YAML file."""
        return provider_pb2.InvokeResponse(failures=[provider_pb2.CheckFailure(reason=checks.refusal(request.tok))])

    @answering
    def Construct(self, request: provider_pb2.ConstructRequest, _: grpc.ServicerContext) -> Any:
        """Refuse by name what is made of several resources."""
        raise PluginError(checks.refusal(request.type))

    def Cancel(self, _: empty_pb2.Empty, __: grpc.ServicerContext) -> empty_pb2.Empty:
        """Stop every wait; what was made is reported as it is."""
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Stop every wait before the process ends."""
        self._cancelled.set()
        if self._cluster:
            self._cluster.cancel()

    def _the_cluster(self) -> Cluster:
        if self._cluster is None:
            raise PluginError("the provider is not configured")
        return self._cluster

    @staticmethod
    def _can_preview(cluster: Cluster, inputs: Object) -> bool:
        """Say whether the server can be asked: not about what is not known yet, nor about a kind that is not there."""
        return not has_unknown(inputs) and not cluster.unreachable and cluster.discovery.has(Kind.of(inputs))

    @staticmethod
    def _after_failure(operations: Operations, urn: str, old: Object, error: PluginError) -> Object:
        """Give the object as it is after a change that failed."""
        if isinstance(error, NoMatchError):
            raise PluginError(
                f'update of resource "{urn}" failed because the Kubernetes API server reported that the apiVersion for '
                f"this resource does not exist. Verify that any required CRDs have been created: {error}"
            ) from error
        try:
            return operations.look(old)
        except PluginError as unread:
            text = f'update of resource "{urn}" failed: {error}\nunable to get cluster state: {unread}'
            raise PluginError(text) from error

    @staticmethod
    def _inputs_to_read(request: provider_pb2.ReadRequest, given: Object, old_live: Object) -> tuple[Object, bool]:
        """Give the recorded inputs, or those that an id alone makes; and whether it is an import."""
        inputs = normalize(given)
        if inputs.get("apiVersion"):
            return inputs, False
        imported = not old_live.get("apiVersion")
        kind = Kind.of_token(token_of(request.urn)) if imported else Kind.of(old_live)
        namespace, name = split_id(request.id)
        inputs |= {"apiVersion": kind.api_version, "kind": kind.name}
        set_metadata(inputs, "name", name_of(inputs) or name)
        if namespace_of(inputs) or namespace:
            set_metadata(inputs, "namespace", namespace_of(inputs) or namespace)
        return inputs, imported

    def _read_unreachable(self, cluster: Cluster, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        self._warn_unreachable(cluster, request.urn)
        if cluster.on("deleteUnreachable"):
            return provider_pb2.ReadResponse()
        if cluster.on("skipUpdateUnreachable"):
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        raise PluginError(f"failed to read resource state due to unreachable cluster. {_UNREACHABLE_HINT}")

    def _warn_unreachable(self, cluster: Cluster, urn: str) -> None:
        text = f"configured Kubernetes cluster is unreachable: {cluster.unreachable}"
        self._log.send(text, urn=urn, severity="WARNING")
        if cluster.on("deleteUnreachable"):
            removed = "the `deleteUnreachable` option is enabled: deleting the unreachable resource from Pulumi state"
            self._log.send(removed, urn=urn)


def _tells_nothing(error: PluginError) -> bool:
    """Say whether a preview's failure is one that the real thing need not have."""
    if isinstance(error, StatusError):
        return error.forbidden or error.exists or error.dry_run_refused
    return isinstance(error, NamespaceMissingError)


def _not_created(urn: str, inputs: Object, error: PluginError) -> str:
    if isinstance(error, NoMatchError):
        kind = Kind.of(inputs)
        return (
            f'creation of resource "{urn}" with kind {kind.api_version}/{kind.name} failed because the Kubernetes API '
            "server reported that the apiVersion for this resource does not exist. Verify that any required CRDs have "
            f"been created: {error}"
        )
    return f'resource "{urn}" was not successfully created by the Kubernetes API server: {error}'


def main() -> None:
    """Serve the engine named by the last argument."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    provider = KubernetesProvider(addresses[-1] if addresses else "")
    add: Any = provider_pb2_grpc.add_ResourceProviderServicer_to_server
    # Loaded while the engine asks its first questions, none of which needs it.
    threading.Thread(target=library.load, daemon=True).start()
    serve(partial(add, provider), on_stop=provider.stop, workers=_WORKERS)
