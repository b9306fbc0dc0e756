"""Puts a GitLab Runner in the cluster together from a stack's settings."""

from collections.abc import Mapping

import pulumi

from components import certificates
from components.gitlab import config
from components.kubernetes.addresses import Addresses
from components.kubernetes.builders.kaniko import CAPABILITIES, HOME, reach
from components.kubernetes.builders.pod import SERVICE_ACCOUNT
from components.kubernetes.builders.work import PUSH_SECRET, TRUST, TRUST_FILE
from components.kubernetes.gitlab_runner import GitlabRunner, GitlabRunnerArgs
from components.kubernetes.namespaces import Namespaces, of_builds
from components.settings import GitlabRunnerSettings, Settings

_NO_TOKEN = "(ci:gitlabRunnerToken)"  # noqa: S105 - what stands in previews where the token is


def runner(  # noqa: PLR0913 - the last two by keyword
    settings: Settings,
    wanted: GitlabRunnerSettings,
    where: Addresses,
    places: Namespaces,
    *,
    pull_secret: str,
    opts: pulumi.ResourceOptions,
) -> GitlabRunner:
    """Register the runner."""
    if settings.gitlab_runner_token is None:
        raise AssertionError
    owner = f"{pulumi.get_project()}/{pulumi.get_stack()}"
    pods = config.Pods(
        namespace=of_builds(settings.kubernetes.namespace),
        service_account=SERVICE_ACCOUNT,
        pull_secret=pull_secret,
        push_secret=PUSH_SECRET,
        trust=TRUST if settings.kubernetes.trusted_ca_file is not None else None,
        trust_file=TRUST_FILE,
        capabilities=CAPABILITIES,
        home=HOME,
        environment=_environment(settings, where),
    )

    def written(token: str) -> str:
        return config.for_kubernetes(wanted, name=owner, token=token, pods=pods)

    files = config.files(
        wanted,
        config=written(settings.gitlab_runner_token.get_secret_value()),
        owner=owner,
        authorities=certificates.read(wanted.ca_file) if wanted.ca_file else None,
    )
    return GitlabRunner(
        "gitlab-runner",
        GitlabRunnerArgs(
            settings=wanted,
            namespace=places.registry,
            builds_namespace=places.builds,
            service_account=SERVICE_ACCOUNT,
            pull_secret=pull_secret,
            shown=written(_NO_TOKEN),
            files=pulumi.Output.secret(files),
        ),
        opts,
    )


def _environment(settings: Settings, where: Addresses) -> Mapping[str, str]:
    """Give what a job needs to know to build with kaniko and push to the stack's registry."""
    mirror = settings.registry.mirror
    mirrors = dict.fromkeys(mirror.hosts, where.mirror) if mirror is not None and where.mirror is not None else {}
    return {
        "BUILD_REGISTRY": where.push,
        "BUILD_PULL_REGISTRY": where.pull,
        "BUILD_FLAGS": " ".join(reach(where.plain, mirrors)),
    }


def steps(wanted: GitlabRunnerSettings, where: Addresses, user: str) -> list[str]:
    """Give what to do next, in words."""
    return [
        f"See that the runner is online: {wanted.url}, where it was made, under Runners. `make status` asks it, too.",
        "Build an image: push examples/gitlab-kubernetes to a project that may use the runner.",
        f"Every job may push to {where.pull} as {user}: let only projects that you trust use the runner.",
    ]
