"""The settings of the Kubernetes platform: cluster, registry, git hosts' calls. The builds' are in `builds`."""

from typing import Annotated, Literal

from pydantic import Field

from .cluster_fields import (
    AnnotationKey,
    AnnotationText,
    BcryptHash,
    ContextName,
    HostName,
    LocalPath,
    Namespace,
    Network,
    NodePort,
    ObjectName,
    PlainCron,
    RegistryUser,
    RepositoryPattern,
    Upstream,
    Word,
)
from .fields import ImageReference
from .pod_security import Builder, Level
from .section import Section

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""Every address of both families."""

_Cpu = Annotated[int, Field(ge=10, le=256_000)]
_Memory = Annotated[int, Field(ge=64, le=4_194_304)]
_Storage = Annotated[int, Field(ge=1, le=65_536)]


class QuotaSettings(Section):
    """What all builds together may use at one time. It must have room for the limits of all of them."""

    cpu_millicores: _Cpu = Field(examples=[8000])
    """Thousandths of a processor."""

    memory_mib: _Memory = Field(examples=[16384])
    """Memory, MiB."""


class ObjectStorageSettings(Section):
    """The object storage behind packed contexts on s3:// addresses, where it is not AWS' own."""

    region: Word | None = Field(default=None, examples=["eu-central-1"])
    """The bucket's region."""

    endpoint: Upstream | None = Field(default=None, examples=["https://minio.example.org"])
    """The address of a server that speaks S3. Buckets are then named in the path."""


class KubernetesSettings(Section):
    """The cluster: how it is reached, the namespaces, and what builds may use and reach."""

    kubeconfig: LocalPath | None = Field(default=None, examples=["~/.kube/prod"])
    """The kubeconfig file, relative to this project or absolute. Default: as kubectl finds it ($KUBECONFIG,
    ~/.kube/config). A production stack should name the file or the context, so that it is never deployed to another
    cluster."""

    context: ContextName | None = Field(default=None, examples=["prod"])
    """The context in the kubeconfig. Default: its current one."""

    namespace: Namespace = "ci"
    """The registry's namespace. It enforces Pod Security `restricted`, and outlives the stack with the images in it.
    The builds' namespace has the same name with `-builds` at the end. It enforces `buildsPodSecurity`, and is removed
    with the stack."""

    adopt_namespaces: bool = False
    """Take the namespaces over although this stack did not make them. What is in them stays."""

    builds_pod_security: Level = Field(default="baseline", examples=["privileged"])
    """The Pod Security level that the builds' namespace enforces. A build whose builder needs more is refused, with the
    names of the checks that it fails. So no build loosens the namespace for the others."""

    isolation: Literal["userNamespaces"] | None = Field(default=None, examples=["userNamespaces"])
    """`userNamespaces` gives each pod of a build, of the BuildKit daemon and of a GitLab Runner's job a user namespace:
    root in there is nobody on the node, also for who breaks out of the container. A pod that has none fails before the
    first step. BuildKit then keeps steps apart from its own processes and from each other's. Nodes need Kubernetes
    1.33, containerd 2.0 or CRI-O 1.25, and Linux 6.3, or newer. Default: none."""

    runtime_class: ObjectName | None = Field(default=None, examples=["gvisor"])
    """The RuntimeClass of the pods that build with Kaniko, such as one of gVisor. That keeps a build's system calls
    from the node's kernel. The cluster has to have it. A build by another builder is refused beside it, since none is
    known to work there. A GitLab Runner's jobs stay in the nodes' own runtime, which is the default for builds, too."""

    quota: QuotaSettings | None = None
    """Default: what the stack's builds need if as many run as may run at one time."""

    parallel_builds: Annotated[int, Field(ge=1, le=500)] | None = Field(default=None, examples=[4])
    """How many builds run at one time: those of updates, on push and by schedule together. The others wait in a queue,
    first in, first out. The cluster must have Kueue 0.15 or newer. Default: no limit."""

    egress: tuple[Network, ...] = Field(default=EVERYWHERE, examples=[["203.0.113.0/24"]])
    """Where builds may connect to, besides the registry and the cluster's DNS; for nodes see `privateEgress`. The
    addresses at which clouds give out their nodes' credentials, such as 169.254.169.254, are left out of a wider range.
    With `ci:registry.ingress`, builds push through the ingress controller, so its address must be among these."""

    private_egress: tuple[Network, ...] | None = Field(default=None, examples=[["10.1.2.0/24"]])
    """Of private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7), what builds may connect
    to. Without this key, all that `egress` opens. The addresses of the cluster's API are closed in any case, and of its
    nodes all but the ports 80 and 443, unless `egress` lists such an address itself, as 192.0.2.7/32."""

    dns_namespace: ObjectName = "kube-system"
    """The namespace of the cluster's DNS."""

    trusted_ca_file: LocalPath | None = Field(default=None, examples=["company-ca.pem"])
    """A PEM file of certificate authorities that builds trust besides the public ones, for example your company's: for
    git, packed contexts and registries."""

    object_storage: ObjectStorageSettings = Field(default_factory=ObjectStorageSettings)

    kaniko_image: ImageReference = "ghcr.io/osscontainertools/kaniko:v1.28.3"
    """The image of the builder `kaniko`. The original project is archived; this fork is maintained. The last release of
    the original has known holes and is refused."""

    buildkit_image: ImageReference = "moby/buildkit:v0.32.2-rootless"
    """The image of the builder `buildkit`, for BuildKit without root: a shell, rootlesskit and BuildKit."""

    buildah_image: ImageReference = "quay.io/containers/buildah:v1.43.2"
    """The image of the builder `buildah`: a shell and Buildah 1.28 or newer."""

    git_image: ImageReference = "alpine/git:v2.52.0"
    """The image that reads git repositories: a shell, git, ssh for ssh:// addresses, wget for `onPush`. Before Kaniko,
    it also looks at a context on a volume."""

    kubectl_image: ImageReference = "registry.k8s.io/kubectl:v1.34.4"
    """The image that restarts the registry for a garbage collection, and creates Jobs on push. It needs only
    kubectl."""

    def image_of(self, builder: Builder) -> str:
        """Give a builder's image."""
        return {"kaniko": self.kaniko_image, "buildkit": self.buildkit_image, "buildah": self.buildah_image}[builder]


class UserSettings(Section):
    """One more user of the registry, who may pull."""

    name: RegistryUser = Field(examples=["deployer"])
    """The user's name."""

    password_hash: BcryptHash = Field(examples=["$2y$10$Xz1vXkXNPl2lEzhRlDKq4eYkWbO9pAXxZlz8Oq4tHhJc1iGf5wK2u"])
    """The password's bcrypt hash of 10 rounds or more, as `htpasswd -nB -C 10 NAME` prints it."""

    push: bool = False
    """Whether the user may push and delete as well."""

    repositories: tuple[RepositoryPattern, ...] = Field(default=(), max_length=50, examples=[["team-a/*"]])
    """The repositories where the user may push and delete: each by its name, or `team-a/*` for all below `team-a`. It
    may pull everywhere. Default: all."""


class TlsSettings(Section):
    """Where the registry's certificate comes from: a Secret, a file, or cert-manager."""

    secret_name: ObjectName | None = Field(default=None, examples=["registry-tls"])
    """A Secret of type kubernetes.io/tls in the registry's namespace, which you create."""

    certificate_file: LocalPath | None = Field(default=None, examples=["registry.pem"])
    """A PEM file with the certificate, then its chain. Its key is the secret `ci:registryTlsKey`."""

    issuer: ObjectName | None = Field(default=None, examples=["letsencrypt"])
    """cert-manager's issuer of the certificate."""

    issuer_kind: Literal["ClusterIssuer", "Issuer"] = "ClusterIssuer"
    """The issuer's kind. An `Issuer` is in the registry's namespace."""


class IngressSettings(Section):
    """The way through the cluster's ingress controller, which ends TLS."""

    class_name: ObjectName | None = Field(default=None, examples=["nginx"])
    """The ingress class. Default: the cluster's own."""

    annotations: dict[AnnotationKey, AnnotationText] = Field(
        default_factory=dict, examples=[{"nginx.ingress.kubernetes.io/proxy-body-size": "0"}]
    )
    """Annotations of the Ingress. For the registry, the controller must accept big request bodies."""


class MirrorSettings(Section):
    """A second registry that keeps what builds pull from a public one. Nobody can push to it."""

    upstream: Upstream = "https://registry-1.docker.io"
    """The registry that is mirrored."""

    hosts: tuple[HostName, ...] = Field(default=("index.docker.io",), min_length=1)
    """The hosts whose images are looked for in the mirror first. Docker Hub's is index.docker.io."""

    user: Word | None = Field(default=None, examples=["team"])
    """The account at the upstream. Its password is the secret `ci:mirrorPassword`."""

    storage_gib: _Storage = 20
    """Size of the mirror's volume, GiB."""

    keep_hours: Annotated[int, Field(ge=1, le=87_600)] = 168
    """How long a mirrored image stays if nobody pulls it, hours. 168 is the registry's default."""


class CollectionSettings(Section):
    """When the registry frees the space of deleted images. It is not reachable meanwhile."""

    schedule: PlainCron = "17 3 * * 0"
    """When, in the cluster's time zone."""

    delete_untagged: bool = False
    """Also delete images that no tag names. Every build keeps a tag of its own in the registry, so the images of a
    stack's output `images` stay. So do those of earlier updates, unless the very same build ran again."""


class KeepSettings(Section):
    """Which tags stay. The collection removes a tag that is neither new enough nor in use."""

    last_tags: Annotated[int, Field(ge=1, le=100_000)] = Field(examples=[20])
    """How many tags of each repository stay, however old: those that were pushed last."""

    days: Annotated[int, Field(ge=1, le=36_500)] = Field(examples=[30])
    """How long every tag stays after its last push, days."""


class RegistrySettings(Section):
    """The registry that builds push to and the cluster pulls from."""

    image: ImageReference = "registry:3.1.2"
    """The registry's image: distribution 3.1.2 or newer, since older ones have known holes."""

    storage_gib: _Storage = 20
    """Size of the volume, GiB. It can grow later where the storage class lets it, and never shrink."""

    storage_class: ObjectName | None = Field(default=None, examples=["standard"])
    """The volume's storage class. Default: the cluster's own."""

    cpu_millicores: _Cpu = 1000
    """Limit, thousandths of a processor."""

    memory_mib: _Memory = 512
    """Memory limit, MiB."""

    user: RegistryUser = "ci"
    """The user that builds push with. Its password is the secret `ci:registryPassword`."""

    pull_user: RegistryUser = "pull"
    """The user of pull Secrets and of the output `pullConfig`. It can only pull. Its password is the secret
    `ci:registryPullPassword`."""

    access_image: ImageReference = "haproxy:3.2.21-alpine"
    """The image of the HAProxy before the registry. It refuses pushes of users who may only pull."""

    users: tuple[UserSettings, ...] = Field(default=(), max_length=200)
    """Further users."""

    tls: TlsSettings | None = None

    plain_http: bool = False
    """Must be `true` for a registry without `tls`: passwords and images then cross the network in clear."""

    node_port: NodePort | None = Field(default=None, examples=[30500])
    """A port of every node on which the registry answers. Nodes then pull from `localhost:<nodePort>`, or from `host`
    where that is given."""

    ingress: IngressSettings | None = None
    """Reach the registry as `host` through the ingress controller."""

    host: HostName | None = Field(default=None, examples=["registry.example.org"])
    """The name by which nodes and people reach the registry. Default: `localhost:<nodePort>`; without that the
    Service's name in the cluster, which nodes know only from a hosts.toml (the output `containerdHosts`)."""

    allow_from: tuple[Network, ...] = Field(default=EVERYWHERE, examples=[["10.0.0.0/16"]])
    """Where connections to the registry may come from, besides this stack's builds. Nodes pull from their own
    addresses, so narrow it to the nodes' and the ingress controller's networks."""

    mirror: MirrorSettings | None = None

    garbage_collection: CollectionSettings | None = CollectionSettings()
    """`null` never collects."""

    keep: KeepSettings | None = Field(default=None, examples=[{"lastTags": 20, "days": 30}])
    """`null` keeps every tag. Otherwise old tags are removed before each scheduled collection, unless a pod of the
    cluster runs the image, or `images` of a stack in the cluster names it. Needs `garbageCollection: {deleteUntagged:
    true}`."""


class WebhookSettings(Section):
    """An address that git hosts call, so that a push is built at once. Without this section, nothing listens."""

    node_port: NodePort | None = Field(default=None, examples=[30900])
    """A port of every node on which it answers."""

    ingress: IngressSettings | None = None
    """Reach it as `host` through the ingress controller."""

    host: HostName | None = Field(default=None, examples=["hooks.example.org"])
    """The name by which git hosts reach it."""

    tls_secret: ObjectName | None = Field(default=None, examples=["hooks-tls"])
    """A Secret of type kubernetes.io/tls in the registry's namespace, for the ingress. You create it, or cert-manager
    does by an annotation of the ingress. Without it, calls cross the network in clear."""

    allow_from: tuple[Network, ...] = Field(default=EVERYWHERE, examples=[["10.0.0.0/16"]])
    """Where calls may come from: the git hosts' networks, or those of nodes and the ingress controller."""
