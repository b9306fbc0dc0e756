"""Builds for tests of the builders: one of each kind of context, with every address resolved."""

from collections.abc import Mapping
from typing import Any

from components.kubernetes.builders import BUILDERS, BuildSpec, PodSpec
from tests.support.kubernetes_stack import PEM_KEY, build, settings

SECRETS = {"gitToken": "glpat-0123456789", "gitSshKey": PEM_KEY, "storageCredentials": "aws-credentials"}
HTTPS = {"repository": "https://git.example.org/team/website.git"}
SSH = {
    "repository": "ssh://git@git.example.org/team/website.git",
    "credentials": "gitSshKey",
    "knownHosts": "git.example.org ssh-ed25519 AAAA\nother ssh-ed25519 BBBB",
}
CONTEXTS: Mapping[str, dict[str, Any]] = {
    "inline": {"inline": {"Dockerfile": ""}},
    "git": {"git": HTTPS},
    "git with a token": {"git": {**HTTPS, "credentials": "gitToken", "user": "me"}},
    "git over ssh": {"git": SSH},
    "https": {"archive": "https://files.example.org/x.tar.gz"},
    "s3": {"archive": "s3://bucket/x.tar.gz"},
    "gs": {"archive": "gs://bucket/x.tgz"},
    "volume": {"volume": {"claim": "sources"}},
}
OBJECT_STORAGE = {"s3", "gs"}
"""What kaniko alone reads."""

PAIRS = [
    (builder, context)
    for builder in BUILDERS
    for context in CONTEXTS
    if builder == "kaniko" or context not in OBJECT_STORAGE
]
"""Every builder with each kind of context that it takes."""


def build_spec(builder: str = "kaniko", **keys: Any) -> BuildSpec:
    """Give a build of these settings, with its addresses resolved."""
    level = {"kubernetes": {"buildsPodSecurity": "privileged"}}
    return BuildSpec(
        build=settings(builds=[build(builder=builder, **keys)], **level, **SECRETS).builds[0],
        image=f"{builder}:1",
        destinations=["r.ci.svc:5000/website:1"],
        cache_repository="r.ci.svc:5000/cache/website",
        mirrors={},
        git_image="git:1",
        config_map="website-0123",
        object_storage={},
    )


def pod(job: BuildSpec) -> PodSpec:
    """Give the pod that the build's own builder makes."""
    return BUILDERS[job.build.builder](job)


def container(job: BuildSpec) -> dict[str, Any]:
    """Give the container that builds."""
    [only] = pod(job)["containers"]
    found: dict[str, Any] = only
    return found


def env(of: Mapping[str, Any]) -> dict[str, str]:
    """Give a container's environment by name."""
    return {entry["name"]: entry["value"] for entry in of["env"]}
