"""The lab's programs, built from the Go modules beside this file and kept in the user's cache."""

import dataclasses
from pathlib import Path

from offline import binaries, go
from ops.toolchain import cache

MODULES = Path(__file__).resolve().with_name("modules")


@dataclasses.dataclass(frozen=True)
class Module:
    """One Go module and the programs that are built from it."""

    name: str
    """Its folder under `modules`."""
    packages: tuple[str, ...]
    pinned: str
    """The module whose version in go.mod is the programs' version."""
    expect: str
    """How long a build takes on two quiet cores."""
    output: str = ""
    """The program's name, where the package's last word is not a good one. Only for a module of one program."""
    stamps: tuple[str, ...] = ()
    """Variables that the version is linked into."""

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return MODULES / self.name

    @property
    def version(self) -> str:
        """The version that go.mod pins, with its v: `v1.34.4`."""
        return go.pinned(self.folder, self.pinned)

    @property
    def programs(self) -> tuple[str, ...]:
        """The names of what is built."""
        return (self.output,) if self.output else tuple(package.rsplit("/", 1)[1] for package in self.packages)

    def key(self) -> str:
        """The hash of all that decides the programs."""
        sources = sorted(path for path in self.folder.iterdir() if path.suffix in {".go", ".mod", ".sum"})
        return cache.digest(binaries.architecture(), go.TAGS, *self.packages, *self.flags(), *sources)

    def flags(self) -> tuple[str, ...]:
        """The linker's variables. Kubernetes' programs compare each other's versions, so they must know them."""
        major, minor, _ = f"{self.version}..".removeprefix("v").split(".", 2)
        values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        return tuple(f"-X {stamp}={values.get(stamp.rsplit('.', 1)[1], self.version)}" for stamp in self.stamps)

    def ensure(self) -> Path:
        """The folder of the programs, built first if need be.

        Raises:
            OpsError: when a build fails, with the last lines of its log.
        """
        return cache.make(f"lab-{self.name}", self.key(), self._build, waiting_for=f"building the lab's {self.name}")

    def _build(self, part: Path) -> None:
        go.build(
            self.folder,
            *self.packages,
            output=str(part / self.output) if self.output else f"{part}/",
            ldflags=" ".join(("-s -w -buildid=", *self.flags())),
            title=f"building {', '.join(self.programs)} {self.version} from source",
            expect=self.expect,
            name=f"lab-{self.name}",
        )


_VERSION = "k8s.io/component-base/version"
KUBERNETES = Module(
    "kubernetes",
    tuple(
        f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
    ),
    pinned="k8s.io/kubernetes",
    expect="about 6 min on 2 cores",
    stamps=(
        *(f"{_VERSION}.{name}" for name in ("gitVersion", "gitMajor", "gitMinor", "gitTreeState")),
        "k8s.io/client-go/pkg/version.gitVersion",
    ),
)
ETCD = Module(
    "etcd", ("go.etcd.io/etcd/server/v3",), pinned="go.etcd.io/etcd/server/v3", expect="about 30 s", output="etcd"
)
REGISTRY = Module(
    "registry",
    ("github.com/distribution/distribution/v3/cmd/registry",),
    pinned="github.com/distribution/distribution/v3",
    expect="about 75 s",
    stamps=("github.com/distribution/distribution/v3/version.version",),
)
KANIKO = Module(
    "kaniko",
    ("github.com/GoogleContainerTools/kaniko/cmd/executor",),
    pinned="github.com/GoogleContainerTools/kaniko",
    expect="about 90 s",
    stamps=("github.com/GoogleContainerTools/kaniko/pkg/version.version",),
)
BUILDKIT = Module(
    "buildkit",
    (
        "github.com/moby/buildkit/cmd/buildctl",
        "github.com/moby/buildkit/cmd/buildkitd",
        "github.com/rootless-containers/rootlesskit/v3/cmd/rootlesskit",
    ),
    pinned="github.com/moby/buildkit",
    expect="about 100 s",
    stamps=("github.com/moby/buildkit/version.Version",),
)
COREDNS = Module("coredns", (".",), pinned="github.com/coredns/coredns", expect="about 75 s", output="coredns")
STORAGE = Module(
    "storage",
    ("github.com/rancher/local-path-provisioner",),
    pinned="github.com/rancher/local-path-provisioner",
    expect="about 75 s",
)
POLICY = Module(
    "policy",
    ("sigs.k8s.io/kube-network-policies/cmd",),
    pinned="sigs.k8s.io/kube-network-policies",
    expect="about 60 s",
    output="kube-network-policies",
)
ALL = (ETCD, KUBERNETES, REGISTRY, KANIKO, BUILDKIT, COREDNS, STORAGE, POLICY)


def ensure() -> dict[str, Path]:
    """Every program's path by its name, built first if need be: twelve minutes the first time, then nothing.

    Raises:
        OpsError: when a build fails.
    """
    return {program: module.ensure() / program for module in ALL for program in module.programs}
