"""`access: proxy` on a real engine, through a real HAProxy: what a pipeline needs works, and what it must not do fails.

Everything is asked through the proxy that the stack has deployed. "The engine answered" is told by its own header, so a
refusal that came from the engine itself would not count as the proxy's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import pytest

from tests.support.stand_in import eventually
from tests.support.verbs import Verbs, clone, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


ROOT = Path(__file__).resolve().parents[2]
JENKINS = "ci-live-filtered"
PROXY = "ci-live-filter"
HOME = "ci_live_filtered_home"
TARGET = "ci-live-filter-target"
"""A container beside the stack, for commands that need one."""

CANARY = "ci-live-filter-canary"
"""A volume that only a request which got past the proxy would make."""

V = "/v1.41"


@pytest.fixture(scope="module")
def verbs(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, controller: str) -> Iterator[Verbs]:
    """Bring up the stack that a closed network has, with names and ports of the test's own."""
    from tools.offline import images  # noqa: PLC0415

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


def send(entrance: Path, text: str | bytes) -> str:
    """Send bytes as they are; give all that is answered within a moment of silence, or until the end."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(12)  # longer than the proxy waits for a body
        made.connect(str(entrance))
        made.sendall(text.encode() if isinstance(text, str) else text)
        answer = b""
        with suppress(TimeoutError, ConnectionError):
            while piece := made.recv(65536):
                answer += piece
                made.settimeout(0.15)
    return answer.decode(errors="replace")


def request(line: str, body: str = "", *headers: str, version: str = "1.1") -> str:
    """Write a request with a JSON body, if there is one."""
    about = [f"Content-Length: {len(body.encode())}", "Content-Type: application/json"] if body else []
    return "\r\n".join([f"{line} HTTP/{version}", "Host: docker", *about, *headers, "", body])


def reached(answer: str) -> bool:
    """Say whether the engine has answered."""
    return "api-version:" in answer.lower()


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
    status = str(engine.containers.get(PROXY).exec_run(["cat", "/proc/1/status"]).output, "utf-8")
    assert re.search(r"^Uid:\s+99\s+99\s+99\s+99$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0{16}$", status, re.MULTILINE)


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
        ["push", "localhost:1/ci-live-filter:none"],
        ["pull", "localhost:1/ci-live-filter:none"],
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
    "network create ci-live-filter-canary": "POST /v1.41/networks/create",
    "network ls": "GET /v1.41/networks",
    "volume create ci-live-filter-canary": "POST /v1.41/volumes/create",
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
    assert FORBIDDEN[command] in done.stderr


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


CREATE = json.dumps({"Image": "alpine:latest", "Cmd": ["true"], "HostConfig": {}})
SMUGGLED = request(f"POST {V}/volumes/create", json.dumps({"Name": CANARY}))


def evil(**host: Any) -> str:
    return json.dumps({"Image": "alpine:latest", "HostConfig": host})


def chunked(body: str) -> str:
    return f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"


def created(body: str, *headers: str) -> str:
    return request(f"POST {V}/containers/create", body, *headers)


BINDS = '{"Image":"alpine:latest","HostConfig":{%s}}'
MUTATIONS: dict[str, str] = {
    # The path.
    "two slashes": request(f"POST {V}//volumes/prune"),
    "two slashes in front": request(f"POST /{V}/volumes/prune"),
    "two slashes before a known one": request(f"GET {V}//info"),
    "a dot": request(f"GET {V}/./info"),
    "two dots": request(f"POST {V}/containers/../volumes/prune"),
    "two dots in code": request(f"POST {V}/containers/%2e%2e/volumes/prune"),
    "a slash in code": request(f"POST {V}/containers%2fcreate/../../volumes/prune"),
    "a letter in code": request(f"GET {V}/%69nfo"),
    "code of code": request(f"POST {V}/images/x%252f..%252f..%252fvolumes/prune"),
    "an image's name that climbs": request(f"DELETE {V}/images/../volumes/{CANARY}"),
    "a backslash": request(f"POST {V}/containers\\..\\volumes\\prune"),
    "a null in code": request(f"GET {V}/info%00/json"),
    "capital letters": request(f"GET {V}/INFO"),
    "a slash at the end": request(f"GET {V}/info/"),
    "a parameter of the path": request(f"GET {V}/info;a=b"),
    "a fragment": request(f"GET {V}/volumes#/info"),
    "a space in front": request(f"GET  {V}/volumes"),
    "the known one first": request(f"GET {V}/info/../volumes"),
    "the whole address": request(f"POST http://docker{V}/volumes/prune"),
    "the whole address of a known one": request(f"GET http://docker{V}/info"),
    "the whole address of another scheme": request(f"GET unix://docker{V}/info"),
    "no path": request("GET docker"),
    "a star": request("OPTIONS *"),
    # The version.
    "an old version": request("GET /v1.23/info"),
    "a start as it once was": request(f"POST /v1.20/containers/{TARGET}/start", evil(Privileged=True)),
    "two versions": request(f"POST {V}{V}/containers/create", CREATE),
    "a version of zeros": request("GET /v1.0041/info"),
    "a version beyond": request("GET /v2.0/info"),
    # The method.
    "a method in small letters": request(f"get {V}/info"),
    "an override by a header": request(f"GET {V}/volumes/prune", "", "X-HTTP-Method-Override: POST"),
    "a method of a client's own": request(f"FOO {V}/info"),
    "a connection to elsewhere": request("CONNECT docker:80"),
    "a trace": request(f"TRACE {V}/info"),
    # The query.
    "a second key": request(f"POST {V}/build?networkmode=default&networkmode=host"),
    "a key in code": request(f"POST {V}/build?network%6dode=host"),
    "a value in code": request(f"POST {V}/build?networkmode=%68ost"),
    "a key after a semicolon": request(f"POST {V}/build?t=a;networkmode=host"),
    "a context to fetch": request(f"POST {V}/build?remote=http://192.0.2.1/x.tar"),
    "BuildKit by its version": request(f"POST {V}/build?version=2&remote=http://192.0.2.1/x.tar"),
    "a question mark more": request(f"POST {V}/build??networkmode=host"),
    "an image from a stream": request(f"POST {V}/images/create?fromSrc=-"),
    "a checkpoint of the host": request(f"POST {V}/containers/{TARGET}/start?checkpoint=a&checkpoint-dir=/"),
    "a form for a query": request(
        f"POST {V}/build", "", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"
    ),
    "a form beside a type": request(
        f"POST {V}/build", "", "Content-Type: application/x-tar", "Content-Type: application/x-www-form-urlencoded"
    ),
    # The protocol.
    "HTTP of before": request("GET /info", version="1.0"),
    "HTTP of once": "GET /info\r\n\r\n",
    "a tunnel to BuildKit": request("POST /grpc", "", "Connection: Upgrade", "Upgrade: h2c"),
    "a tunnel for a session": request("POST /session", "", "Connection: Upgrade", "Upgrade: h2c"),
    "HTTP/2 at once": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # Two requests for one.
    "a length and chunks": created(CREATE, "Transfer-Encoding: chunked"),
    "chunks alone": request(f"POST {V}/containers/create", "", "Transfer-Encoding: chunked")
    + chunked(evil(Privileged=True)),
    "chunks in disguise": request(f"POST {V}/containers/create", "", "Transfer-Encoding : chunked") + chunked(CREATE),
    "chunks of a kind": request(f"POST {V}/auth", "", "Transfer-Encoding: xchunked") + SMUGGLED,
    "two lengths": request(f"POST {V}/auth", "", "Content-Length: 2", "Content-Length: 0") + "{}" + SMUGGLED,
    "a length below nothing": request(f"POST {V}/auth", "", "Content-Length: -1") + SMUGGLED,
    "a length with a sign": request(f"POST {V}/containers/create", "", "Content-Length: +2") + "{}",
    "a body that does not come": request(f"POST {V}/containers/create", "", "Content-Length: 900")
    + evil(Privileged=True),
    "a header over two lines": request(f"POST {V}/volumes/create", json.dumps({"Name": CANARY}), "A: b\r\n c: d"),
    "a line feed alone": f"GET {V}/volumes HTTP/1.1\nHost: docker\n\n",
    # The body.
    "a body without an end": created("x" * 60_000),
    "a key in small letters": created(BINDS % '"privileged":true'),
    "a key in any letters": created(BINDS % '"pRiViLeGeD":true'),
    "a key in code of JSON": created(BINDS % '"\\u0050rivileged":true'),
    "a key with a long s": created(BINDS % '"Bind\u017f":["/:/h"]'),
    "a key twice": created(BINDS % '"Privileged":false,"Privileged":true'),
    "space in between": created(BINDS % '"Privileged" \n\t:\r\n true'),
    "a path in code of JSON": created(BINDS % '"Binds":["\\u002f:/h"]'),
    "a path with an escaped slash": created(BINDS % '"Binds":["\\/:/h"]'),
    "a path behind a volume": created(BINDS % '"Binds":["v]:/x",null,"/:/h"]'),
    "a capability as a word": created(BINDS % '"CapAdd":"ALL"'),
    "two configurations": created('{"HostConfig":{},"Image":"alpine:latest","HostConfig":{"Privileged":true}}'),
    "the host's network by a key": created(
        '{"Image":"alpine:latest","NetworkingConfig":{"EndpointsConfig":{"x":{},"host":{}}}}'
    ),
    "a second value behind": created(evil() + evil(Privileged=True)),
    "another key's string before": created(BINDS % '"Env":["\\"Privileged\\": false"],"Privileged":true'),
}
"""What a client of ill will may send. The engine must answer none of it."""


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_request_in_disguise_does_not_reach_the_engine(
    entrance: Path, engine: docker.DockerClient, kind: str
) -> None:
    answer = send(entrance, MUTATIONS[kind])
    assert not reached(answer), answer
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
    answer = send(entrance, request(f"GET {V}/info") + second)
    assert answer.lower().count("api-version:") == 1
    assert "refused by the proxy" in answer
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(CANARY)


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
    assert re.search(r"^refused 403 POST /v1\.41/build$", log, re.MULTILINE)
    assert secret not in log
    assert not re.search(r"GET /v1\.41/info$", log, re.MULTILINE)


def test_a_build_whose_client_is_gone_ends(entrance: Path, engine: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine:latest\nRUN sleep 3600 # ci-live-filter-aborted\n")
    env = {**os.environ, "DOCKER_HOST": f"unix://{entrance}", "DOCKER_BUILDKIT": "0"}
    with subprocess.Popen(
        ["docker", "build", "--no-cache", str(tmp_path)], env=env, stdout=subprocess.DEVNULL
    ) as client:

        def steps() -> list[Any]:
            return [
                made
                for made in engine.containers.list()
                if "ci-live-filter-aborted" in str(made.attrs["Config"]["Cmd"])
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
