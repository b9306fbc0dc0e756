"""The settings of the Kubernetes platform: the cluster, and the registry in it. The builds' are in `builds`."""

from typing import Annotated, Literal

from pydantic import Field

from components.settings.cluster_fields import (
    BcryptHash,
    HostName,
    LocalPath,
    Namespace,
    Network,
    NodePort,
    ObjectName,
    OneLine,
    PlainCron,
    RegistryUser,
    Upstream,
)
from components.settings.fields import ImageReference
from components.settings.pod_security import Builder, Level
from components.settings.section import Section

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""Every address of both families."""

_Cpu = Annotated[int, Field(ge=10, le=256_000)]
_Memory = Annotated[int, Field(ge=64, le=4_194_304)]
_Storage = Annotated[int, Field(ge=1, le=65_536)]


class QuotaSettings(Section):
    """What all builds together may use at one time. The sums of the builds' own limits must fit in."""

    cpu_millicores: _Cpu = Field(description="Thousandths of a processor.", examples=[8000])
    memory_mib: _Memory = Field(description="Memory, MiB.", examples=[16384])


class ObjectStorageSettings(Section):
    """The object storage behind packed contexts on s3:// addresses, where it is not AWS' own."""

    region: OneLine | None = Field(default=None, description="The bucket's region.", examples=["eu-central-1"])
    endpoint: Upstream | None = Field(
        default=None,
        description="The address of a server that speaks S3. Buckets are then named in the path.",
        examples=["https://minio.example.org"],
    )


class KubernetesSettings(Section):
    """The cluster: how it is reached, the namespaces, and what builds may use and reach."""

    kubeconfig: LocalPath | None = Field(
        default=None,
        description=(
            "The kubeconfig file, from the project's folder or absolute. Default: as kubectl finds it ($KUBECONFIG, "
            "~/.kube/config). A production stack should name file or context, so that it can't meet another cluster."
        ),
        examples=["~/.kube/prod"],
    )
    context: OneLine | None = Field(
        default=None, description="The context in the kubeconfig. Default: its current one.", examples=["prod"]
    )
    namespace: Namespace = Field(
        default="ci",
        description=(
            "Where the registry is. The builds are in the namespace of this name with `-builds` behind it. The first "
            "is held to Pod Security `restricted` and outlives the stack with the images in it; the second is held to "
            "`buildsPodSecurity`, and goes with the stack."
        ),
    )
    adopt_namespaces: bool = Field(
        default=False,
        description="Take the namespaces over although this stack did not make them. What is in them stays.",
    )
    builds_pod_security: Level = Field(
        default="baseline",
        description=(
            "The Pod Security level that the builds' namespace is held to, by the API server. A build whose builder "
            "needs more is refused, with the checks that it fails: no build loosens the namespace for the others."
        ),
        examples=["privileged"],
    )
    quota: QuotaSettings | None = Field(
        default=None, description="Default: just what the stack's builds need when all run that may run at one time."
    )
    parallel_builds: Annotated[int, Field(ge=1, le=500)] | None = Field(
        default=None,
        description=(
            "How many builds run at one time: those of updates, on push and by schedule together. The others wait in a "
            "queue, first in, first out. The cluster must have Kueue 0.15 or newer. Default: no bound."
        ),
        examples=[4],
    )
    egress: tuple[Network, ...] = Field(
        default=EVERYWHERE,
        description=(
            "Where builds may connect to, beside the registry and the cluster's DNS. A range that holds the addresses "
            "behind which clouds keep their nodes' credentials is opened without them. Behind an ingress, builds push "
            "through it, so its address must be among these."
        ),
        examples=[["203.0.113.0/24"]],
    )
    dns_namespace: ObjectName = Field(default="kube-system", description="The namespace of the cluster's DNS.")
    trusted_ca_file: LocalPath | None = Field(
        default=None,
        description=(
            "A PEM file of certificate authorities that builds trust beside the public ones, for example your "
            "company's: for git, packed contexts and registries."
        ),
        examples=["company-ca.pem"],
    )
    object_storage: ObjectStorageSettings = Field(
        default_factory=ObjectStorageSettings, description=ObjectStorageSettings.__doc__
    )
    kaniko_image: ImageReference = Field(
        default="ghcr.io/osscontainertools/kaniko:v1.28.3",
        description=(
            "The image of the builder `kaniko`. The original project is archived; this fork is maintained. The last "
            "release of the original has known holes and is refused."
        ),
    )
    buildkit_image: ImageReference = Field(
        default="moby/buildkit:v0.32.2-rootless",
        description="The image of the builder `buildkit`, in its form without root: a shell, rootlesskit and BuildKit.",
    )
    buildah_image: ImageReference = Field(
        default="quay.io/containers/buildah:v1.43.2",
        description="The image of the builder `buildah`: a shell and Buildah 1.28 or newer.",
    )
    git_image: ImageReference = Field(
        default="alpine/git:v2.52.0",
        description="The image that reads git repositories: a shell, git, ssh for ssh:// addresses, wget for `onPush`.",
    )
    kubectl_image: ImageReference = Field(
        default="registry.k8s.io/kubectl:v1.34.4",
        description="The image that restarts the registry for a collection, and creates Jobs on push: kubectl alone.",
    )

    def image_of(self, builder: Builder) -> str:
        """Give a builder's image."""
        return {"kaniko": self.kaniko_image, "buildkit": self.buildkit_image, "buildah": self.buildah_image}[builder]


class UserSettings(Section):
    """One more user of the registry, who may pull."""

    name: RegistryUser = Field(description="The user's name.", examples=["deployer"])
    password_hash: BcryptHash = Field(
        description="The password's bcrypt hash of 10 rounds or more, as `htpasswd -nB -C 10 NAME` prints it.",
        examples=["$2y$10$Xz1vXkXNPl2lEzhRlDKq4eYkWbO9pAXxZlz8Oq4tHhJc1iGf5wK2u"],
    )
    push: bool = Field(default=False, description="Whether the user may push and delete as well.")


class TlsSettings(Section):
    """Where the registry's certificate comes from: a Secret, a file, or cert-manager."""

    secret_name: ObjectName | None = Field(
        default=None,
        description="A Secret of type kubernetes.io/tls in the registry's namespace, which somebody else makes.",
        examples=["registry-tls"],
    )
    certificate_file: LocalPath | None = Field(
        default=None,
        description="The certificate in PEM, its chain behind it. Its key is the secret `ci:registryTlsKey`.",
        examples=["registry.pem"],
    )
    issuer: ObjectName | None = Field(
        default=None, description="cert-manager's issuer of the certificate.", examples=["letsencrypt"]
    )
    issuer_kind: Literal["ClusterIssuer", "Issuer"] = Field(
        default="ClusterIssuer", description="The issuer's kind. An `Issuer` is in the registry's namespace."
    )


class IngressSettings(Section):
    """The way through the cluster's ingress controller, which ends TLS."""

    class_name: ObjectName | None = Field(
        default=None, description="The ingress class. Default: the cluster's own.", examples=["nginx"]
    )
    annotations: dict[str, str] = Field(
        default_factory=dict,
        description="Annotations of the Ingress. Before the registry, a controller must let big bodies through.",
        examples=[{"nginx.ingress.kubernetes.io/proxy-body-size": "0"}],
    )


class MirrorSettings(Section):
    """A second registry that keeps what builds pull from a public one. Nobody can push to it."""

    upstream: Upstream = Field(default="https://registry-1.docker.io", description="The registry that is mirrored.")
    hosts: tuple[HostName, ...] = Field(
        default=("index.docker.io",),
        min_length=1,
        description=(
            "The hosts in image names that are looked for in the mirror first. The public registry's own is "
            "index.docker.io."
        ),
    )
    user: OneLine | None = Field(
        default=None,
        description="The account at the upstream. Its password is the secret `ci:mirrorPassword`.",
        examples=["team"],
    )
    storage_gib: _Storage = Field(default=20, description="Size of the mirror's volume, GiB.")
    keep_hours: Annotated[int, Field(ge=1, le=87_600)] = Field(
        default=168,
        description="How long a mirrored image stays without being asked for, hours. 168 is the registry's default.",
    )


class CollectionSettings(Section):
    """When the registry gives back the space of what was deleted. It is not reachable meanwhile."""

    schedule: PlainCron = Field(default="17 3 * * 0", description="When, in the cluster's time zone.")
    delete_untagged: bool = Field(
        default=False,
        description=(
            "Delete images that no tag names any more, too. Every build keeps a tag of its own in the registry, so "
            "what a stack's output `images` names stays; and what it named before, unless that very build ran again."
        ),
    )


class KeepSettings(Section):
    """Which tags stay. Of each repository, the collection removes those that are neither new enough nor in use."""

    last_tags: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="How many tags of a repository stay whatever their age: those that were pushed last.", examples=[20]
    )
    days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        description="How long every tag stays after its last push, days.", examples=[30]
    )


class RegistrySettings(Section):
    """The registry that builds push to and the cluster pulls from."""

    image: ImageReference = Field(
        default="registry:3.1.2",
        description="The registry's image: distribution 3.1.2 or newer, since older ones have known holes.",
    )
    storage_gib: _Storage = Field(
        default=20,
        description="Size of the volume, GiB. It can grow later where the storage class lets it, and never shrink.",
    )
    storage_class: ObjectName | None = Field(
        default=None, description="The volume's storage class. Default: the cluster's own.", examples=["standard"]
    )
    cpu_millicores: _Cpu = Field(default=1000, description="Limit, thousandths of a processor.")
    memory_mib: _Memory = Field(default=512, description="Memory limit, MiB.")
    user: RegistryUser = Field(
        default="ci", description="The user that builds push with. Its password is the secret `ci:registryPassword`."
    )
    pull_user: RegistryUser = Field(
        default="pull",
        description=(
            "The user of pull Secrets and of the output `pullConfig`. It can only pull. Its password is the secret "
            "`ci:registryPullPassword`."
        ),
    )
    access_image: ImageReference = Field(
        default="haproxy:3.2.21-alpine",
        description="The image of the HAProxy before the registry, which keeps users that may only pull from pushing.",
    )
    users: tuple[UserSettings, ...] = Field(
        default=(),
        max_length=200,
        description="Further users.",
    )
    tls: TlsSettings | None = Field(default=None, description=TlsSettings.__doc__)
    plain_http: bool = Field(
        default=False,
        description=(
            "Must be `true` for a registry without `tls`: passwords and images then cross the network in clear."
        ),
    )
    node_port: NodePort | None = Field(
        default=None,
        description=(
            "A port of every node on which the registry answers. Nodes then pull from `localhost:<nodePort>`, or from "
            "`host` where that is given."
        ),
        examples=[30500],
    )
    ingress: IngressSettings | None = Field(
        default=None, description="Reach the registry as `host` through the ingress controller."
    )
    host: HostName | None = Field(
        default=None,
        description=(
            "The name by which nodes and people reach the registry. Default: `localhost:<nodePort>`; without that "
            "the Service's name in the cluster, which nodes know only from a hosts.toml (the output `containerdHosts`)."
        ),
        examples=["registry.example.org"],
    )
    allow_from: tuple[Network, ...] = Field(
        default=EVERYWHERE,
        description=(
            "Where connections to the registry may come from, beside this stack's builds. Nodes pull from their own "
            "addresses, so narrow it to the nodes' and the ingress controller's networks."
        ),
        examples=[["10.0.0.0/16"]],
    )
    mirror: MirrorSettings | None = Field(default=None, description=MirrorSettings.__doc__)
    garbage_collection: CollectionSettings | None = Field(
        default=CollectionSettings(), description="`null` never collects."
    )
    keep: KeepSettings | None = Field(
        default=None,
        description=(
            "`null` keeps every tag. Otherwise old tags are removed before each scheduled collection, unless a pod of "
            "the cluster runs the image, or `images` of a stack in the cluster names it. Needs "
            "`garbageCollection: {deleteUntagged: true}`."
        ),
        examples=[{"lastTags": 20, "days": 30}],
    )
