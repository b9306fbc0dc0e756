"""The settings of the receiver that git hosts call after a push."""

from pydantic import Field

from components.settings.cluster_fields import HostName, Network, NodePort, ObjectName
from components.settings.kubernetes import EVERYWHERE, IngressSettings
from components.settings.section import Section


class WebhookSettings(Section):
    """A receiver for the calls of git hosts, so that a push is looked for at once. Without it, nothing listens."""

    node_port: NodePort | None = Field(default=None, examples=[30900])
    """A port of every node on which it answers."""

    ingress: IngressSettings | None = None
    """Reach it as `host` through the ingress controller."""

    host: HostName | None = Field(default=None, examples=["hooks.example.org"])
    """The name by which git hosts reach it."""

    tls_secret: ObjectName | None = Field(default=None, examples=["hooks-tls"])
    """A Secret of type kubernetes.io/tls in the registry's namespace, for the ingress. Somebody else makes it, or
    cert-manager by an annotation of the ingress. Without it, calls cross the network in clear."""

    allow_from: tuple[Network, ...] = Field(default=EVERYWHERE, examples=[["10.0.0.0/16"]])
    """Where calls may come from: the git hosts' networks, or those of nodes and the ingress controller."""
