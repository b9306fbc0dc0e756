"""What must hold between settings. A single value's own rules are in `fields`."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator

from components.settings import access_checks, cluster_checks, gitlab_checks
from components.settings.jenkins import JenkinsSettings, JobSettings
from components.settings.model import Settings
from components.settings.problems import Problem

SAMPLE_JOB = "sample"
"""The name of the job that `ci:jenkins.sample` seeds."""

_OF_PLATFORM = {"docker": ("docker", "jenkins", "jobs"), "kubernetes": ("kubernetes", "registry", "builds")}
"""The sections that only one platform reads."""

_ONLY_BUILT = {"base_image": "baseImage", "docker_cli_image": "dockerCliImage", "plugins": "plugins"}


def between(settings: Settings) -> Iterator[Problem]:
    """Give every problem that lies between two settings, each under the key that is best changed."""
    yield from _other_platform(settings)
    yield from gitlab_checks.between(settings)
    if settings.platform == "kubernetes":
        yield from cluster_checks.between(settings)
        return
    yield from access_checks.between(settings)
    if settings.gitlab_runner is not None:
        return
    yield from _ports(settings.jenkins)
    yield from _image(settings.jenkins)
    yield from _memory(settings.jenkins)
    yield from _setup(settings)
    yield from _jobs(settings)


def _other_platform(settings: Settings) -> Iterator[Problem]:
    for platform, keys in _OF_PLATFORM.items():
        for key in keys if platform != settings.platform else ():
            # An empty map or list is what Pulumi.yaml gives every stack.
            if getattr(settings, key) != Settings.model_fields[key].get_default(call_default_factory=True):
                yield Problem(
                    key=f"ci:{key}",
                    wrong=f"belongs to the platform {platform}, and this stack's is {settings.platform}",
                    instead=f"leave it out, or write ci:platform: {platform}",
                )


def _ports(jenkins: JenkinsSettings) -> Iterator[Problem]:
    if jenkins.agent_port == jenkins.http_port:
        yield Problem(
            key="ci:jenkins.agentPort",
            value=jenkins.agent_port,
            wrong="is ci:jenkins.httpPort too",
            instead="give each its own, for example 50000, or null to publish no agent port",
        )
    if ipaddress.ip_address(jenkins.bind_address).is_unspecified and not jenkins.public:
        yield Problem(
            key="ci:jenkins.bindAddress",
            value=jenkins.bind_address,
            wrong="publishes Jenkins on every interface of the host (CIS Docker Benchmark 5.14)",
            instead="give the address of one interface, for example 127.0.0.1, or write public: true beside it",
        )


def _image(jenkins: JenkinsSettings) -> Iterator[Problem]:
    if jenkins.image is not None:
        for field, key in _ONLY_BUILT.items():
            if field in jenkins.model_fields_set:
                yield Problem(
                    key=f"ci:jenkins.{key}",
                    wrong="is for an image that is built here, and ci:jenkins.image names a ready one",
                    instead="leave one of the two out",
                )
    if jenkins.docker_client == "image" and "docker_client_path" in jenkins.model_fields_set:
        yield Problem(
            key="ci:jenkins.dockerClientPath",
            value=jenkins.docker_client_path,
            wrong="has no effect while the docker client is the image's own",
            instead="write dockerClient: host beside it, or leave it out",
        )


def _memory(jenkins: JenkinsSettings) -> Iterator[Problem]:
    units = {"": 1 / 2**20, "k": 1 / 2**10, "m": 1, "g": 2**10}
    for option in jenkins.java_options:
        heap = re.fullmatch(r"-Xmx(\d+)([kKmMgG]?)", option)
        if heap and int(heap[1]) * units[heap[2].lower()] > jenkins.memory_mib * 0.9:
            yield Problem(
                key="ci:jenkins.javaOptions",
                value=option,
                wrong=f"leaves nothing of the container's {jenkins.memory_mib} MiB for all that is not heap",
                instead=f"leave it out (the heap gets 60 %), or raise memoryMib above {jenkins.memory_mib}",
            )


def _setup(settings: Settings) -> Iterator[Problem]:
    if settings.jenkins.setup == "casc" and settings.admin_password is None:
        yield Problem(
            key="ci:adminPassword",
            wrong="is missing: without it nobody could log in, or everybody",
            instead="set it with `pulumi config set --secret ci:adminPassword` (12 characters or more)",
        )
    if settings.jenkins.setup == "wizard":
        if settings.jobs:
            yield Problem(
                key="ci:jobs",
                wrong='are seeded by configuration as code, which ci:jenkins.setup = "wizard" leaves out',
                instead="write setup: casc, or make the jobs by hand and leave ci:jobs out",
            )
        for field, key in {"executors": "executors", "admin_user": "adminUser", "url": "url"}.items():
            if field in settings.jenkins.model_fields_set:
                yield Problem(
                    key=f"ci:jenkins.{key}",
                    wrong="has no effect with setup: wizard, where it is chosen by hand",
                    instead="write setup: casc, or leave it out",
                )


def _jobs(settings: Settings) -> Iterator[Problem]:
    names = [job.name.lower() for job in settings.jobs]
    for place, job in enumerate(settings.jobs):
        key = f"ci:jobs[{place}]"
        first = names.index(job.name.lower())
        if first < place:
            yield Problem(
                key=f"{key}.name",
                value=job.name,
                wrong=f"is the name of ci:jobs[{first}] too",
                instead="give each job a name of its own",
            )
        if settings.jenkins.sample and job.name.lower() == SAMPLE_JOB:
            yield Problem(
                key=f"{key}.name",
                value=job.name,
                wrong="is the name of the sample that ci:jenkins.sample seeds",
                instead="give the job another name, or write sample: false under ci:jenkins",
            )
        yield from _job(key, job, has_token=settings.git_token is not None)


def _job(key: str, job: JobSettings, *, has_token: bool) -> Iterator[Problem]:
    given = Counter(value is not None for value in (job.script, job.repository))[True]
    if given != 1:
        yield Problem(
            key=f"{key}.repository",
            wrong="stands beside a script" if given else "is missing, and so is a script",
            instead="give the job one of the two, for example repository: https://git.example.org/team/website.git",
        )
    if job.repository is None:
        for field in ("branch", "jenkinsfile", "credentials"):
            if field in job.model_fields_set:
                yield Problem(
                    key=f"{key}.{field}",
                    wrong="belongs to a job with a repository",
                    instead="give the job its repository, or leave this out",
                )
    if job.credentials is not None and not has_token:
        yield Problem(
            key=f"{key}.credentials",
            value=job.credentials,
            wrong="needs a secret that the stack does not have",
            instead="set it with `pulumi config set --secret ci:gitToken`",
        )
