"""The Docker platform: one component with everything that a stack has on a Docker host."""

import dataclasses
import secrets
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import pulumi
import pulumi_docker as docker

from .. import labels, password, state
from ..jenkins import casc, configuration, hooks, jobs, login
from ..settings import JenkinsSettings, Problem, Settings
from ..settings.checks import SAMPLE_JOB
from ..settings.load import check
from ..settings.secret_fields import text_of
from . import access, agents, gitlab_deploy, host, managed_names, prune
from .access import EngineAccess
from .drain import Drain
from .image import built_image, pinned
from .jenkins import Jenkins, JenkinsArgs, home_volume

_NO_HASH: Final = "(hash of the password)"
"""Is shown in previews in place of a password's hash."""


class DockerCi(pulumi.ComponentResource):
    """A CI on a Docker host: Jenkins or a GitLab Runner, and how their jobs reach a Docker engine.

    Every name on the host comes from the settings, so two of these on one host need settings with other names.
    """

    outputs: Mapping[str, pulumi.Input[object]]
    """The stack's outputs, by name."""

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register all resources under `name`. Raises SettingsError before the first if the settings are wrong."""
        check(settings, partial(preflight, name))
        managed_names.claim(name, settings)
        of_host = pulumi.ResourceOptions(transformations=[self._of_host])
        super().__init__(state.DOCKER_CI, name, {}, pulumi.ResourceOptions.merge(opts, of_host))
        inside = pulumi.ResourceOptions(parent=self)
        self._host = host.provider(name, settings, inside)
        first = pulumi.ResourceOptions(parent=self, ignore_changes=["input"])
        self._owner = pulumi.Stash(f"{name}-{managed_names.OWNER}", input=secrets.token_urlsafe(12), opts=first).output
        inside.providers = [self._host]
        if settings.gitlab_runner is not None:
            self.outputs = gitlab_deploy.deploy(name, settings, settings.gitlab_runner, inside)
        else:
            self.outputs = _deploy(name, settings, inside)
        self.register_outputs(dict(self.outputs))

    def _of_host(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Change what this component has on the engine, on its way to Pulumi."""
        if not args.type_.startswith("docker:"):
            return None
        # By itself the plugin would look for all of it on the new host, and leave it running on the old one.
        options, props = pulumi.ResourceOptions(replace_with=[self._host]), dict[str, Any](args.props)
        if managed_names.KINDS.get(args.type_) in {"container", "network"}:
            props["labels"] = [{"label": labels.OWNER, "value": self._owner}, *props["labels"]]
            # What an earlier version made has no owner, and is not replaced for it.
            options.ignore_changes = ["labels"]
        return pulumi.ResourceTransformationResult(props, pulumi.ResourceOptions.merge(args.opts, options))


def preflight(name: str, settings: Settings) -> Iterator[Problem]:
    """Return what blocks the deployment of the CI `name` on its host. Changes nothing."""
    own = state.of_root(name).resources
    return host.preflight(settings, project=pulumi.get_project(), stack=pulumi.get_stack(), state=own)


def _deploy(name: str, settings: Settings, inside: pulumi.ResourceOptions) -> Mapping[str, pulumi.Input[object]]:
    jenkins = settings.jenkins
    drain = Drain(name, inside, host=settings.docker.host, seconds=jenkins.drain_seconds)
    is_own = jenkins.login == "stack"
    account = f"{name}-admin-password" if is_own else f"{name}-verbs-password"
    clear = password.kept(account, settings.admin_password, inside) if _has_casc(settings) else None
    users = _user_passwords(name, settings, inside)
    notify = password.kept(f"{name}-notify-token", None, inside) if _has_casc(settings) else None
    home = home_volume(f"{name}-jenkins", jenkins, inside)
    held = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(transformations=[drain.hold]))
    workers = agents.Agents(f"{name}-agents", jenkins, held) if jenkins.agents else None
    seen = home if workers is None else workers.workspaces
    engine_access = access.of(settings.docker).declare(name, settings, seen, held)
    for_jobs = _with_client(jenkins, engine_access)
    if jenkins.image is not None:
        image = pinned(f"{name}-jenkins", jenkins.image, inside)
    else:
        image = built_image(f"{name}-jenkins", jenkins, host.platform(settings), inside)
    controller = Jenkins(
        f"{name}-jenkins",
        JenkinsArgs(
            settings=jenkins,
            image=image,
            home=home,
            access=for_jobs if workers is None else workers.controllers,
            configuration=_shown(settings) if _has_casc(settings) else None,
            files=_files(settings, clear, users, notify)
            if clear is not None and notify is not None
            else hooks.wizard(),
        ),
        held,
    )
    started = {} if workers is None else workers.start(image, for_jobs, controller)
    drain.keep(settings.url, jenkins.admin_user if is_own else login.VERBS_USER, clear)
    return {
        "platform": settings.platform,
        "url": settings.url,
        "registry": None,
        "images": {},
        "setup": jenkins.setup,
        "login": jenkins.login,
        "adminUser": jenkins.admin_user if is_own else None,
        "adminPassword": clear if is_own else None,
        "verbs": None if is_own else {"user": login.VERBS_USER, "password": clear},
        "userPasswords": pulumi.Output.secret(users) if users else {},
        "notifyToken": notify,
        "jobs": [job.name for job in jobs.all_of(settings)] if _has_casc(settings) else [],
        "sampleJob": SAMPLE_JOB if jenkins.sample and _has_casc(settings) else None,
        "container": controller.container,
        "homeVolume": home,
        "dockerHost": settings.docker.host,
        "access": settings.docker.access,
        "engine": engine_access.engine,
        "sidecars": {**engine_access.sidecars, **prune.sidecar(name, settings, engine_access, inside), **started},
        "retainedVolumes": list(engine_access.retained_volumes),
        "next": [*_next(settings), *engine_access.next_steps],
    }


def _with_client(jenkins: JenkinsSettings, engine: EngineAccess) -> EngineAccess:
    """Add the host's own docker client, if the jobs use that."""
    if jenkins.docker_client == "image":
        return engine
    path = jenkins.docker_client_path
    client = docker.ContainerVolumeArgs(host_path=path, container_path="/usr/bin/docker", read_only=True)
    return dataclasses.replace(engine, volumes=(*engine.volumes, client))


def _has_casc(settings: Settings) -> bool:
    return settings.jenkins.setup == "casc"


def _user_passwords(name: str, settings: Settings, inside: pulumi.ResourceOptions) -> Mapping[str, pulumi.Output[str]]:
    given = settings.jenkins_passwords or {}
    return {
        user.name: password.kept(f"{name}-jenkins-password-{user.name}", given.get(user.name), inside)
        for user in settings.jenkins.users
    }


def _shown(settings: Settings) -> Mapping[str, str]:
    hashes = dict.fromkeys(login.accounts(settings.jenkins), _NO_HASH)
    return {"jenkins": casc.render(settings, hashes), "jobs": "\n".join(jobs.texts(settings).values())}


def _files(
    settings: Settings,
    clear: pulumi.Output[str],
    users: Mapping[str, pulumi.Output[str]],
    notify: pulumi.Output[str],
) -> Mapping[str, pulumi.Input[str]]:
    is_own = settings.jenkins.login == "stack"
    passwords = {settings.jenkins.admin_user: clear, **users} if is_own else {}
    stack = f"{pulumi.get_project()}/{pulumi.get_stack()}"

    def configured(clear: Mapping[str, str]) -> str:
        hashes = {user: password.jbcrypt(one, realm=f"{stack}/{user}") for user, one in clear.items()}
        return casc.render(settings, hashes)

    files: dict[str, pulumi.Input[str]] = {
        casc.FILE: pulumi.Output.all(**passwords).apply(configured) if passwords else casc.render(settings, {}),
        jobs.FILE: jobs.render(settings),
        hooks.NOTIFY_TOKEN_FILE: notify.apply(hooks.notify_token),
        **hooks.scripts(settings),
    }
    if not is_own:
        files[login.VERBS_FILE] = clear.apply(login.verbs)
    secrets = {**(settings.jenkins_secrets or {}), configuration.GIT_TOKEN: settings.git_token}
    for name, secret in secrets.items():
        if secret is not None:
            files[f"{casc.SECRETS_FOLDER}/{name}"] = text_of(secret)
    return files


def _next(settings: Settings) -> list[str]:
    """Return what to do now. Pulumi cuts what it shows at 150 characters, so a long command is a step of its own."""
    jenkins, stack = settings.jenkins, pulumi.get_stack()
    steps = []
    if not settings.docker.is_local:
        port, host = jenkins.http_port, settings.docker.host
        target = host if host.startswith("ssh://") else urlsplit(host).hostname
        steps.append(
            f"From this machine: ssh -L {port}:127.0.0.1:{port} {target}, since the port is open on that host only."
        )
    if jenkins.login == "configuration":
        steps.append(f"Open {settings.url} and log in as {jenkins.configuration} says.")
    elif _has_casc(settings):
        steps.append(f"Open {settings.url} and log in as {jenkins.admin_user}.")
        steps.append(f"The password: `make password STACK={stack}`, or this:")
        steps.append(f"pulumi stack output --stack {stack} --show-secrets adminPassword")
    else:
        steps.append(f"Open {settings.url}. The first password:")
        steps.append(f"docker exec {jenkins.container_name} cat /var/jenkins_home/secrets/initialAdminPassword")
    if jenkins.sample and _has_casc(settings):
        steps.append(f"Build an image: `make sample STACK={stack}`, or start the job `sample` by hand.")
    if any(job.multibranch or job.poll is not None for job in settings.jobs):
        steps.append(f"Build on push: let the Git host call {settings.url}/git/notifyCommit?url=REPOSITORY&token=TOKEN")
        steps.append(f"The token: pulumi stack output --stack {stack} --show-secrets notifyToken")
    return steps
