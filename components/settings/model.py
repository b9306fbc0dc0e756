"""All settings of a stack. Each section has a module of its own, with unit, range, default and purpose of each field.

docs/reference/settings.md and stacks/schema.json are generated from these, and from each field's docstring.
"""

import ipaddress
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr

from .builds import BuildkitSettings, BuildSettings
from .docker import DockerSettings
from .fields import UserName
from .gitlab import GitlabRunnerSettings
from .jenkins import JenkinsSettings, JobSettings
from .kubernetes import KubernetesSettings, RegistrySettings, WebhookSettings
from .secret_fields import (
    LONGEST_SECRET,
    JenkinsSecret,
    JenkinsSecretName,
    LaterKey,
    NewPassword,
    PrivateKey,
    RunnerToken,
    SecretFile,
    SecretName,
    Token,
)
from .section import Section


def _secret(key: str, description: str, source: str = "") -> Any:  # noqa: ANN401 - as pydantic's own Field
    of_passwords = {"alice": "12 or more characters"}
    of_map: Any = [of_passwords if "Passwords" in key else {"mailPassword": "..."}] if "NAME" in key else None
    return Field(
        default=None,
        examples=of_map,
        description=f"{description} A secret: `pulumi config set --secret ci:{key}{source}`.",
    )


class Settings(Section):
    """All settings of a CI. In a stack's file, each field is the key `ci:<name>`.

    In a program, a secret may be another resource's output. All else decides what is registered, so it is plain.
    """

    # A section's own limit, of 4096, holds for each text inside of a secret too.
    model_config = ConfigDict(str_max_length=LONGEST_SECRET)

    platform: Literal["docker", "kubernetes"] = Field(examples=["docker"])
    """Where the CI runs. Take a deployed stack down (`make down`) before you change it."""

    docker: DockerSettings = Field(default_factory=DockerSettings)
    jenkins: JenkinsSettings = Field(default_factory=JenkinsSettings)
    jobs: tuple[JobSettings, ...] = Field(
        default=(),
        max_length=500,
        examples=[[{"name": "website", "repository": "https://git.example.org/team/website.git"}]],
    )
    """The pipelines of Jenkins, besides the sample."""

    gitlab_runner: GitlabRunnerSettings | None = None
    kubernetes: KubernetesSettings = Field(default_factory=KubernetesSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)
    builds: tuple[BuildSettings, ...] = Field(
        default=(), max_length=500, examples=[[{"name": "website", "context": {"directory": "images/website"}}]]
    )
    """The images that are built in the cluster."""

    buildkit: BuildkitSettings | None = None
    webhook: WebhookSettings | None = None
    admin_password: NewPassword | None = _secret(
        "adminPassword",
        "The administrator's password, 12 characters to 72 bytes; without it, one is generated and kept in the state.",
    )
    jenkins_passwords: dict[UserName, NewPassword] | None = _secret(
        "jenkinsPasswords.NAME --path",
        "The passwords of `ci:jenkins.users`, by name; limits and default of each as for `adminPassword`.",
    )
    jenkins_secrets: dict[JenkinsSecretName, JenkinsSecret] | None = _secret(
        "jenkinsSecrets.NAME --path", "The secrets that `ci:jenkins.configuration` uses as `${NAME}`."
    )
    gitlab_runner_token: RunnerToken | None = _secret(
        "gitlabRunnerToken",
        "The authentication token (`glrt-...`) that GitLab shows for a new runner. Needed by `ci:gitlabRunner`.",
    )
    git_token: Token | None = _secret("gitToken", "A token that may read the private repositories of jobs and builds.")
    git_ssh_key: LaterKey | None = _secret(
        "gitSshKey", "A private key without passphrase that may read the builds' repositories over ssh.", " < key"
    )
    registry_password: NewPassword | None = _secret(
        "registryPassword",
        "The password of the registry's user, 12 characters to 72 bytes; without it, one is generated and kept in the "
        "state.",
    )
    registry_pull_password: NewPassword | None = _secret(
        "registryPullPassword", "The password of `ci:registry.pullUser`; limits and default as for `registryPassword`."
    )
    webhook_secret: NewPassword | None = _secret(
        "webhookSecret",
        "The secret with which git hosts sign their calls of `ci:webhook`, and GitLab's secret token there; limits and "
        "default as for `registryPassword`.",
    )
    registry_tls_key: LaterKey | None = _secret(
        "registryTlsKey", "The private key of `ci:registry.tls.certificateFile`.", " < key.pem"
    )
    docker_tls_key: PrivateKey | None = _secret(
        "dockerTlsKey", "The private key of `ci:docker.tls.certificateFile`.", " < key.pem"
    )
    tcp_tls_key: PrivateKey | None = _secret(
        "tcpTlsKey", "The private key of `ci:docker.tcp.certificateFile`.", " < key.pem"
    )
    mirror_password: Token | None = _secret("mirrorPassword", "The password of `ci:registry.mirror.user`.")
    docker_config: SecretFile | None = _secret(
        "dockerConfig",
        "The logins of other registries that builds pull from and push to, as docker's config.json has them "
        '(`{"auths": ...}`).',
        " < config.json",
    )
    build_secrets: dict[SecretName, SecretFile] | None = _secret(
        "buildSecrets.NAME --path",
        "The secrets that builds may mount, by name; each build names its own in `secrets`.",
        " < file",
    )
    storage_credentials: SecretFile | None = _secret(
        "storageCredentials",
        "The credentials for the object storage of packed contexts: an AWS credentials file for s3://, a service "
        "account's JSON for gs://.",
        " < file",
    )

    _approved: bool = PrivateAttr(default=False)

    def approved(self) -> Self:
        """Note that the rules between the settings and the preflight found nothing."""
        self._approved = True
        return self

    @property
    def is_approved(self) -> bool:
        """Whether that is so."""
        return self._approved

    def is_given(self, section: str) -> bool:
        """Return whether the stack's file has a section; an empty one counts, `null` does not."""
        return section in self.model_fields_set and getattr(self, section) is not None

    @property
    def url(self) -> str:
        """The address of the web interface as the Docker host sees it, without a slash at the end."""
        address = ipaddress.ip_address(self.jenkins.bind_address)
        host = "127.0.0.1" if address.is_unspecified else f"[{address}]" if address.version == 6 else f"{address}"  # noqa: PLR2004
        return f"http://{host}:{self.jenkins.http_port}"


SECRET_MAPS: Final = ("buildSecrets", "jenkinsPasswords", "jenkinsSecrets")
"""Those of `SECRETS` that are a map of them."""

SECRETS: Final = tuple(str(field.alias) for field in Settings.model_fields.values() if "SecretStr" in repr(field))
"""The keys that must be set with `--secret`, as typed after `ci:`."""
