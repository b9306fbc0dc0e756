"""What must hold between a build and the builder that it names."""

import re
from collections.abc import Iterator, Sequence

from components.settings.builds import BuildSettings
from components.settings.model import Settings
from components.settings.pod_security import NEEDS, Level
from components.settings.problems import Problem

LEVEL_KEY = "ci:kubernetes.buildsPodSecurity"


def between(settings: Settings) -> Iterator[Problem]:
    """Give every problem that lies between a build and its builder, each under the key that is best changed."""
    for place, build in enumerate(settings.builds):
        key = f"ci:builds[{place}]"
        yield from _level(key, build, settings.kubernetes.builds_pod_security)
        yield from _cache(key, build)
        yield from _archive(key, build)
    image = settings.kubernetes.buildkit_image
    tag = re.search(r"(?:^|/)moby/buildkit(?::([^@]+))?", image)
    if tag and "rootless" not in (tag[1] or ""):
        yield Problem(
            key="ci:kubernetes.buildkitImage",
            value=image,
            wrong="is the form that runs as root, without rootlesskit",
            instead="give the form without root, for example moby/buildkit:v0.32.2-rootless",
        )


def _level(key: str, build: BuildSettings, held_to: Level) -> Iterator[Problem]:
    needs = NEEDS[build.builder]
    checks = needs.refused_by.get(held_to)
    if checks is not None:
        others = [name for name, other in NEEDS.items() if held_to not in other.refused_by]
        yield Problem(
            key=f"{key}.builder",
            value=build.builder,
            wrong=f"needs Pod Security {needs.level}, and {_names(checks)} would refuse it in the builds' namespace, "
            f"which is held to {held_to}",
            instead=f"write {LEVEL_KEY}: {needs.level}" + (f", or builder: {' or '.join(others)}" if others else ""),
        )


def _names(checks: Sequence[str]) -> str:
    [*most, last] = checks
    return f"the checks {', '.join(most)} and {last}" if most else f"the check {last}"


def _cache(key: str, build: BuildSettings) -> Iterator[Problem]:
    if build.builder == "buildkit" and "hours" in build.cache.model_fields_set:
        yield Problem(
            key=f"{key}.cache.hours",
            value=build.cache.hours,
            wrong="has no effect with BuildKit, which takes a layer however old it is",
            instead="leave it out, or write cache: {enabled: false} to run every step anew",
        )


def _archive(key: str, build: BuildSettings) -> Iterator[Problem]:
    archive = build.context.archive
    if archive is not None and build.builder != "kaniko" and not archive.startswith("https:"):
        yield Problem(
            key=f"{key}.context.archive",
            value=archive,
            wrong=f"is in object storage, which {build.builder} does not read",
            instead="give an https:// address (a signed one, say), or write builder: kaniko",
        )
