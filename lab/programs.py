"""The lab's programs, built from the Go modules beside this file and kept in the user's cache."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from offline import binaries, go
from setup import cache

MODULES = Path(__file__).resolve().with_name("modules")


@dataclasses.dataclass(frozen=True)
class Module:
    """One Go module and the programs that are built from it."""

    name: str
    """Its folder under `modules`, where `modules.yaml` says what the rest is."""
    packages: Sequence[str]
    pinned: str
    expect: str
    output: str = ""
    stamps: Sequence[str] = ()
    tags: Sequence[str] = ()
    c: bool = False

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
        return cache.digest(binaries.architecture(), go.TAGS, *self.packages, *self.flags(), *self.tags, *sources)

    def flags(self) -> tuple[str, ...]:
        """The linker's variables. Kubernetes' programs compare each other's versions, so they must know them."""
        major, minor, _ = f"{self.version}..".removeprefix("v").split(".", 2)
        values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        return tuple(f"-X {stamp}={values.get(stamp.rsplit('.', 1)[1], self.version)}" for stamp in self.stamps)

    def ensure(self) -> Path:
        """The folder of the programs, built first if need be.

        Raises OpsError when a build fails, with the last lines of its log.
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
            tags=self.tags,
            c=self.c,
        )


ALL = tuple(Module(name, **keys) for name, keys in yaml.safe_load((MODULES / "modules.yaml").read_text()).items())
ETCD, KUBERNETES, *_, CONTAINERD = ALL


def ensure(*more: Module) -> dict[str, Path]:
    """Every program's path by its name, built first if need be: twelve minutes the first time, then nothing.

    Two modules at a time, since downloads and linking leave a processor without work. more: what is built beside the
    lab's own. Raises OpsError when a build fails.
    """
    modules = (*more, *ALL)
    with ThreadPoolExecutor(2) as pool:
        folders = pool.map(Module.ensure, modules)
        return {
            program: made / program
            for module, made in zip(modules, folders, strict=True)
            for program in module.programs
        }
