"""What stands in for the tool chain: the Pulumi CLI from its Go module, a language host and plugins for a CLI."""

import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from offline import go, kubernetes
from offline.plugins.install import install
from setup import pins

CLI_MODULE = Path(__file__).with_name("pulumi")
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
# Without its version stamped in, the CLI calls itself 3.0.0-dev and the Automation API refuses it.
_STAMP = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{pins.PULUMI_VERSION}"
_HOME = """\
# The user's log-in stays where it is; only the plugins are these. Each search for official ones would cost seconds.
export PULUMI_CREDENTIALS_PATH="${PULUMI_CREDENTIALS_PATH:-${PULUMI_HOME:-$HOME/.pulumi}}"
export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="${PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION:-true}"
"""


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


def bundle(folder: Path, cli: Path, lacking: Collection[str]) -> None:
    """Make `bin/pulumi` in a folder, a script that runs a CLI with what it lacks.

    Args:
        folder: an empty one.
        cli: the CLI's program.
        lacking: of `host`, the language host, and `docker` or `kubernetes`, a provider plugin. The last is built at
            the first call, in minutes.

    Raises:
        OpsError: when that can't be built.
    """
    plugins, script = folder / "home" / "plugins", "#!/bin/sh\n"
    # By its real folder: the clone's `.venv` is a link that may point elsewhere tomorrow.
    python = Path(sys.prefix).resolve() / "bin" / "python"
    if "docker" in lacking:
        versioned = plugins / f"resource-docker-v{pins.DOCKER_PLUGIN_VERSION}"
        install(versioned / "pulumi-resource-docker", "docker.provider", python)
    if "kubernetes" in lacking:
        program = plugins / f"resource-kubernetes-v{pins.KUBERNETES_PLUGIN_VERSION}" / kubernetes.PROGRAM
        program.parent.mkdir(parents=True)
        program.symlink_to(kubernetes.ensure())
    if plugins.exists():
        script += f"{_HOME}export PULUMI_HOME='{plugins.parent}'\n"
    if "host" in lacking:
        # The CLI takes a language host that stands beside it without a word; for one on the PATH it prints a warning.
        own = folder / "lib" / "pulumi"
        install(own.with_name("pulumi-language-python"), "language", python)
        try:
            own.hardlink_to(cli.resolve())
        except OSError:
            shutil.copy2(cli, own)
        cli = own
    made = folder / "bin" / "pulumi"
    made.parent.mkdir()
    made.write_text(f"{script}exec '{cli}' \"$@\"\n")
    made.chmod(0o755)
