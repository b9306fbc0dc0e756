"""What stands in for the tool chain: the Pulumi CLI from its Go module, the bundled plugins beside it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from offline import go, kubernetes
from offline.plugins import install
from ops.toolchain import pins

CLI_MODULE = Path(__file__).with_name("pulumi")
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
# Without its version stamped in, the CLI calls itself 3.0.0-dev and the Automation API refuses it.
_STAMP = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{pins.PULUMI_VERSION}"


def build_cli(folder: Path) -> None:
    """Build the CLI to `bin/pulumi` of a folder. Raises OpsError when it can't be built."""
    go.build(
        CLI_MODULE,
        CLI_PACKAGE,
        output=folder / "bin" / "pulumi",
        ldflags=f"-s -w {_STAMP}",
        title=f"building the Pulumi CLI v{pins.PULUMI_VERSION} from its Go module",
        expect="about 4 min on 2 cores",
        name="pulumi-build",
        remedy=f"Install the Pulumi CLI v{pins.PULUMI_OLDEST} or newer, so that `pulumi` is on the PATH.",
    )


def fill(folder: Path, cli: Path, *, kubernetes_too: bool) -> None:
    """Put a CLI with the language host into `bin` of a folder, and plugins into `home`, a Pulumi home.

    Args:
        folder: an empty one.
        cli: the CLI's program.
        kubernetes_too: whether the Kubernetes plugin is wanted. It is built at the first call, in minutes.

    Raises:
        OpsError: when that can't be built.
    """
    binaries, plugins = folder / "bin", folder / "home" / "plugins"
    binaries.mkdir()
    # The CLI takes a language host that stands beside it without a word; for one on the PATH it prints a warning.
    try:
        (binaries / "pulumi").hardlink_to(cli.resolve())
    except OSError:
        shutil.copy2(cli, binaries / "pulumi")
    # By its real folder: the clone's `.venv` is a link that may point elsewhere tomorrow.
    python = Path(sys.prefix).resolve() / "bin" / "python"
    install.install(plugins_home=plugins, bin_dir=binaries, python=python)
    if kubernetes_too:
        program = plugins / f"resource-kubernetes-v{pins.KUBERNETES_PLUGIN_VERSION}" / kubernetes.PROGRAM
        program.parent.mkdir()
        program.symlink_to(kubernetes.ensure())
