"""Pulumi's own Kubernetes provider, built from its Go module where the released plugin can't be downloaded.

The engine finds it in a folder that `offline/toolchain.py` fills.
"""

import platform
import shutil
from pathlib import Path

from offline import go
from setup import cache, pins

HERE = Path(__file__).resolve().parent
SOURCES = tuple(HERE / name for name in ("go.mod", "go.sum", "main.go"))
MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"
EMBEDDED = ("schema.json", "terraform-mapping.json")
"""Files that the program embeds. They are in the module, 8 MB of them, so no copy is kept here."""
FLAGS = f"-s -w -X {MODULE}/pkg/version.Version={pins.KUBERNETES_PLUGIN_VERSION}"
"""The version is that of the Python package, or the engine warns about a plugin that is too old."""
PROGRAM = "pulumi-resource-kubernetes"


def ensure() -> Path:
    """The provider's program, built at the first call.

    Raises:
        OpsError: when the build fails, with the last lines of its log.
    """
    key = cache.digest(platform.machine(), FLAGS, *SOURCES)
    return cache.make("kubernetes-provider", key, _build, waiting_for="building the Kubernetes provider") / PROGRAM


def _build(part: Path) -> None:
    source = part / "source"
    source.mkdir()
    remedy = f"Or install the released plugin {pins.KUBERNETES_PLUGIN_VERSION}."
    embedded = go.source(HERE, MODULE, remedy=remedy) / "cmd" / PROGRAM
    for path in (*SOURCES, *(embedded / name for name in EMBEDDED)):
        shutil.copyfile(path, source / path.name)
    go.build(
        source,
        output=part / PROGRAM,
        ldflags=FLAGS,
        title="building Pulumi's Kubernetes provider from its Go module",
        expect="about 7 min on 2 cores",
        name="kubernetes-provider",
        remedy=remedy,
    )
    shutil.rmtree(source)
