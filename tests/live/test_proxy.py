"""`access: proxy` on a real engine, through a real HAProxy: what a pipeline needs works, and what it must not do fails.

Everything is asked through the proxy that the stack has deployed, as Jenkins' own user or by its socket. What refuses
has to be the proxy: an answer of the engine itself would not count.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import pytest

from tests.support.disguises import (
    CANARY,
    CREATE,
    MUTATIONS,
    PROXY,
    SMUGGLED,
    TARGET,
    V,
    chunked,
    is_the_proxys,
    request,
    send,
)
from tests.support.names import PREFIX
from tests.support.verbs import Verbs, clone, free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
JENKINS = f"{PREFIX}-filtered"
HOME = f"{JENKINS}-home"


@pytest.fixture(scope="module")
def verbs(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, controller: str) -> Iterator[Verbs]:
    """Bring up the stack that a closed network has, with names and ports of the test's own."""
    from offline import images  # noqa: PLC0415

    made = clone(tmp_path_factory.mktemp("proxy"), "proxy-offline")
    made.set(
        docker__proxy__containerName=PROXY,
        jenkins__containerName=JENKINS,
        jenkins__homeVolume=HOME,
        jenkins__httpPort=str(free_port()),
        jenkins__agentPort=str(free_port()),
    )
    target = engine.containers.run(
        images.BASE, ["sleep", "3600"], name=TARGET, detach=True, ports={"80/tcp": None}, init=True
    )
    try:
        made.first = made.run("up")
        yield made
    finally:
        made.run("down")
        for volume in engine.volumes.list(filters={"name": HOME}):
            volume.remove()
        target.remove(force=True, v=True)
        for image in (f"{TARGET}:built", f"{TARGET}:tagged"):
            with suppress(docker.errors.ImageNotFound):
                engine.images.remove(image, force=True)


def cli(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the docker client in Jenkins' container, as its user, as a job does."""
    return subprocess.run(
        ["docker", "exec", "-i", JENKINS, "docker", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def works(*words: str, stdin: str = "") -> str:
    done = cli(*words, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def entrance(verbs: Verbs, engine: docker.DockerClient) -> Path:
    """Give the proxy's socket as the host sees it."""
    found = Path(str(engine.volumes.get(PROXY).attrs["Mountpoint"])) / "docker.sock"
    try:
        found.stat()
    except OSError as error:
        pytest.skip(f"the proxy's socket is not open to whoever runs the tests: {error}")
    return found


def test_only_the_proxy_has_the_engines_socket(verbs: Verbs, engine: docker.DockerClient) -> None:
    def sources(name: str) -> list[str]:
        return [mount["Source"] for mount in engine.containers.get(name).attrs["Mounts"]]

    assert "/var/run/docker.sock" in sources(PROXY)
    assert not [source for source in sources(JENKINS) if source.endswith(".sock")]
    assert not engine.containers.get(JENKINS).attrs["HostConfig"]["GroupAdd"]
    inside = engine.containers.get(JENKINS)
    assert inside.exec_run(["ls", "/var/run/docker.sock"]).exit_code != 0
    assert inside.exec_run(["rm", "/run/ci-docker/docker.sock"], user="0").exit_code != 0


def test_the_proxy_is_confined(engine: docker.DockerClient, verbs: Verbs) -> None:
    found = engine.containers.get(PROXY).attrs
    host = found["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert not found["NetworkSettings"]["Ports"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] == 128 * 2**20
    status = subprocess.run(
        ["docker", "exec", PROXY, "cat", "/proc/1/status"], capture_output=True, text=True, check=True
    )
    assert re.search(r"^Uid:\s+99\s+99\s+99\s+99$", status.stdout, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0{16}$", status.stdout, re.MULTILINE)


def test_a_second_update_changes_nothing(verbs: Verbs) -> None:
    said = verbs.run("up")
    assert "Nothing changed" in said, said


def test_the_sample_pipeline_is_green(verbs: Verbs) -> None:
    assert "The container sees the workspace of this build." in verbs.run("sample")


def test_up_says_that_it_is_no_sandbox_and_status_tells_of_the_proxy(verbs: Verbs, engine: docker.DockerClient) -> None:
    assert "is no sandbox" in verbs.first
    said = verbs.run("status")
    assert re.search(rf"^proxy\s+{PROXY}: running, healthy", said, re.MULTILINE)
    assert f"version {engine.version()['Version']}, as user 1000" in said


def test_every_command_of_a_docker_pipeline_works(verbs: Verbs) -> None:
    engine_version = works("version", "--format", "{{.Server.Version}}")
    assert engine_version
    assert works("info", "--format", "{{.ServerVersion}}") == engine_version
    assert TARGET in works("ps", "--format", "{{.Names}}").split()
    image = works(
        "build", "-q", "-t", f"{TARGET}:built", "-", stdin="FROM alpine:latest\nRUN echo built > /x\n"
    ).strip()
    assert image.startswith("sha256:")
    # By a name with '/' and ':' in it, which is asked for as a container's first.
    assert works("inspect", "-f", "{{.Id}}", f"docker.io/library/{TARGET}:built").strip() == image
    assert image.removeprefix("sha256:")[:12] in works("images", "-q")
    own = works("ps", "-q", "--no-trunc", "--filter", f"name=^{JENKINS}$").strip()
    # As `inside` does it.
    made = works("run", "-t", "-d", "-u", "1000:1000", "--volumes-from", own, f"{TARGET}:built", "cat").strip()
    assert "cat" in works("top", made, "-eo", "pid,comm")
    assert works("exec", made, "cat", "/x") == "built\n"
    assert (
        works("exec", "-i", made, "sh", "-c", "cat; echo end", stdin="half a connection\n")
        == "half a connection\nend\n"
    )
    assert works("logs", made) == ""
    works("stop", "--time=1", made)
    works("rm", "-f", "--volumes", made)
    assert works("run", "--rm", "-i", "alpine:latest", "cat", stdin="attached\n") == "attached\n"
    assert "80/tcp" in works("port", TARGET)
    works("tag", f"{TARGET}:built", f"{TARGET}:tagged")
    works("rmi", f"{TARGET}:tagged")


@pytest.mark.parametrize(
    "words",
    [
        ["push", f"localhost:1/{PREFIX}:none"],
        ["pull", f"localhost:1/{PREFIX}:none"],
        ["login", "--username", "u", "--password-stdin", "localhost:1"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_needs_a_registry_gets_as_far_as_the_engine(verbs: Verbs, words: list[str]) -> None:
    said = cli(*words, stdin="p").stderr
    assert "refused by the proxy" not in said
    assert re.search(r"localhost:1|does not exist locally|connection refused", said), said


FORBIDDEN = {
    "swarm init": "POST /v1.41/swarm/init",
    "plugin ls": "GET /v1.41/plugins",
    "secret ls": "GET /v1.41/secrets",
    f"network create {CANARY}": "POST /v1.41/networks/create",
    "network ls": "GET /v1.41/networks",
    f"volume create {CANARY}": "POST /v1.41/volumes/create",
    "volume ls": "GET /v1.41/volumes",
    "volume prune --force": "POST /v1.41/volumes/prune",
    "system prune --force": "POST /v1.41/containers/prune",
    "system df": "GET /v1.41/system/df",
    "system events --since 1h --until 1s": "GET /v1.41/events",
    f"cp {TARGET}:/etc/hostname -": f"GET /v1.41/containers/{TARGET}/archive",
    f"update --memory 100m {TARGET}": f"POST /v1.41/containers/{TARGET}/update",
    f"commit {TARGET} x": "POST /v1.41/commit",
    f"restart {TARGET}": f"POST /v1.41/containers/{TARGET}/restart",
    f"export {TARGET}": f"GET /v1.41/containers/{TARGET}/export",
    "save alpine:latest": "GET /v1.41/images/get",
    f"exec --privileged {TARGET} id": "Privileged makes a container root on the host",
    f"exec {PROXY} id": "it is about the proxy itself",
    f"rm -f {PROXY}": "it is about the proxy itself",
    f"logs {PROXY}": "it is about the proxy itself",
    "build --network host -": "docker build is not given --network host",
    "build --security-opt seccomp=unconfined -": "docker build is not given --network host, --security-opt",
}
"""Commands, and words of what the client prints."""


@pytest.mark.parametrize("command", FORBIDDEN)
def test_a_command_that_a_pipeline_does_not_need_is_refused_in_words(verbs: Verbs, command: str) -> None:
    done = cli(*command.split(), stdin="FROM alpine:latest\n")
    assert done.returncode != 0
    assert "refused by the proxy of this CI (ci:docker.access: proxy): " in done.stderr
    # The client takes the engine's version of the API, if that is older than its own.
    assert FORBIDDEN[command] in re.sub(r"/v1\.\d+/", "/v1.41/", done.stderr)


ESCAPES = {
    "--privileged": "Privileged makes a container root on the host",
    "-v /:/host": "mounts a folder of the host",
    "-v /var/run:/x:ro": "mounts a folder of the host",
    "-v /proc:/x": "mounts a folder of the host",
    "--mount type=bind,source=/,target=/host": "mounts what is neither a volume nor a tmpfs",
    "--mount type=volume,target=/h,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/": "driver of a volume",
    "--pid host": "(--pid)",
    f"--pid container:{PROXY}": "(--pid)",
    "--ipc host": "(--ipc)",
    "--uts host": "(--uts)",
    "--userns host": "(--userns)",
    "--network host": "(--network host)",
    "--cgroupns host": "(--cgroupns)",
    "--cgroup-parent /": "(--cgroup-parent)",
    "--cap-add SYS_ADMIN": "(--cap-add)",
    "--cap-add ALL": "(--cap-add)",
    "--device /dev/null": "(--device)",
    "--device-cgroup-rule 'b *:* rwm'": "(--device-cgroup-rule)",
    "--security-opt seccomp=unconfined": "(--security-opt)",
    "--security-opt systempaths=unconfined": "confined",
    "--runtime io.example.other": "(--runtime)",
    "--sysctl net.ipv4.ip_forward=1": "(--sysctl)",
    f"--volumes-from {PROXY}": "the mounts of the proxy",
    f"-v {PROXY}:/x": "the volume in which the proxy has its socket",
}
"""Ways out of a container, as options of `docker run`, and words of what the client prints."""


@pytest.mark.parametrize("options", ESCAPES)
def test_a_known_way_out_of_a_container_is_refused_in_words(verbs: Verbs, options: str) -> None:
    done = cli("run", "--rm", *shlex.split(options), "alpine:latest", "true")
    assert done.returncode != 0
    assert "refused by the proxy of this CI" in done.stderr
    assert ESCAPES[options] in done.stderr


def test_the_proxy_knows_itself_by_any_beginning_of_its_id(verbs: Verbs, engine: docker.DockerClient) -> None:
    own = str(engine.containers.get(PROXY).id)
    for name in (own, own[:12], own[:4], own[:20]):
        assert "it is about the proxy itself" in cli("exec", name, "id").stderr
        assert "the mounts of the proxy" in cli("run", "--rm", "--volumes-from", name, "alpine:latest").stderr


def test_what_is_not_refused_is_what_the_documentation_says(verbs: Verbs) -> None:
    """A filter by request is no sandbox: other containers of the host are as open to a job as its own."""
    assert works("exec", "-u", "0", TARGET, "id", "-u") == "0\n"
    assert "uid=0" in works("run", "--rm", "--volumes-from", TARGET, "alpine:latest", "id")
    text = " ".join((ROOT / "docs/how-to/proxy.md").read_text().split())
    assert "run commands in any other container of the host, also as its root" in text
    assert "take the mounts of any other container" in text


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_request_in_disguise_does_not_reach_the_engine(
    entrance: Path, engine: docker.DockerClient, kind: str
) -> None:
    answer = send(entrance, MUTATIONS[kind])
    assert is_the_proxys(answer), answer
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(CANARY)


@pytest.mark.parametrize(
    "second",
    [
        SMUGGLED,
        request(f"GET {V}/volumes"),
        f"POST {V}/volumes/prune HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["create", "list", "prune"],
)
def test_a_request_behind_another_on_one_connection_is_judged_too(
    entrance: Path, engine: docker.DockerClient, second: str
) -> None:
    answer = send(entrance, request(f"GET {V}/info") + second, until="refused by the proxy")
    assert answer.lower().count("api-version:") == 1
    assert "refused by the proxy" in answer
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(CANARY)


def test_a_body_without_its_length_is_not_even_judged(entrance: Path) -> None:
    chunks = request(f"POST {V}/containers/create", "", "Transfer-Encoding: chunked") + chunked(CREATE)
    assert "its body comes without its length" in send(entrance, chunks)


def test_a_refused_takeover_leaves_nothing_to_write_into(entrance: Path, engine: docker.DockerClient) -> None:
    """Were the connection handed over although the engine said no, the next bytes would be a request unjudged."""
    takeover = request(f"POST {V}/exec/{'0' * 64}/start", '{"Detach":false}', "Connection: Upgrade", "Upgrade: tcp")
    answer = send(entrance, takeover + SMUGGLED)
    assert "101" not in answer.partition("\r\n")[0]
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(CANARY)


def test_the_log_tells_what_was_refused_without_the_query(verbs: Verbs, engine: docker.DockerClient) -> None:
    secret = "canary-build-argument"
    cli("build", "--network", "host", "--build-arg", f"TOKEN={secret}", "-", stdin="FROM alpine:latest\n")
    log = engine.containers.get(PROXY).logs().decode()
    assert re.search(r"^refused 403 POST /v1\.\d+/build$", log, re.MULTILINE)
    assert secret not in log
    assert not re.search(r"^(?!refused ).* /v1\.", log, re.MULTILINE)  # what works is not in it


def test_a_build_whose_client_is_gone_ends(entrance: Path, engine: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM alpine:latest\nRUN sleep 3600 # {PREFIX}-aborted\n")
    env = {**os.environ, "DOCKER_HOST": f"unix://{entrance}", "DOCKER_BUILDKIT": "0"}
    with subprocess.Popen(
        ["docker", "build", "--no-cache", str(tmp_path)], env=env, stdout=subprocess.DEVNULL
    ) as client:

        def steps() -> list[Any]:
            return [
                made for made in engine.containers.list() if f"{PREFIX}-aborted" in str(made.attrs["Config"]["Cmd"])
            ]

        eventually(steps)
        client.kill()
    eventually(lambda: not steps())


def test_a_proxy_that_dies_comes_back_and_the_next_call_works(verbs: Verbs, engine: docker.DockerClient) -> None:
    container = engine.containers.get(PROXY)
    before = container.attrs["State"]["StartedAt"]
    try:
        os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    except PermissionError:
        pytest.skip("to kill the proxy needs root")
    begun = time.monotonic()
    eventually(lambda: cli("version").returncode == 0)
    assert time.monotonic() - begun < 15
    assert engine.containers.get(PROXY).attrs["State"]["StartedAt"] != before
    said = verbs.run("up")
    assert "Nothing changed" in said, said


def test_no_secret_is_in_what_the_proxy_shows(verbs: Verbs, engine: docker.DockerClient) -> None:
    password = verbs.run("password").strip()
    assert len(password) >= 24
    container = engine.containers.get(PROXY)
    assert password not in json.dumps(container.attrs) + container.logs().decode() + verbs.first
