"""The pinned versions of the tool chain. Hashes stand in the lock files; a test holds each pin to what it is about."""

PULUMI_VERSION = "3.259.0"
"""The CLI that is downloaded or built. Also in `offline/pulumi/go.mod`."""

PULUMI_OLDEST = "3.220.0"
"""The oldest CLI of the user's own that is taken as it is. With older ones nobody has tried this project."""

DOCKER_PLUGIN_VERSION = "5.2.0"
"""The provider plugin: as `pulumi-docker` in requirements.in."""

KUBERNETES_PLUGIN_VERSION = "4.34.2"
"""The provider plugin: as `pulumi-kubernetes` in requirements.in."""

ARCHES = {"x86_64": ("x64", "amd64"), "aarch64": ("arm64", "arm64")}
"""`uname -m` to the name in Pulumi's archives and the name that Go uses."""
