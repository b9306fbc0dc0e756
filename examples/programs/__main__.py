"""Deploys a Jenkins for each of two teams, on one Docker host."""

import pulumi
from pulumi_container_ci.docker import DockerCi
from pulumi_container_ci.settings import DockerSettings, JenkinsSettings, Settings

config = pulumi.Config()
port = config.get_int("port") or 8080

for index, team in enumerate(("web", "data")):
    password = pulumi.Stash(f"{team}-password", input=config.require_secret("password"))
    jenkins = JenkinsSettings(
        image=config.get("image"),
        container_name=f"{config.get('prefix') or ''}{team}-jenkins",
        home_volume=f"{config.get('prefix') or ''}{team}-jenkins-home",
        http_port=port + 2 * index,
        agent_port=port + 2 * index + 1,
    )
    settings = Settings(
        platform="docker",
        docker=DockerSettings(accept_root_on_host=True),  # a job can become root on the host
        jenkins=jenkins,
        admin_password=password.output,
    )
    ci = DockerCi(team, settings)
    pulumi.export(team, ci.outputs)
