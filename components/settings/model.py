"""A whole stack's settings. Each section is in a module of its own: unit, range, default and what it is for.

docs/reference/settings.md and stacks/schema.json are made from these.
"""

import ipaddress
from typing import Literal

from pydantic import Field, field_validator

from components.settings.builds import BuildSettings
from components.settings.docker import DockerSettings
from components.settings.gitlab import GitlabRunnerSettings
from components.settings.jenkins import JenkinsSettings, JobSettings
from components.settings.kubernetes import KubernetesSettings, RegistrySettings
from components.settings.secret_fields import NewPassword, PrivateKey, RunnerToken, SecretFile, Token
from components.settings.section import Section


class Settings(Section):
    """A whole stack's settings. Each field is the key `ci:<name>`."""

    platform: Literal["docker", "kubernetes"] = Field(description="Where the CI runs.", examples=["docker"])
    docker: DockerSettings = Field(default_factory=DockerSettings, description=DockerSettings.__doc__)
    jenkins: JenkinsSettings = Field(default_factory=JenkinsSettings, description=JenkinsSettings.__doc__)
    jobs: tuple[JobSettings, ...] = Field(
        default=(),
        max_length=500,
        description="The pipelines that Jenkins has from the start, beside the sample.",
        examples=[[{"name": "website", "repository": "https://git.example.org/team/website.git"}]],
    )
    gitlab_runner: GitlabRunnerSettings | None = Field(default=None, description=GitlabRunnerSettings.__doc__)
    kubernetes: KubernetesSettings = Field(default_factory=KubernetesSettings, description=KubernetesSettings.__doc__)
    registry: RegistrySettings = Field(default_factory=RegistrySettings, description=RegistrySettings.__doc__)
    builds: tuple[BuildSettings, ...] = Field(
        default=(),
        max_length=500,
        description="The images that are built in the cluster.",
        examples=[[{"name": "website", "context": {"directory": "images/website"}}]],
    )
    admin_password: NewPassword | None = Field(
        default=None,
        description=(
            "The administrator's password, 12 characters to 72 bytes; without it, one is generated and kept in the "
            "state. A secret: `pulumi config set --secret ci:adminPassword`."
        ),
    )
    gitlab_runner_token: RunnerToken | None = Field(
        default=None,
        description=(
            "The authentication token (`glrt-...`) of the runner that was made in GitLab. A secret: "
            "`pulumi config set --secret ci:gitlabRunnerToken`. Needed by `ci:gitlabRunner`."
        ),
    )
    git_token: Token | None = Field(
        default=None,
        description=(
            "A token that may read the private repositories of jobs and builds. A secret: "
            "`pulumi config set --secret ci:gitToken`."
        ),
    )
    git_ssh_key: PrivateKey | None = Field(
        default=None,
        description=(
            "A private key without passphrase that may read the builds' repositories over ssh. A secret: "
            "`pulumi config set --secret ci:gitSshKey < key`."
        ),
    )
    registry_password: NewPassword | None = Field(
        default=None,
        description=(
            "The password of the registry's user, 12 characters to 72 bytes; without it, one is generated and kept "
            "in the state. A secret: `pulumi config set --secret ci:registryPassword`."
        ),
    )
    registry_tls_key: PrivateKey | None = Field(
        default=None,
        description=(
            "The private key of `ci:registry.tls.certificateFile`. A secret: "
            "`pulumi config set --secret ci:registryTlsKey < key.pem`."
        ),
    )
    docker_tls_key: PrivateKey | None = Field(
        default=None,
        description=(
            "The private key of `ci:docker.tls.certificateFile`. A secret: "
            "`pulumi config set --secret ci:dockerTlsKey < key.pem`."
        ),
    )
    tcp_tls_key: PrivateKey | None = Field(
        default=None,
        description=(
            "The private key of `ci:docker.tcp.certificateFile`. A secret: "
            "`pulumi config set --secret ci:tcpTlsKey < key.pem`."
        ),
    )
    mirror_password: Token | None = Field(
        default=None,
        description=(
            "The password of `ci:registry.mirror.user`. A secret: `pulumi config set --secret ci:mirrorPassword`."
        ),
    )
    docker_config: SecretFile | None = Field(
        default=None,
        description=(
            "The logins of other registries that builds pull from and push to, as docker's config.json has them "
            '(`{"auths": ...}`). A secret: `pulumi config set --secret ci:dockerConfig < config.json`.'
        ),
    )
    storage_credentials: SecretFile | None = Field(
        default=None,
        description=(
            "What opens the object storage of packed contexts: an AWS credentials file for s3://, a service account's "
            "JSON for gs://. A secret: `pulumi config set --secret ci:storageCredentials < file`."
        ),
    )

    @field_validator("gitlab_runner", mode="before")
    @classmethod
    def _none_is_none(cls, value: object) -> object:
        # An empty map is what Pulumi.yaml gives every stack.
        return None if value == {} else value

    def is_given(self, section: str) -> bool:
        """Return whether a section is not its default. Pulumi.yaml gives every stack an empty map or list."""
        return bool(getattr(self, section) != type(self).model_fields[section].get_default(call_default_factory=True))

    @property
    def url(self) -> str:
        """The web interface's address as the Docker host sees it, without a slash at the end."""
        address = ipaddress.ip_address(self.jenkins.bind_address)
        host = "127.0.0.1" if address.is_unspecified else f"[{address}]" if address.version == 6 else f"{address}"  # noqa: PLR2004
        return f"http://{host}:{self.jenkins.http_port}"


SECRETS: tuple[str, ...] = (
    "adminPassword",
    "gitlabRunnerToken",
    "gitToken",
    "gitSshKey",
    "registryPassword",
    "registryTlsKey",
    "dockerTlsKey",
    "tcpTlsKey",
    "mirrorPassword",
    "dockerConfig",
    "storageCredentials",
)
"""The keys that must be set with `--secret`, as typed after `ci:`."""
