"""`access: proxy` on a real engine, through a real HAProxy: what a pipeline needs works, and what it must not do fails.

Everything is asked through the proxy that the stack has deployed, as Jenkins' own user or by its socket. What refuses
has to be the proxy: an answer of the engine itself would not count.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Any

import docker
import docker.errors
import pytest
import yaml

from offline import images
from tests.support.names import PREFIX, stable
from tests.support.proxy_attacks import CANARY
from tests.support.verbs import Verbs, clone
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
JENKINS = f"{PREFIX}-filtered"
PROXY = f"{PREFIX}-filter"
TARGET = f"{PROXY}-target"
"""A container beside the stack, for commands that need one."""

IMAGE, CONTROLLER = f"{PROXY}:1", f"{JENKINS}:1"
"""The images of the proxy and the controller, under names that no verb makes anew."""


@pytest.fixture(scope="module")
def verbs(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, controller: str) -> Iterator[Verbs]:
    """Bring up the stack that a closed network has, and a container beside it."""
    images.ensure("unix:///var/run/docker.sock", [images.PROXY])
    engine.images.get(images.PROXY).tag(*IMAGE.split(":"))
    engine.images.get(controller).tag(*CONTROLLER.split(":"))
    made = clone(tmp_path_factory.mktemp("proxy"), "proxy")
    target = engine.containers.run(
        images.BASE, ["sleep", "3600"], name=TARGET, detach=True, ports={"80/tcp": None}, init=True
    )
    try:
        with made.deployed(
            JENKINS, jenkins={"image": CONTROLLER}, docker={"proxy": {"containerName": PROXY, "image": IMAGE}}
        ):
            yield made
    finally:
        target.remove(force=True, v=True)
        for image in (f"{TARGET}:built", f"{TARGET}:tagged", IMAGE, CONTROLLER):
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


def test_the_sample_pipeline_is_green(verbs: Verbs, sample_image: str) -> None:
    assert "This is a simple file." in verbs.run("sample")


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


def test_what_hardens_a_container_and_what_compose_needs_work_too(verbs: Verbs, engine: docker.DockerClient) -> None:
    try:
        works("network", "create", f"{TARGET}-net")
        works("volume", "create", f"{TARGET}-cache")
        hardened = "--cap-drop ALL --cap-add CHOWN --security-opt no-new-privileges --read-only --tmpfs /tmp --init"
        mounts = f"--mount type=volume,source={TARGET}-cache,target=/c,volume-driver=local --link {TARGET}:db"
        works("run", "--rm", *hardened.split(), *mounts.split(), "alpine:latest", "touch", "/c/x", "/tmp/y")
        works("run", "--rm", "--network", f"{TARGET}-net", "--sysctl", "net.core.somaxconn=64", "alpine:latest", "true")
        works("cp", f"{TARGET}:/etc/hostname", "-")
        tmpfs = "/t:rw,exec,size=1m,mode=700,uid=1,gid=1,nr_inodes=10k"
        mounted = works("run", "--rm", "--tmpfs", tmpfs, "alpine:latest", "grep", " /t ", "/proc/mounts")
        assert re.search(r"^tmpfs /t tmpfs rw,nosuid,nodev,.*size=1024k,nr_inodes=10240,mode=700,uid=1,gid=1", mounted)
        assert "Local Volumes" in works("system", "df")
        assert "refused by the proxy" not in cli("search", "busybox").stderr
        assert TARGET in works("stats", "--no-stream", "--format", "{{.Name}}", TARGET)
    finally:
        for kind in ("network", "volume"):
            cli(kind, "rm", f"{TARGET}-{'net' if kind == 'network' else 'cache'}")


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


NAMES = {"PROXY": PROXY, "TARGET": TARGET, "CANARY": CANARY, "IMAGE": IMAGE, "CONTROLLER": CONTROLLER}
_TEXT = Path(__file__).with_name("proxy_commands.yaml").read_text()
REFUSED = yaml.safe_load(Template(_TEXT).substitute(NAMES))


@pytest.mark.parametrize("command", REFUSED["forbidden"], ids=stable)
def test_a_command_that_a_pipeline_does_not_need_is_refused_in_words(verbs: Verbs, command: str) -> None:
    done = cli(*command.split(), stdin="FROM alpine:latest\n")
    assert done.returncode != 0
    assert "refused by the proxy of this CI (ci:docker.access: proxy): " in done.stderr
    assert REFUSED["forbidden"][command] in done.stderr


@pytest.mark.parametrize("options", REFUSED["escapes"], ids=stable)
def test_a_known_way_out_of_a_container_is_refused_in_words(verbs: Verbs, options: str) -> None:
    done = cli("run", "--rm", *shlex.split(options), "alpine:latest", "true")
    assert done.returncode != 0
    assert "refused by the proxy of this CI" in done.stderr
    assert REFUSED["escapes"][options] in done.stderr


def test_the_proxy_knows_itself_by_any_beginning_of_its_id(verbs: Verbs, engine: docker.DockerClient) -> None:
    own = str(engine.containers.get(PROXY).id)
    for name in (own, own[:12], own[:4], own[:20]):
        assert "that is not the proxy's" in cli("exec", name, "id").stderr
        for option in ("--volumes-from", "--link"):
            assert "that is not the proxy's" in cli("run", "--rm", option, name, "alpine:latest").stderr


def test_a_link_gives_no_other_container_the_proxys_mounts(verbs: Verbs, engine: docker.DockerClient) -> None:
    """The engine knows a linked container by the name behind the new one's, too."""
    name = f"{TARGET}-hop"
    try:
        works("create", "--name", name, "--link", f"{TARGET}:db", "alpine:latest")
        assert engine.containers.get(f"{name}/db").name == TARGET
        assert "refused by the proxy" in cli("exec", f"{name}/db", "id").stderr
        assert "VolumesFrom" in cli("run", "--rm", "--volumes-from", f"{name}/db", "alpine:latest").stderr
    finally:
        works("rm", "-f", name)


def test_an_image_under_the_deployed_ones_name_is_not_deployed(verbs: Verbs, engine: docker.DockerClient) -> None:
    """Whoever reaches the engine in another way can move the name. The next update says so and keeps its image."""
    before = engine.containers.get(PROXY).attrs["Image"]
    try:
        engine.images.get("alpine:latest").tag(*IMAGE.split(":"))
        said = verbs.run("up")
        assert "names another image on the engine's host now" in said
        assert engine.containers.get(PROXY).attrs["Image"] == before
    finally:
        engine.images.get(before).tag(*IMAGE.split(":"))


def test_what_is_not_refused_is_what_the_documentation_says(verbs: Verbs) -> None:
    """A filter by request is no sandbox: other containers of the host are as open to a job as its own."""
    assert works("exec", "-u", "0", TARGET, "id", "-u") == "0\n"
    assert "uid=0" in works("run", "--rm", "--volumes-from", TARGET, "alpine:latest", "id")
    text = " ".join((ROOT / "docs/how-to/proxy.md").read_text().split())
    assert "run commands in any other container of the host, even as root" in text
    assert "use the mounts of any other container" in text


def test_a_build_whose_client_is_gone_ends(entrance: Path, engine: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM alpine:latest\nRUN sleep 3600 # {PREFIX}-aborted\n")
    env = {**os.environ, "DOCKER_HOST": f"unix://{entrance}", "DOCKER_BUILDKIT": "0"}
    with subprocess.Popen(
        ["docker", "build", "--no-cache", str(tmp_path)], env=env, stdout=subprocess.DEVNULL
    ) as client:

        def steps() -> list[Any]:
            there = engine.containers.list(ignore_removed=True)
            return [made for made in there if f"{PREFIX}-aborted" in str(made.attrs["Config"]["Cmd"])]

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
    eventually(lambda: cli("version").returncode == 0, seconds=15)
    assert engine.containers.get(PROXY).attrs["State"]["StartedAt"] != before
    said = verbs.run("up")
    assert "Nothing changed" in said, said
