"""The rules between a build and the builder that it names."""

import re
from collections.abc import Iterator
from typing import Final

from .builds import BuildSettings
from .model import Settings
from .pod_security import CLIENT, CLIENT_OVER_SSH, LEVEL_KEY, NEEDS, Level, Needs, in_words
from .problems import Problem, no_effect, required

_LONGEST_NAMESPACE: Final = 54
"""Characters. A label holds 63, and the daemon's namespace is the same name with `-buildkit` behind it."""


def between(settings: Settings) -> Iterator[Problem]:
    """Return every problem between a build and its builder, each under the key that is best changed."""
    namespace = settings.kubernetes.namespace
    if settings.buildkit is not None and len(namespace) > _LONGEST_NAMESPACE:
        yield Problem(
            "ci:kubernetes.namespace",
            "conflict",
            "is too long beside ci:buildkit, which has a namespace of this name with -buildkit behind it",
            f"give at most {_LONGEST_NAMESPACE} characters, or remove ci:buildkit",
            namespace,
        )
    for index, build in enumerate(settings.builds):
        needs = _needs(build) if settings.buildkit is not None else NEEDS[build.builder]
        yield from _build(f"ci:builds[{index}]", build, needs, settings.kubernetes.builds_pod_security)
        runtime = settings.kubernetes.runtime_class
        if runtime is not None and build.builder != "kaniko":
            wrong = f"is not known to work in ci:kubernetes.runtimeClass, which is {runtime}"
            instead = "set it to kaniko, or remove ci:kubernetes.runtimeClass"
            yield Problem(f"ci:builds[{index}].builder", "conflict", wrong, instead, build.builder)
        for name in build.secrets:
            if name not in (settings.build_secrets or {}):
                how = f"set it with `pulumi config set --secret --path ci:buildSecrets.{name}`"
                yield required(f"ci:buildSecrets.{name}", f"by ci:builds[{index}].secrets", how)
    if settings.kubernetes.runtime_class is not None and settings.kubernetes.isolation is not None:
        wrong = (
            "cannot be used with ci:kubernetes.isolation: a sandbox has users of its own, and a VM a kernel of its own"
        )
        yield Problem("ci:kubernetes.runtimeClass", "conflict", wrong, "remove one of the two")
    image = settings.kubernetes.buildkit_image
    tag = re.search(r"(?:^|/)moby/buildkit(?::([^@]+))?", image)
    if tag and "rootless" not in (tag[1] or ""):
        yield Problem(
            "ci:kubernetes.buildkitImage",
            "conflict",
            "is the image that runs as root, without rootlesskit",
            "give the rootless one, for example moby/buildkit:v0.32.2-rootless",
            image,
        )


def _needs(build: BuildSettings) -> Needs:
    """Return what a build needs beside a BuildKit daemon that stays."""
    if build.builder != "buildkit":
        return NEEDS[build.builder]
    git = build.context.git
    return CLIENT_OVER_SSH if git is not None and git.credentials == "gitSshKey" else CLIENT


def _build(key: str, build: BuildSettings, needs: Needs, level: Level) -> Iterator[Problem]:
    checks = needs.refused_by.get(level)
    if checks is not None:
        others = [name for name, other in NEEDS.items() if level not in other.refused_by]
        yield Problem(
            f"{key}.builder",
            "conflict",
            f"needs Pod Security {needs.level}: in the builds' namespace, which enforces {level}, "
            f"{in_words(checks)} would refuse it",
            f"set {LEVEL_KEY} to {needs.level}" + (f", or builder to {' or '.join(others)}" if others else ""),
            build.builder,
        )
    if build.builder == "buildkit" and "hours" in build.cache.model_fields_set:
        instead = "remove it, or write cache: {enabled: false} to run every step again"
        yield no_effect(f"{key}.cache.hours", "with BuildKit, which takes layers of any age", instead)
    if build.secrets and build.builder == "kaniko":
        yield Problem(
            f"{key}.secrets",
            "conflict",
            "cannot be used with kaniko: each step runs as root beside the executor and could read all secrets of the "
            'build, and the fork itself calls its option --secret "not stored securely"',
            "set builder to buildkit or buildah, or remove it",
        )
    archive = build.context.archive
    if archive is not None and build.builder != "kaniko" and not archive.startswith("https:"):
        yield Problem(
            f"{key}.context.archive",
            "conflict",
            f"is in object storage, which {build.builder} cannot read",
            "give an https:// address (for example a signed one), or write builder: kaniko",
            archive,
        )
