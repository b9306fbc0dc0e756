"""`access: tcp`: an engine on another machine, which Jenkins reaches by TLS with a certificate of its own."""

from collections.abc import Iterator

import pulumi
import pulumi_docker as docker

from ...settings import Problem, Settings
from .. import tls, tls_preflight
from .mode import EngineAccess

CERTIFICATES = "/certs/client"
"""Where Jenkins' docker client finds its three files. Beside its home, which other containers may mount."""

_BLIND = (
    "That engine can't see Jenkins' files: `docker build` sends it the folder, but a pipeline's `inside` and a "
    "`docker run -v` of it fail."
)


def preflight(settings: Settings) -> Iterator[Problem]:
    """Return what is wrong with the certificates, or with the engine's answer to them."""
    endpoint = tls.jobs(settings)
    if endpoint is not None:
        # A remote Docker host may reach an engine that this machine cannot.
        yield from tls_preflight.preflight(endpoint, must_answer=settings.docker.is_local)


def declare(_: str, settings: Settings, __: pulumi.Input[str], ___: pulumi.ResourceOptions) -> EngineAccess:
    """Give Jenkins the engine's address and the three files. The key is a secret, in no environment variable."""
    endpoint = tls.jobs(settings)
    if endpoint is None:
        raise ValueError("access: tcp without its section; the settings' checks refuse that")
    client = tls.client(endpoint)
    files: dict[str, pulumi.Input[str]] = {
        "ca.pem": client.ca,
        "cert.pem": client.certificate,
        "key.pem": pulumi.Output.secret(client.key),
    }
    return EngineAccess(
        engine=endpoint.host,
        environment={"DOCKER_HOST": endpoint.host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": CERTIFICATES},
        # Uploads are root's. They are for every user of the container to read, of whom there is one: Jenkins.
        files={
            f"{CERTIFICATES}/{name}": docker.ContainerUploadArgs(file=f"{CERTIFICATES}/{name}", content=content)
            for name, content in files.items()
        },
        next_steps=(
            f"Anyone who can run a job here has root on the host of {endpoint.host}: choose who gets an account.",
            _BLIND,
        ),
    )
