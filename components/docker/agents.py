"""Jenkins' agents: containers that run the jobs, and that have the Docker engine in the controller's place."""

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_docker as docker

from ..jenkins import casc
from ..settings import JenkinsSettings
from .access import EngineAccess
from .container import HOME, UNPRIVILEGED, USER, own_labels, service
from .jenkins import START_SECONDS

_CONTROLLER: Final = "jenkins"
"""The controller's name in the network that it shares with the agents alone."""

_OPEN_FILES: Final = 65536
"""An agent that loses the controller tries to close every number that a file may have, before it starts itself again.
Where the engine sets no limit, that is a billion numbers: 15 minutes."""

_START: Final = f"""
trap 'kill $!; exit' TERM INT
ulimit -n {_OPEN_FILES} 2>/dev/null || true
while :; do
    if [ -s {casc.AGENTS_FOLDER}/$1 ] && curl -fsS -o /tmp/agent.jar http://{_CONTROLLER}:8080/jnlpJars/agent.jar; then
        java -jar /tmp/agent.jar -url http://{_CONTROLLER}:8080/ -webSocket -name $1 -secret @{casc.AGENTS_FOLDER}/$1 \\
            -workDir {HOME}/$1 &
        wait $! || true
    fi
    sleep 2
done
"""
"""Waits for the secret and the controller, and takes the agent's program from it, so that the two always fit. Not by
the image's own entry point, which copies every plugin into the home. The shell stays to reap what jobs leave, and to
start a program again that ended: with a new start of the container the steps of jobs would be lost, and the health
check would begin anew."""

_HEALTHY: Final = f"test -e {casc.AGENTS_FOLDER}/%s.connected && grep -qs ':1F90 01 ' /proc/net/tcp /proc/net/tcp6"
"""Finds the controller's mark that it has this agent, and an established connection to port 8080, as the kernel writes
it. A connection alone can be a try with a wrong secret; a mark alone, that of a controller which was killed."""


class Agents(pulumi.ComponentResource):
    """The agents of a controller, the network in which they reach it, and their secrets.

    Jenkins computes an agent's secret from its name and a key in the home. So the controller writes the secrets, at its
    start, to a volume in memory that only it and the agents have.
    """

    workspaces: pulumi.Output[str]
    """Name of the volume that the agents have at the home's path. An engine in a container mounts it there too."""

    controllers: EngineAccess
    """What the controller gets in place of the engine."""

    def __init__(self, name: str, settings: JenkinsSettings, opts: pulumi.ResourceOptions) -> None:
        """Register network and volumes under `name`."""
        super().__init__("ci:docker:Agents", name, {"count": settings.agents}, opts)
        self._name, self._settings = name, settings
        mine = pulumi.ResourceOptions(parent=self, delete_before_replace=True)
        called = f"{settings.container_name}-agents"
        network = docker.Network(f"{name}-network", name=called, driver="bridge", labels=own_labels(), opts=mine)
        secrets = docker.Volume(
            f"{name}-secrets",
            name=f"{called}-secrets",
            driver="local",
            driver_opts={
                "type": "tmpfs",
                "device": "tmpfs",
                "o": "uid=1000,gid=1000,mode=0700,size=1m,nosuid,nodev,noexec",
            },
            labels=own_labels(),
            opts=mine,
        )
        self.workspaces = docker.Volume(f"{name}-workspaces", name=called, labels=own_labels(), opts=mine).name
        self._network, self._secrets = network.name, secrets.name
        self.controllers = EngineAccess(
            engine="none",
            volumes=(self._mount(read_only=False),),
            networks=(docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=[_CONTROLLER]),),
        )

    def start(
        self, image: pulumi.Input[str], access: EngineAccess, controller: pulumi.Resource
    ) -> Mapping[str, pulumi.Output[str]]:
        """Register the containers, which start once the controller is healthy. Returns their names by the agents'.

        image: the controller's own, by its id. access: what reaches the engine of the jobs.
        """
        settings, made = self._settings, {}
        for number, agent in enumerate(casc.agents(settings), 1):
            container = docker.Container(
                f"{self._name}-{number}",
                name=f"{settings.container_name}-{agent}",
                image=image,
                user=USER,
                group_adds=list(access.groups),
                entrypoints=["sh", "-ec", _START, "sh"],
                command=[agent],
                envs=[f"{key}={value}" for key, value in sorted(access.environment.items())],
                uploads=[upload for _, upload in sorted(access.files.items())],
                volumes=[
                    docker.ContainerVolumeArgs(volume_name=self.workspaces, container_path=HOME, read_only=False),
                    self._mount(read_only=True),
                    *access.volumes,
                ],
                networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=self._network), *access.networks],
                restart="unless-stopped",
                **UNPRIVILEGED,
                **service(
                    parent=self,
                    memory_mib=settings.memory_mib,
                    healthy=["CMD-SHELL", _HEALTHY % agent],
                    start_seconds=START_SECONDS,
                    ready_seconds=settings.start_timeout_seconds,
                    stop_seconds=settings.stop_timeout_seconds,
                    log_options={"max-size": f"{settings.log_max_size_mib}m", "max-file": str(settings.log_max_files)},
                    after=[*access.after, controller],
                ),
            )
            made[agent] = container.name
        self.register_outputs({})
        return made

    def _mount(self, *, read_only: bool) -> docker.ContainerVolumeArgs:
        return docker.ContainerVolumeArgs(
            volume_name=self._secrets, container_path=casc.AGENTS_FOLDER, read_only=read_only
        )
