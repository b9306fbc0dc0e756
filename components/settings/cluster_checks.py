"""The rules between the settings of the Kubernetes platform."""

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from . import builder_checks, registry_checks
from .builds import BuildSettings, GitContext
from .fields import image_domain
from .gitlab import HELPER_CPU_MILLICORES, HELPER_MEMORY_MIB
from .model import Settings
from .problems import Problem, duplicate, no_effect, required

_ARCHIVED_KANIKO: Final = "gcr.io/kaniko-project/"

_STATE: Final = ".local"
"""Where this project keeps a local state and its passphrase."""

_LOGIN_KEYS: Final = ("auth", "identitytoken", "password", "registrytoken")

OTHER_PODS: Final = 10
"""How many pods the builds' quota allows beside the builds, for people who try an image."""

RESERVED_TAG: Final = "build-"
"""The prefix of the tag under which the registry keeps each single build's image."""


def between(settings: Settings) -> Iterator[Problem]:
    """Return every problem between two settings, each under the key that is best changed."""
    yield from registry_checks.between(settings)
    yield from _images(settings)
    yield from _builds(settings)
    yield from builder_checks.between(settings)
    yield from _quota(settings)


def own_repository(destination: str) -> str | None:
    """Return the repository in this stack's registry that a destination names, or None if it names another registry."""
    return None if image_domain(destination) else destination.rpartition(":")[0]


def logins(docker_config: str) -> dict[str, dict[str, str]] | None:
    """Return the logins of a docker config.json by host, or None if it is not one.

    Entries without a login are left out: docker writes them when it keeps the login in the desktop's own store.
    """
    try:
        auths = json.loads(docker_config)["auths"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(auths, dict) or not all(isinstance(entry, dict) for entry in auths.values()):
        return None
    return {host: entry for host, entry in auths.items() if any(entry.get(key) for key in _LOGIN_KEYS)}


def _images(settings: Settings) -> Iterator[Problem]:
    kaniko = settings.kubernetes.kaniko_image
    if kaniko.startswith(_ARCHIVED_KANIKO):
        yield Problem(
            "ci:kubernetes.kanikoImage",
            "vulnerable",
            "is of the archived project, whose last release writes outside of its folder (CVE-2026-28406)",
            "give the maintained fork, for example ghcr.io/osscontainertools/kaniko:v1.28.3",
            kaniko,
        )


def _builds(settings: Settings) -> Iterator[Problem]:
    names: dict[str, str] = {}
    pushed: dict[str, str] = {}
    watched: dict[str, str] = {}
    elsewhere = logins(config.get_secret_value()) if isinstance(config := settings.docker_config, SecretStr) else {}
    if elsewhere is None:
        yield Problem(
            "ci:dockerConfig",
            "not_accepted",
            "is not a docker config.json with a map of logins under auths",
            "set it from a file of `docker login`: `pulumi config set --secret ci:dockerConfig < config.json`",
        )
    for index, build in enumerate(settings.builds):
        key = f"ci:builds[{index}]"
        other = names.setdefault(build.name, f"{key}.name")
        if other != f"{key}.name":
            yield duplicate(f"{key}.name", build.name, other, f"give another name, for example {build.name}-2")
        for number, destination in enumerate(build.destinations or (f"{build.name}:latest",)):
            target = f"{key}.destinations[{number}]"
            other = pushed.setdefault(destination, target)
            if other != target:
                yield duplicate(target, destination, other, f"give each image another tag, for example {destination}-2")
            yield from _destination(target, destination, elsewhere)
        yield from _context(key, build, settings)
        yield from _on_push(key, build, watched)
        if build.context.git is not None:
            yield from _git(f"{key}.context.git", build.context.git)
    yield from _git_secrets(settings)


def _destination(key: str, destination: str, elsewhere: dict[str, dict[str, str]] | None) -> Iterator[Problem]:
    domain = image_domain(destination)
    if domain is not None and elsewhere is not None and _host(domain) not in map(_host, elsewhere):
        yield Problem(
            key,
            "required",
            f"needs a login for {domain}, and ci:dockerConfig has {', '.join(sorted(elsewhere)) or 'none'}",
            "set one with `pulumi config set --secret ci:dockerConfig < config.json`, or remove the host to push to "
            "this stack's registry",
            destination,
        )
    if domain is None and destination.rpartition(":")[2].startswith(RESERVED_TAG):
        wrong = f"has a tag that begins with {RESERVED_TAG}, which is reserved for what the stack keeps of each build"
        yield Problem(key, "conflict", wrong, "give another tag, for example website:1.2.3", destination)


def _on_push(key: str, build: BuildSettings, watched: dict[str, str]) -> Iterator[Problem]:
    if build.on_push is None:
        return
    if build.context.git is None:
        wrong = "needs a context in git, which this build does not have"
        example = "context: {git: {repository: https://git.example.org/team/website.git}}"
        yield Problem(f"{key}.onPush", "conflict", wrong, f"give for example {example}, or remove it")
    for repository in {target.rpartition(":")[0] for target in build.destinations or (f"{build.name}:latest",)}:
        other = watched.setdefault(repository, f"{key}.onPush")
        if other != f"{key}.onPush":
            instead = f"give the build a destination in another repository, for example {repository}-2:latest"
            yield duplicate(f"{key}.onPush", repository, other, instead)


def _host(login: str) -> str:
    """Return the host that a login is for. docker writes an address for its own registry, which has several names."""
    host = re.sub(r"^https?://", "", login).partition("/")[0]
    return "docker.io" if host in {"index.docker.io", "registry-1.docker.io"} else host


def _context(key: str, build: BuildSettings, settings: Settings) -> Iterator[Problem]:
    context = build.context
    files = context.inline or {}
    if files and build.dockerfile not in files:
        yield Problem(
            f"{key}.dockerfile",
            "conflict",
            f"is not among the inline files ({', '.join(sorted(files))})",
            "add it to them, or name one of them",
            build.dockerfile,
        )
    inside = next((path for path in files if any(str(parent) in files for parent in Path(path).parents)), None)
    if inside is not None:
        wrong = f"has the file {inside}, and another file that is its folder"
        yield Problem(f"{key}.context.inline", "conflict", wrong, "give one of them another path")
    if (
        context.archive is not None
        and not context.archive.startswith("https:")
        and settings.storage_credentials is None
    ):
        instead = "set them with `pulumi config set --secret ci:storageCredentials < file`"
        yield required("ci:storageCredentials", f"by {key}.context.archive in object storage", instead)
    if context.directory is not None and _has_state(context.directory):
        yield Problem(
            f"{key}.context.directory",
            "conflict",
            f"holds {_STATE}, where this project keeps its state and passphrase",
            "give a folder without it, for example examples/hello",
            context.directory,
        )


def _has_state(directory: str) -> bool:
    context, state = Path(directory).expanduser().resolve(), Path(_STATE).resolve()
    return context == state or context in state.parents or state in context.parents


def _git(key: str, git: GitContext) -> Iterator[Problem]:
    over_ssh = git.repository.startswith("ssh:")
    wanted = "gitSshKey" if over_ssh else "gitToken"
    if over_ssh and not git.known_hosts:
        yield required(
            f"{key}.knownHosts",
            "by an ssh:// address: without it, any host would be trusted",
            "give what `ssh-keyscan HOST` prints, after you compared it with the host's published fingerprint",
        )
    if not over_ssh and git.known_hosts is not None:
        yield no_effect(f"{key}.knownHosts", "without an ssh:// address")
    if (git.credentials is None and over_ssh) or git.credentials not in (None, wanted):
        wrong = f"cannot be used for {git.repository.partition(':')[0]}:// addresses"
        yield Problem(f"{key}.credentials", "conflict", wrong, f"write credentials: {wanted}", git.credentials)


def _git_secrets(settings: Settings) -> Iterator[Problem]:
    secrets = {"gitToken": settings.git_token, "gitSshKey": settings.git_ssh_key}
    for secret, value in secrets.items():
        users = [
            f"ci:builds[{index}].context.git.credentials"
            for index, build in enumerate(settings.builds)
            if build.context.git is not None and build.context.git.credentials == secret
        ]
        if users and value is None:
            instead = f"set it with `pulumi config set --secret ci:{secret}`"
            yield required(f"ci:{secret}", f"by {users[0]}", instead)


def _quota(settings: Settings) -> Iterator[Problem]:
    quota = settings.kubernetes.quota
    if quota is None:
        return
    cpu, memory = _needed(settings)
    jobs = " and a GitLab Runner's jobs" if settings.gitlab_runner is not None else ""
    also = ", or ci:gitlabRunner.concurrency" if jobs else ""
    also += ", or ci:kubernetes.parallelBuilds" if settings.kubernetes.parallel_builds is not None else ""
    for needed, allowed, key, unit in (
        (cpu, quota.cpu_millicores, "cpuMillicores", "thousandths"),
        (memory, quota.memory_mib, "memoryMib", "MiB"),
    ):
        if needed > allowed:
            yield Problem(
                f"ci:kubernetes.quota.{key}",
                "too_small",
                f"is less than the {needed} {unit} that all builds{jobs} may use at one time",
                f"give {needed} or more, or lower ci:builds[...].resources.{key}{also}",
                allowed,
            )


def _pods(build: BuildSettings) -> int:
    """Return how many pods of a build can run at one time: its Job's, its schedule's, and its pushes'."""
    return 1 + (build.schedule is not None) + (build.on_push is not None)


def pods_of(settings: Settings) -> int:
    """Return how many pods the builds and a GitLab Runner's jobs are at one time."""
    jobs = settings.gitlab_runner.concurrency if settings.gitlab_runner is not None else 0
    return _together(settings, lambda _: 1) + jobs


def pushes_of(build: BuildSettings, settings: Settings) -> int:
    """Return how many branches of a pattern a build may build at one time, where it does not wait in a queue.

    One, and its share of what the quota has room for beside all that may run. The others that watch a pattern have the
    rest.
    """
    cpu, memory = (given - needed for given, needed in zip(quota_of(settings), _needed(settings), strict=True))
    room = min(cpu // build.resources.cpu_millicores, memory // build.resources.memory_mib, OTHER_PODS)
    return 1 + room // sum("*" in each.on_push.branch for each in settings.builds if each.on_push)


def queue_seconds(settings: Settings) -> int:
    """Return the longest that a build waits in the queue if all others come before it and use all of their time."""
    needed = sum(build.deadline_seconds * _pods(build) for build in settings.builds)
    return math.ceil(needed / (settings.kubernetes.parallel_builds or math.inf))


def _together(settings: Settings, of: Callable[[BuildSettings], int]) -> int:
    """Return what all builds may use that run at one time. of: what one pod of a build may use."""
    bound = settings.kubernetes.parallel_builds
    if bound is not None:
        # Any of them may run at one time, also several of one: on push, for different branches.
        return bound * max(map(of, settings.builds), default=0)
    return sum(of(build) * _pods(build) for build in settings.builds)


def quota_of(settings: Settings) -> tuple[int, int]:
    """Return the builds' quota: thousandths of a processor, and MiB of memory."""
    quota = settings.kubernetes.quota
    return _needed(settings) if quota is None else (quota.cpu_millicores, quota.memory_mib)


def _needed(settings: Settings) -> tuple[int, int]:
    """Return the limits of all that may run at one time: thousandths of a processor, and MiB of memory."""
    cpu = _together(settings, lambda build: build.resources.cpu_millicores)
    memory = _together(settings, lambda build: build.resources.memory_mib)
    runner = settings.gitlab_runner
    if runner is not None:
        cpu += runner.concurrency * (runner.jobs.cpu_millicores + HELPER_CPU_MILLICORES)
        memory += runner.concurrency * (runner.jobs.memory_mib + HELPER_MEMORY_MIB)
    return cpu, memory
