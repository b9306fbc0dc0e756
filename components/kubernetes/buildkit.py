"""The BuildKit daemon that stays: its pods, their volumes, and the certificates that open it."""

from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core

from .. import certificates, labels
from ..settings import Settings
from ..settings.builds import BuildkitSettings
from . import endpoints, mutual_tls, restricted, server
from .builders import buildctl
from .builders.buildkit import UID, configuration, daemon
from .builders.pod import ISOLATED
from .builders.spec import TRUST_FILE
from .endpoints import BUILDKIT, BUILDKIT_PORT
from .namespaces import StackArgs, of_builds

_STOP_SECONDS: Final = 120
"""How long running builds may take to end before a daemon is replaced. Those that take longer are begun again."""

_CERTIFICATES: Final = "/certs"
VOLUME: Final = "/var/lib/buildkit"
"""Where a daemon's volume is in its pod."""

_CLAIM: Final = "cache"

_SCRIPT: Final = f"""\
mkdir -p "$XDG_RUNTIME_DIR" {VOLUME}/@state@
# Because of fsGroup, folders on the volume inherit its set-group-ID bit. It would get into the images.
chmod g-s {VOLUME}/@state@
exec @daemon@ --config /etc/buildkit/buildkitd.toml --root {VOLUME}/@state@ --addr tcp://:{BUILDKIT_PORT} \\
  --tlscacert {_CERTIFICATES}/ca.pem --tlscert {_CERTIFICATES}/cert.pem --tlskey {_CERTIFICATES}/key.pem
"""

_IN_NAMESPACE: Final = f"""\
{ISOLATED}\
# A daemon without the namespace used other owners. Some of its files can't be removed, and none can be used.
rm -rf {VOLUME}/state 2> /dev/null || :
"""

_PROBE: Final = {
    "exec_": {
        "command": [
            *("buildctl", f"--addr=tcp://localhost:{BUILDKIT_PORT}", f"--tlsdir={_CERTIFICATES}"),
            *("debug", "workers"),
        ]
    },
    "timeout_seconds": 20,
}


class Buildkit(pulumi.ComponentResource):
    """BuildKit daemons without root, each with a volume. Only certificates of this stack open them."""

    expires: pulumi.Output[str]
    """The day on which the certificates expire, as 2027-01-31."""

    def __init__(self, name: str, args: StackArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the certificates, the volumes, the pods and their Service."""
        settings, wanted = args.settings, args.settings.buildkit
        if wanted is None:
            raise AssertionError
        super().__init__("ci:kubernetes:Buildkit", name, {"replicas": wanted.replicas}, opts)
        mine = pulumi.ResourceOptions(parent=self)
        namespace = args.spaces.buildkit
        meta = {"name": BUILDKIT, "namespace": namespace, "labels": {labels.APP: BUILDKIT, **labels.PART}}
        # No address is among its names: these stay when the namespace or the number of daemons changes.
        made = mutual_tls.kept(name, [buildctl.SERVER, "localhost"], mine)
        self.expires = pulumi.Output.unsecret(made.apply(lambda known: known["expires"]))
        core.v1.Secret(
            f"{name}-client",
            metadata={"name": buildctl.CLIENT_SECRET, "namespace": args.spaces.builds},
            string_data=_files(made, "client"),
            opts=mine,
        )
        secret = core.v1.Secret(f"{name}-server", metadata=meta, string_data=_files(made, "server"), opts=mine)
        texts = {"buildkitd.toml": _toml(settings, wanted)}
        trusted = settings.kubernetes.trusted_ca_file
        if trusted is not None:
            texts[TRUST_FILE] = certificates.read(trusted)
        config = core.v1.ConfigMap(f"{name}-config", metadata=meta, data=texts, opts=mine)
        # The provider would wait for a volume that is made with its pod, and for a pod that needs this Service.
        at_once = {**meta, "annotations": {"pulumi.com/skipAwait": "true"}}
        claim = server.claim(wanted.storage_gib, wanted.storage_class)
        volumes = [
            core.v1.PersistentVolumeClaim(
                # By the name that the StatefulSet looks for. What it makes itself from its template can't grow.
                f"{name}-volume-{replica}",
                metadata={**at_once, "name": f"{_CLAIM}-{BUILDKIT}-{replica}"},
                spec=claim,
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=server.IMMUTABLE),
            )
            for replica in range(wanted.replicas)
        ]
        core.v1.Service(
            f"{name}-service",
            metadata=at_once,
            spec={
                "cluster_ip": "None",
                "selector": {labels.APP: BUILDKIT},
                # The name of a daemon that starts is known already; a lookup that failed would be remembered.
                "publish_not_ready_addresses": True,
                "ports": [{"name": BUILDKIT, "port": BUILDKIT_PORT, "protocol": "TCP"}],
            },
            opts=mine,
        )
        changes = {
            labels.FILES: server.short(repr(texts)),
            # A daemon reads its certificate only at its start.
            labels.CERTIFICATE: pulumi.Output.unsecret(made.apply(lambda known: server.short(known["server"]))),
        }
        apps.v1.StatefulSet(
            f"{name}-daemon",
            metadata=meta,
            spec={
                "service_name": BUILDKIT,
                "replicas": wanted.replicas,
                # Otherwise a pod that is not ready is never replaced by a better one.
                "pod_management_policy": "Parallel",
                "selector": {"match_labels": {labels.APP: BUILDKIT}},
                "template": {
                    "metadata": {"labels": meta["labels"], "annotations": changes},
                    "spec": _pod(settings, wanted, config, secret),
                },
                "volume_claim_templates": [{"metadata": {"name": _CLAIM}, "spec": claim}],
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=volumes,
                ignore_changes=["spec.volumeClaimTemplates"],
                delete_before_replace=True,
            ),
        )
        self.register_outputs({"expires": self.expires})


def outputs(settings: Settings, made: Buildkit) -> Mapping[str, pulumi.Input[object]]:
    """Return the stack's output `buildkit`: where the daemons are, and how to get a client's certificate."""
    builds = of_builds(settings.kubernetes.namespace)
    return {
        "addresses": list(endpoints.daemons(settings)),
        "certificateExpires": made.expires,
        "serverName": buildctl.SERVER,
        "clientCertificate": [
            f"kubectl --namespace {builds} get secret {buildctl.CLIENT_SECRET} "
            f"--output jsonpath='{{.data.{file}\\.pem}}' | base64 -d > {file}.pem"
            for file in ("ca", "cert", "key")
        ],
    }


def _files(made: pulumi.Output[Mapping[str, str]], role: str) -> pulumi.Output[Mapping[str, str]]:
    return made.apply(
        lambda known: {"ca.pem": known["authority"], "cert.pem": known[role], "key.pem": known[f"{role}Key"]}
    )


def _toml(settings: Settings, wanted: BuildkitSettings) -> str:
    # What is in use is never collected, so a quarter of the volume is left to running builds.
    most = wanted.storage_gib * 1024 * 3 // 4
    return f'[worker.oci]\ngc = true\n[[worker.oci.gcpolicy]]\nall = true\nmaxUsedSpace = "{most}MB"\n' + configuration(
        endpoints.of(settings).plain, endpoints.mirrors(settings)
    )


def _pod(
    settings: Settings, wanted: BuildkitSettings, config: core.v1.ConfigMap, secret: core.v1.Secret
) -> dict[str, Any]:
    isolated = settings.kubernetes.isolation is not None
    command, rights = daemon(user_namespace=isolated)
    script = (_IN_NAMESPACE if isolated else "") + _SCRIPT.replace("@daemon@", command)
    script = script.replace("@state@", "isolated" if isolated else "state")
    container = {
        **restricted.CONTAINER,
        "name": BUILDKIT,
        "image": settings.kubernetes.buildkit_image,
        "command": ["/bin/sh", "-euc", script],
        "env": [
            {"name": "SSL_CERT_DIR", "value": "/etc/ssl/certs:/etc/buildkit"},
            {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108 - in the container
            {"name": "XDG_RUNTIME_DIR", "value": "/tmp/run"},  # noqa: S108 - the same
        ],
        "ports": [{"name": BUILDKIT, "container_port": BUILDKIT_PORT, "protocol": "TCP"}],
        "resources": restricted.resources(wanted.cpu_millicores, wanted.memory_mib, 2048),
        "security_context": rights,
        "startup_probe": {**_PROBE, "period_seconds": 1, "failure_threshold": 120},
        "readiness_probe": {**_PROBE, "period_seconds": 10},
        "liveness_probe": {**_PROBE, "period_seconds": 30, "failure_threshold": 6},
        "volume_mounts": [
            {"name": _CLAIM, "mount_path": VOLUME},
            {"name": "certificates", "mount_path": _CERTIFICATES, "read_only": True},
            {"name": "config", "mount_path": "/etc/buildkit", "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 - in the container
        ],
    }
    return {
        **({"host_users": False} if isolated else {}),
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": {"fs_group": UID, "fs_group_change_policy": "OnRootMismatch"},
        "termination_grace_period_seconds": _STOP_SECONDS,
        "containers": [container],
        "volumes": [
            {"name": "certificates", "secret": {"secret_name": secret.metadata.name, "default_mode": 0o440}},
            {"name": "config", "config_map": {"name": config.metadata.name}},
            {"name": "tmp", "empty_dir": {"size_limit": "1Gi"}},
        ],
    }
