"""The runner's config.toml, for jobs in containers of a Docker engine; for jobs in pods, what is not about pods.

What a key means: GitLab Runner's documentation, "Advanced configuration" and "Kubernetes executor".
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import tomli_w

from ..settings import GitlabRunnerSettings

FOLDER: Final = "/etc/ci/gitlab-runner"
"""Where the files are. Not in /etc/gitlab-runner, which the image declares as a volume: what is put there would stay on
the host's disk for as long as that volume does, and the token is in it."""

CONFIG: Final = "config.toml"
SYSTEM_ID: Final = ".runner_system_id"
CA: Final = "gitlab-ca.crt"

PORT: Final = 9252
"""Where the runner says that it runs, and shows its metrics. Source: GitLab Runner's documentation, "Monitoring"."""

HOME: Final = "/tmp"  # noqa: S108 - in the container, where nobody else is
"""The image's own home is for its user `gitlab-runner`, and on Ubuntu for no other."""

USER: Final = 65_532
"""The user and group that the runner runs as. The image names none, so it would be root; no node has one of so high a
number."""

COMMAND: Final = ("run", f"--config={FOLDER}/{CONFIG}", f"--working-directory={HOME}")
"""For the image's entrypoint. Its own default would take the configuration from a volume, and jobs' user from root."""

ENVIRONMENT: Final[Mapping[str, str]] = {"HOME": HOME, "USER": "gitlab-runner"}
"""Nobody has USER's number in the image, so the runner could not find out who it is and where its home is."""

_DIND_SERVICES: Final = ("docker:*-dind", "docker:*-dind-rootless", "docker.io/library/docker:*-dind*")
"""The services that may be privileged, as the runner compares an image's name: `*` is no `/`."""


def files(runner: GitlabRunnerSettings, *, config: str, owner: str, authorities: str | None) -> dict[str, str]:
    """Return the files of FOLDER by name.

    owner: the stack, as `project/stack`. GitLab knows a runner's machines by the id that is made from it. A new id at
    each start would leave a list of dead machines.
    """
    digest = hashlib.sha256(f"gitlab-runner:{owner}:{runner.url}".encode()).hexdigest()[:12]
    known = {CONFIG: config, SYSTEM_ID: f"r_{digest}"}
    return {**known, CA: authorities} if authorities is not None else known


def for_docker(runner: GitlabRunnerSettings, *, name: str, token: str, socket: str) -> str:
    """Return the configuration for jobs in containers of the host's own engine.

    socket: its path on the host, which is what a job's mount is looked up by.
    """
    jobs = runner.jobs
    docker: dict[str, Any] = {
        "host": "unix:///var/run/docker.sock",
        "image": jobs.image,
        "privileged": False,
        "security_opt": ["no-new-privileges:true"],
        "services_security_opt": ["no-new-privileges:true"],
        "memory": f"{jobs.memory_mib}m",
        "memory_swap": f"{jobs.memory_mib}m",
        "cpus": _cpus(jobs.cpu_millicores),
        "service_memory": f"{jobs.memory_mib}m",
        "service_memory_swap": f"{jobs.memory_mib}m",
        "service_cpus": _cpus(jobs.cpu_millicores),
        "pull_policy": ["if-not-present"],
        "volumes": ["/cache"],
        **({"helper_image": runner.helper_image} if runner.helper_image else {}),
    }
    environment: dict[str, str] = {}
    if runner.engine == "socket":
        docker["volumes"] = [f"{socket}:/var/run/docker.sock", "/cache"]
    if runner.engine == "dind":
        # Only what an engine runs in is privileged, and only from these images; a job's own container never is.
        docker["services_privileged"] = True
        docker["allowed_privileged_services"] = list(_DIND_SERVICES)
        del docker["services_security_opt"]
        # The service writes the client's certificates there, and the job reads them.
        docker["volumes"] = ["/certs/client", "/cache"]
        environment = {
            "DOCKER_TLS_CERTDIR": "/certs",
            "DOCKER_HOST": "tcp://docker:2376",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": "/certs/client",
        }
    return whole(runner, name=name, token=token, executor="docker", environment=environment, section=docker)


def whole(  # noqa: PLR0913 - all by keyword
    runner: GitlabRunnerSettings,
    *,
    name: str,
    token: str,
    executor: str,
    environment: Mapping[str, str],
    section: Mapping[str, Any],
    own: Mapping[str, Any] | None = None,
) -> str:
    """Return the configuration with the section of an executor.

    environment: variables of every job, none secret. own: keys of the runner's section beside these.
    """
    one: dict[str, Any] = {
        "name": name,
        "url": runner.url,
        "token": token,
        **({"tls-ca-file": f"{FOLDER}/{CA}"} if runner.ca_file is not None else {}),
        "executor": executor,
        "limit": runner.concurrency,
        "environment": [f"{key}={value}" for key, value in environment.items()],
        **(own or {}),
        executor: section,
    }
    return tomli_w.dumps(
        {
            "concurrent": runner.concurrency,
            "check_interval": runner.check_interval_seconds,
            "shutdown_timeout": runner.stop_timeout_seconds,
            "listen_address": f":{PORT}",
            "log_format": "text",
            "runners": [one],
        }
    )


def _cpus(millicores: int) -> str:
    return f"{millicores / 1000:g}"
