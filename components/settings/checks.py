"""The rules between settings. A single value's own rules are in the modules `*_fields`."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from . import access_checks, cluster_checks, gitlab_checks
from .jenkins import JenkinsSettings, JobSettings
from .model import Settings
from .problems import Problem, duplicate, no_effect, required

SAMPLE_JOB: Final = "sample"
"""The name of the job that `ci:jenkins.sample` seeds."""

_OF_PLATFORM: Final = {
    "docker": ("docker", "jenkins", "jobs"),
    "kubernetes": ("kubernetes", "registry", "builds", "buildkit", "webhook"),
}
"""The sections that only one platform reads."""

_HEAP_SHARE: Final = 0.9
"""The largest part of the container's memory that a heap may have. Java needs some for itself."""

_SET_BY_HAND: Final = ("executors", "admin_user", "url", "configuration", "agents", "users", "login")
"""What the setup wizard leaves to the person who follows it."""

_OF_BRANCHES: Final = {
    "branch": "remove it: every branch is built",
    "schedule": "write triggers { cron('...') } into the Jenkinsfile",
    "poll": "remove it: Jenkins looks every five minutes",
    "keep_builds": "write options { buildDiscarder(logRotator(numToKeepStr: '30')) } into the Jenkinsfile",
}
"""What a job for each branch has in its Jenkinsfile, or not at all."""


def between(settings: Settings) -> Iterator[Problem]:
    """Return every problem that lies between two settings, each under the key that is best changed."""
    for platform, keys in _OF_PLATFORM.items():
        for key in keys if platform != settings.platform else ():
            if settings.is_given(key):
                instead = f"remove it, or write ci:platform: {platform}"
                yield no_effect(f"ci:{key}", f"on the platform {settings.platform}", instead)
    yield from gitlab_checks.between(settings)
    if settings.jenkins_secrets and settings.jenkins.configuration is None:
        instead = "give the file that uses them, or run `pulumi config rm ci:jenkinsSecrets`"
        yield no_effect("ci:jenkinsSecrets", "without ci:jenkins.configuration", instead)
    yield from _passwords(settings)
    if settings.platform == "kubernetes":
        yield from cluster_checks.between(settings)
        return
    yield from access_checks.between(settings)
    if settings.gitlab_runner is None:
        yield from _ports(settings.jenkins)
        yield from _image(settings.jenkins)
        yield from _memory(settings.jenkins)
        yield from _setup(settings)
        yield from _login(settings)
        yield from _jobs(settings)


def _ports(jenkins: JenkinsSettings) -> Iterator[Problem]:
    if jenkins.agent_port == jenkins.http_port:
        instead = "give another, for example 50000, or null to publish no agent port"
        yield duplicate("ci:jenkins.agentPort", jenkins.agent_port, "ci:jenkins.httpPort", instead)
    if ipaddress.ip_address(jenkins.bind_address).is_unspecified and not jenkins.public:
        yield Problem(
            "ci:jenkins.bindAddress",
            "not_confirmed",
            "publishes Jenkins on every interface of the host (CIS Docker Benchmark 5.14)",
            "give the address of one interface, for example 127.0.0.1, or write public: true beside it",
            jenkins.bind_address,
        )


def _image(jenkins: JenkinsSettings) -> Iterator[Problem]:
    built = {"base_image": "baseImage", "docker_cli_image": "dockerCliImage", "plugins": "plugins"}
    for field, key in built.items():
        if jenkins.image is not None and field in jenkins.model_fields_set:
            yield no_effect(f"ci:jenkins.{key}", "with ci:jenkins.image, which is used as it is", "remove one of them")
    if jenkins.docker_client == "image" and "docker_client_path" in jenkins.model_fields_set:
        instead = "write dockerClient: host beside it, or remove it"
        yield no_effect("ci:jenkins.dockerClientPath", "with dockerClient: image, the default", instead)


def _memory(jenkins: JenkinsSettings) -> Iterator[Problem]:
    units = {"": 1 / 2**20, "k": 1 / 2**10, "m": 1, "g": 2**10}
    for option in jenkins.java_options:
        heap = re.fullmatch(r"-Xmx(\d+)([kKmMgG]?)", option)
        if heap and int(heap[1]) * units[heap[2].lower()] > jenkins.memory_mib * _HEAP_SHARE:
            yield Problem(
                "ci:jenkins.javaOptions",
                "conflict",
                f"leaves too little of the container's {jenkins.memory_mib} MiB for what is not heap",
                f"remove it (the heap gets 60 %), or raise memoryMib above {jenkins.memory_mib}",
                option,
            )


def _setup(settings: Settings) -> Iterator[Problem]:
    if settings.jenkins.agents and not settings.jenkins.executors:
        instead = "give how many jobs run on each agent, for example 2, or remove it"
        yield Problem("ci:jenkins.executors", "conflict", "lets the agents of ci:jenkins.agents run no job", instead, 0)
    if settings.jenkins.setup == "wizard":
        given = [field for field in _SET_BY_HAND if field in settings.jenkins.model_fields_set]
        keys = [f"jenkins.{JenkinsSettings.model_fields[field].alias}" for field in given]
        for key in [*keys, *(["jobs"] if settings.jobs else [])]:
            yield no_effect(
                f"ci:{key}", "with setup: wizard, where it is set by hand", "write setup: casc, or remove it"
            )


def _passwords(settings: Settings) -> Iterator[Problem]:
    users = {user.name for user in settings.jenkins.users}
    for name in [name for name in settings.jenkins_passwords or () if name not in users]:
        instead = f"add the user, or run `pulumi config rm --path 'ci:jenkinsPasswords[\"{name}\"]'`"
        yield no_effect(f"ci:jenkinsPasswords.{name}", f"without {name} in ci:jenkins.users", instead)


def _login(settings: Settings) -> Iterator[Problem]:
    jenkins = settings.jenkins
    names = {jenkins.admin_user: "ci:jenkins.adminUser"}
    for index, user in enumerate(jenkins.users):
        key = f"ci:jenkins.users[{index}].name"
        other = names.setdefault(user.name, key)
        if other != key:
            yield duplicate(key, user.name, other, f"give the user another name, for example {user.name}-2")
    if jenkins.login == "stack" or jenkins.setup == "wizard":
        return
    given = {
        "jenkins.adminUser": "admin_user" in jenkins.model_fields_set,
        "jenkins.users": bool(jenkins.users),
        "adminPassword": settings.admin_password is not None,
    }
    for key in [key for key, is_given in given.items() if is_given]:
        yield no_effect(f"ci:{key}", "with ci:jenkins.login: configuration", "remove it, or write login: stack")
    if jenkins.configuration is None:
        instead = "give the file, for example configuration: jenkins.yaml, or write login: stack"
        yield required("ci:jenkins.configuration", "by ci:jenkins.login: configuration", instead)


def _jobs(settings: Settings) -> Iterator[Problem]:
    names = {SAMPLE_JOB: "the sample of ci:jenkins.sample"} if settings.jenkins.sample else {}
    for index, job in enumerate(settings.jobs):
        key = f"ci:jobs[{index}]"
        other = names.setdefault(job.name.lower(), f"{key}.name")  # Jenkins' folders ignore case on some disks
        if other != f"{key}.name":
            yield duplicate(f"{key}.name", job.name, other, f"give the job another name, for example {job.name}-2")
        yield from _job(key, job)
    users = [f"ci:jobs[{index}].credentials" for index, job in enumerate(settings.jobs) if job.credentials is not None]
    if users and settings.git_token is None:
        yield required("ci:gitToken", f"by {users[0]}", "set it with `pulumi config set --secret ci:gitToken`")


def _job(key: str, job: JobSettings) -> Iterator[Problem]:
    if (job.script is None) == (job.repository is None):
        yield Problem(
            key,
            "one_of",
            "has neither a repository nor a script" if job.script is None else "has both a repository and a script",
            "give one of the two, for example repository: https://git.example.org/team/website.git",
        )
    for field in ("branch", "jenkinsfile", "credentials", "poll", "multibranch"):
        if job.repository is None and field in job.model_fields_set:
            yield no_effect(f"{key}.{field}", "without a repository", "give the job its repository, or remove this")
    for field, instead in _OF_BRANCHES.items():
        if job.multibranch and field in job.model_fields_set:
            yield no_effect(f"{key}.{JobSettings.model_fields[field].alias}", "with multibranch: true", instead)
