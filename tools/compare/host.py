"""The Docker ways: this project's stacks on the machine's engine, builds by the docker client in their controllers."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import docker
import docker.errors

from components import labels
from ops import stackfile
from ops.clone import read_yaml
from ops.toolchain.errors import Trouble
from tools.bench.measure import Command, run
from tools.compare import elsewhere, engine, nested
from tools.compare.meter import Scope, measuring
from tools.compare.ways import CONTROLLER, PREFIX, Built

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.lab import Lab
    from tools.bench.measure import Deadline
    from tools.bench.programs import Program, Programs
    from tools.compare.elsewhere import Elsewhere
    from tools.compare.figures import Nested
    from tools.compare.registry import Registry
    from tools.compare.ways import Way

TRUST: Final = "/etc/docker/certs.d"
"""Where an engine looks for the authority of a registry's certificate, at each pull and push. Source: Docker's manual,
"Verify repository client with certificates"."""

SOCKET: Final = "/docker.sock"
"""How the paths of engines' sockets end."""

_FOLDER: Final = "/tmp/ci-compare"  # noqa: S108 - in a container of our own
_UID: Final = 1000

_BUILD: Final = """\
set -e
export DOCKER_CONFIG={folder}/login
cd {folder}/{context}
read -r begun _ < /proc/uptime
docker build --tag {reference} .
docker push {reference}
read -r ended _ < /proc/uptime
echo "took $begun $ended"
"""
"""What a job's step would do. Timed inside, so that starting the shell has no part in it; /proc/uptime counts 10 ms."""

_CLEAR: Final = """\
mine() {{
    docker image ls --format '{{{{.Repository}}}} {{{{.Tag}}}} {{{{.ID}}}}' |
        awk -v registry={registry}/ -v base={base} \
            'index($1, registry) == 1 || $1 == base {{ print $2 == "<none>" ? $3 : $1 ":" $2 }}'
}}
mine | xargs -r docker image rm --force > /dev/null
test -z "$(mine)"
"""
"""Takes the images of former builds away, and the base: the next build has to pull it."""


class HostWays:
    """The stacks, one for each way, and what is asked of them."""

    def __init__(self, programs: Programs, host: str, client: Path, deadline: Deadline) -> None:
        """Take the project's copy, the engine of this machine, and a docker client for it."""
        self._programs, self._host, self._client, self._deadline = programs, host, client, deadline
        self._sdk = docker.DockerClient(base_url=host, timeout=120)
        self._processes = engine.processes(host)
        self._elsewhere: Elsewhere | None = None
        driver = self._sdk.info().get("CgroupDriver")
        if driver != "cgroupfs":
            raise Trouble(
                f"The engine's control groups are the {driver} driver's, and where that has them is not known here.",
                'Compare with an engine that has "exec-opts": ["native.cgroupdriver=cgroupfs"] in its daemon.json.',
            )

    def close(self) -> None:
        """Close the connections to the engine."""
        self._sdk.close()

    def remove(self, way: Way) -> None:
        """Remove what a way's stack has made on the engine, if there is any of it."""
        chosen: dict[str, Any] = {"label": f"{labels.STACK}={stack(way)}"}
        for container in self._sdk.containers.list(all=True, filters=chosen, ignore_removed=True):
            container.remove(force=True, v=True)
        kinds: tuple[Any, ...] = (self._sdk.volumes, self._sdk.networks)
        for kind in kinds:
            for found in kind.list(filters=chosen):
                found.remove()

    def start_elsewhere(self, lab: Lab, root: Path, steps: contextlib.ExitStack) -> None:
        """Start the engine that stands for one on another machine; `steps` ends it."""
        network = self._sdk.networks.get("bridge").attrs
        self._elsewhere = steps.enter_context(elsewhere.running(lab, root, network))

    def deploy(self, way: Way, ports: tuple[int, int]) -> Program:
        """Bring a way's stack up.

        Raises:
            Trouble: when it can't be.
        """
        more = self._elsewhere.settings() if way.engine == "elsewhere" and self._elsewhere else {}
        committed = read_yaml(self._programs.clone.committed(way.stack))
        plain = {key: value for key, value in committed.items() if key not in stackfile.ENCRYPTION}
        name = controller(way)
        settings = {
            "config": {
                "ci:docker": {"host": self._host, **way.settings, **more},
                "ci:jenkins": {
                    "image": CONTROLLER,
                    "containerName": name,
                    "homeVolume": name,
                    "httpPort": ports[0],
                    "agentPort": ports[1],
                },
            }
        }
        program = self._programs.configure(stack(way), stackfile.merge(plain, settings))
        run(program.command("up", "--yes", "--skip-preview"), self._deadline)
        return program

    def log_in(self, way: Way, registry: Registry, base_host: str) -> None:
        """Give a controller the registry's login, and the engine that it builds on the registries' authority."""
        self._put(controller(way), {"login/config.json": registry.docker_config()})
        if way.engine != "beside":
            return  # an engine of this machine reads this machine's files
        for container in self._others(way):
            files = {f"{host}/ca.crt": registry.ca.read_text(encoding="utf-8") for host in (registry.host, base_host)}
            self._put(container.name, files, folder=TRUST)

    def put(self, way: Way, context: str, files: Mapping[str, str]) -> None:
        """Put files of a context into a controller, as a checkout would."""
        self._put(controller(way), {f"{context}/{path}": text for path, text in files.items()})

    def clear(self, way: Way, registry: Registry, base: str, deadline: Deadline | None = None) -> None:
        """Let the engine that a way builds on forget the base and all images of former builds.

        Args:
            way: which.
            registry: where the images were pushed to.
            base: the image that they were built from.
            deadline: another than that of all the measuring.
        """
        repository = base.rpartition(":")[0]
        script = _CLEAR.format(registry=shlex.quote(registry.host), base=shlex.quote(repository))
        if way.engine != "host":
            self._inside(way, script)
        else:
            self._beside("sh", "-c", script, deadline=deadline)

    def build(self, way: Way, context: str, reference: str) -> Built:
        """Build once, by the client in the way's controller, and push.

        Raises:
            Trouble: when it fails, with the end of its log, or is not done in time.
        """
        script = _BUILD.format(folder=_FOLDER, context=context, reference=reference)
        with measuring(self.scope(way)) as usage:
            log = self._inside(way, script)
        begun, ended = re.findall(r"^took (\S+) (\S+)$", log, re.MULTILINE)[-1]
        digest = re.findall(r"digest: (sha256:[0-9a-f]{64})", log)[-1]
        return Built(seconds=float(ended) - float(begun), cpu=usage.cpu, peak=usage.peak, digest=digest)

    def build_beside(self, files: Mapping[str, str], folder: Path) -> str:
        """Build on the host's own engine, as somebody at the host would; give the image's id.

        Args:
            files: the context.
            folder: where to write it, one that is not there yet or is of a former build.
        """
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            # As in the controller: the engine's cache looks at this too.
            file.chmod(0o644)
            file.parent.chmod(0o755)
        name = f"{PREFIX}beside"
        self._beside("docker", "build", "--tag", name, str(folder))
        image = str(self._sdk.images.get(name).id)
        self._beside("docker", "image", "rm", name)
        return image

    def _beside(self, *words: str, deadline: Deadline | None = None) -> str:
        env = {"PATH": f"{self._client.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "DOCKER_HOST": self._host}
        return run(Command(words=words, cwd=Path("/"), env=env), deadline or self._deadline).output

    def scope(self, way: Way) -> Scope:
        """Give where a way's work is done: in its engine, in the engine's containers, in the client."""
        return Scope(
            parent="docker",
            engine=frozenset(str(container.id) for container in self._others(way)),
            client=frozenset({str(self._sdk.containers.get(controller(way)).id)}),
            processes=self._programs_of(way),
        )

    def _programs_of(self, way: Way) -> tuple[int, ...]:
        if way.engine == "elsewhere":
            return self._elsewhere.processes if self._elsewhere else ()
        return self._processes if way.engine == "host" else ()

    def facts(self, way: Way) -> list[dict[str, Any]]:
        """Give what the engine says of each of a way's containers, the controller first."""
        containers = [self._sdk.containers.get(controller(way)), *self._others(way)]
        return [dict(container.attrs) for container in containers]

    def tried(self, way: Way) -> Nested:
        """Try out what the engine takes that a way's stack has in a container."""
        _, engine_in_container = self.facts(way)
        return nested.tried(self._sdk, engine_in_container)

    def run(self, way: Way, script: str) -> str:
        """Run a script in a way's controller, and give what it prints.

        Raises:
            Trouble: when it fails, with the end of what it printed.
        """
        return self._inside(way, f"set -e\nexport DOCKER_CONFIG={_FOLDER}/login\n{script}")

    def _inside(self, way: Way, script: str) -> str:
        words = (str(self._client), "--host", self._host, "exec", controller(way), "sh", "-c", script)
        return run(Command(words=words, cwd=Path("/"), env={"PATH": "/usr/bin:/bin"}), self._deadline).output

    def _others(self, way: Way) -> list[Any]:
        """Give the containers of a way's stack beside the controller: an engine of its own, a proxy."""
        chosen: dict[str, Any] = {"label": f"{labels.STACK}={stack(way)}"}
        found = self._sdk.containers.list(filters=chosen)
        return [container for container in found if container.name != controller(way)]

    def _put(self, container: str, files: Mapping[str, str], *, folder: str = _FOLDER) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for parent in sorted({str(each) for path in files for each in Path(path).parents} - {"."}):
                tar.addfile(_owned(f"{folder}/{parent}", tarfile.DIRTYPE))
            for path, text in files.items():
                info = _owned(f"{folder}/{path}", tarfile.REGTYPE)
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
        self._sdk.containers.get(container).put_archive("/", data.getvalue())


def _owned(path: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.mode = kind, 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.uid = info.gid = _UID
    return info


def stack(way: Way) -> str:
    """Give the name of a way's stack."""
    return f"compare-{way.name}"


def controller(way: Way) -> str:
    """Give the name of a way's controller and of its home volume."""
    return f"{PREFIX}{way.name}"


@contextlib.contextmanager
def trusted(hosts: tuple[str, ...], ca: Path) -> Any:  # noqa: ANN401 - a generator's
    """Let the engines of this machine trust the certificates of registries, while the block runs."""
    made = []
    try:
        for host in hosts:
            folder = Path(TRUST) / host
            if folder.exists():
                raise Trouble(f"{folder} is there already.", "It is left over from a run that was killed: remove it.")
            folder.mkdir(parents=True)
            made.append(folder)
            (folder / "ca.crt").write_bytes(ca.read_bytes())
        yield
    finally:
        for folder in made:
            (folder / "ca.crt").unlink(missing_ok=True)
            folder.rmdir()
