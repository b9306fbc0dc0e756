"""The settings of the receiver that git hosts call after a push."""

from pydantic import Field

from components.settings.cluster_fields import HostName, Network, NodePort, ObjectName
from components.settings.kubernetes import EVERYWHERE, IngressSettings
from components.settings.section import Section


class WebhookSettings(Section):
    """A receiver for the calls of git hosts, so that a push is looked for at once. Without it, nothing listens."""

    node_port: NodePort | None = Field(
        default=None, description="A port of every node on which it answers.", examples=[30900]
    )
    ingress: IngressSettings | None = Field(
        default=None, description="Reach it as `host` through the ingress controller."
    )
    host: HostName | None = Field(
        default=None, description="The name by which git hosts reach it.", examples=["hooks.example.org"]
    )
    tls_secret: ObjectName | None = Field(
        default=None,
        description=(
            "A Secret of type kubernetes.io/tls in the registry's namespace, for the ingress. Somebody else makes it, "
            "or cert-manager by an annotation of the ingress. Without it, calls cross the network in clear."
        ),
        examples=["hooks-tls"],
    )
    allow_from: tuple[Network, ...] = Field(
        default=EVERYWHERE,
        description="Where calls may come from: the git hosts' networks, or those of nodes and the ingress controller.",
        examples=[["10.0.0.0/16"]],
    )
