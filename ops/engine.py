"""The Docker engine of a stack, wherever it is: on a socket, behind ssh, or on TCP with certificates."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops import choice, run, stackfile

if TYPE_CHECKING:
    import ssl

    from docker import DockerClient
    from docker.tls import TLSConfig

    from ops.local import Workspace

ANSWER_SECONDS = 30
"""How long an engine may take for a word."""


def client(workspace: Workspace, stack: str) -> DockerClient:
    """A client of the engine that a stack's containers run on. The caller closes it.

    Raises:
        docker.errors.DockerException: when it does not answer.
        OSError: when a certificate's file can't be read.
    """
    import docker

    settings = workspace.settings(stack)
    host = choice.docker_host(settings)
    # An engine behind ssh is asked through the ssh command, with the user's own keys and settings.
    return docker.DockerClient(
        base_url=host,
        use_ssh_client=host.startswith("ssh://"),
        tls=_certificates(workspace, stack, settings, host) if host.startswith("tcp://") else False,
        timeout=ANSWER_SECONDS,
    )


def _certificates(workspace: Workspace, stack: str, settings: dict[str, Any], host: str) -> TLSConfig:
    from pydantic import SecretStr

    from components.docker import tls
    from components.settings.engines import TlsFiles

    files = TlsFiles.model_validate(stackfile.setting(settings, "ci:docker", "tls", default={}))
    secret = None
    if files.key_file is None:
        effective = workspace.prepare(stack)
        words = ["config", "get", tls.HOST_KEY, "--stack", stack, "--config-file", str(effective)]
        secret = SecretStr(run.answer(workspace, words))
    return _configuration(tls.client(tls.at_host(host, files, secret)).context())


def _configuration(context: ssl.SSLContext) -> TLSConfig:
    """Let the SDK use a context as it is: of its own accord it takes a key from a file only."""
    from docker.tls import TLSConfig
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - the base class's
            super().init_poolmanager(*arguments, ssl_context=context, **named)

        def cert_verify(self, *_: Any) -> None:  # noqa: ANN401 - the base class's
            """Leave the context alone: requests would add every public authority to it."""

    class Configuration(TLSConfig):
        def configure_client(self, client: Any) -> None:  # noqa: ANN401 - a requests session
            client.mount("https://", Adapter())

    return Configuration()
