"""The ways to build an image: each builds the same contexts, cold, warm and changed.

A way with a Docker engine is measured from `docker build` in the deployed controller until the image is in that engine.
A way in the cluster is measured from the creation of its Job until the Job is complete, the pod's start and the push
into the stack's registry included. The empty Job is what a pod's start and end alone take.
"""

import base64
import dataclasses
import functools
import json
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.contexts import BASE, CONTEXTS, STEPS, files, packed
from benchmarks.docker_host import LABEL, docker, jenkins, remove
from benchmarks.kubernetes import PORT, Stack, build
from benchmarks.model import PREFIX, Benchmark, BenchmarkError, Command, Meter, Options, Variant
from benchmarks.project import Project, config_of, output, said
from components.labels import BUILD

ENGINES: Final = ("socket", "dind", "proxy", "tcp")
BUILDERS: Final = ("kaniko", "buildkit", "buildah")
DAEMON: Final = "buildkit-daemon"
EMPTY: Final = "empty-job"
_STAND_INS: Final[Mapping[str, Mapping[str, Any]]] = {
    "dind": {"image": "ci-offline-dind:1", "privileged": False},
    "proxy": {"image": "ci-offline-proxy:1"},
}
"""The images where none can be pulled, which is so where the Docker stack's own controller stands in."""
TIMED: Final = """\
cd {folder}
read -r begun _ < /proc/uptime
{command} || exit 1
read -r ended _ < /proc/uptime
echo "bench-seconds $(echo "$begun $ended" | awk '{{ print $2 - $1 }}')"
"""
"""Timed inside, so that starting the shell has no part in it. /proc/uptime counts 10 ms."""
SIZES: Final = {"storageGib": 4, "cpuMillicores": 2000, "memoryMib": 4096}
"""Of a BuildKit daemon that stays."""
_BUILD: Final = TIMED.format(folder="/tmp/bench", command=f'docker build --label {LABEL} --tag "$0" .')  # noqa: S108 - in the container

Files = Mapping[str, str]


@dataclasses.dataclass
class Way:
    """One way to build an image."""

    name: str
    base: str
    """The larger base image, as this way knows it."""

    put: Callable[[Files], Command]
    """Puts the files where a build finds them, and gives the command that builds."""

    mark: str = ""

    def variant(self, context: str) -> Variant:
        """Give the three builds of a context."""
        return Variant(self.name, {step: functools.partial(self._step, context, step) for step in STEPS})

    def _step(self, context: str, step: str) -> Command:
        self.mark = secrets.token_hex(8) if step == "cold" else self.mark
        last = "changed" if step == "changed" else "first"
        return self.put(files(context, base=self.base, mark=self.mark, last=last))


def comparison(options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Deploy every way that this machine can have, and build the contexts by each."""
    cleanup.callback(remove)
    ways: list[Way] = []
    skipped: dict[str, str] = {}
    project = Project(options.scratch / "docker", options.stack)
    for name in ENGINES:
        try:
            ways.append(engine(project, options, name))
        except BenchmarkError as failed:
            skipped[name] = _reason(failed)
    try:
        ways += jobs(options, cleanup)
    except BenchmarkError as failed:
        skipped |= dict.fromkeys((EMPTY, *BUILDERS, DAEMON), _reason(failed))
    for context, what in CONTEXTS.items():
        variants = tuple(way.variant(context) for way in ways)
        yield Benchmark(name=context, title=f"{context}: {what}", variants=variants, skipped=skipped)


def _reason(failed: BenchmarkError) -> str:
    lines = [line.strip() for line in str(failed).splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[-1])[:300]


def engine(project: Project, options: Options, name: str) -> Way:
    """Deploy a stack with Jenkins' controller and one of the ways to a Docker engine, and build the larger base by it.

    Raises BenchmarkError when it can't be had on this machine.
    """
    controller, secret = f"{PREFIX}-{name}", {}
    settings: dict[str, Any] = {"access": name, "acceptRootOnHost": True}
    if name in _STAND_INS:
        closed = str(project.config.get("ci:jenkins", {}).get("image", "")).startswith("ci-offline-")
        settings[name] = {"containerName": f"{controller}-engine", **(_STAND_INS[name] if closed else {})}
    if name == "tcp":
        if not options.tcp:
            raise BenchmarkError("no engine on another machine was given (--tcp)")
        folder = options.tcp_certificates
        certificates = {"caFile": str(folder / "ca.pem"), "certificateFile": str(folder / "cert.pem")}
        settings[name] = {"host": options.tcp, **certificates}
        secret["ci:tcpTlsKey"] = (folder / "key.pem").read_text(encoding="utf-8")
    project.deploy(f"bench-{name}", {"ci:docker": settings, "ci:jenkins": jenkins(controller)}, secret)

    def put(contents: Files, tag: str = f"{PREFIX}-{name}:1") -> Command:
        output(docker("exec", "--user", "0", controller, "rm", "-rf", "/tmp/bench"))  # noqa: S108 - in the container
        words = ("docker", "cp", "-", f"{controller}:/tmp")
        subprocess.run(words, input=packed(contents, "bench/"), check=True, capture_output=True)  # noqa: S603 - our own words
        return dataclasses.replace(docker("exec", controller, "sh", "-c", _BUILD, tag), meter=meter())

    output(put(BASE, f"{PREFIX}-base:1"))
    return Way(name, f"{PREFIX}-base:1", put)


def meter() -> Meter:
    """Count what is done in pods and containers of this machine, and in its Docker engine."""
    look = "cd /sys/fs/cgroup/cpuacct || cd /sys/fs/cgroup; ls -d docker */kubepods kubepods*; true"
    pids = said("pgrep", "--exact", "dockerd|containerd").split()
    return Meter(groups=tuple(said("sh", "-c", look).split()), pids=tuple(int(pid) for pid in pids))


def jobs(options: Options, cleanup: ExitStack) -> Iterator[Way]:
    """Deploy a stack with a build for each builder, and one with a daemon; give a way for each, and the empty Job."""
    config = cluster_of(options.cluster_stack, *BUILDERS[1:])
    daemon: dict[str, Any] = {"ci:buildkit": SIZES, "ci:registry": {"nodePort": PORT + 1}}
    for name, ways, more in (("compare", BUILDERS, {}), ("compare-daemon", ("buildkit",), daemon)):
        builds = [build(each, BASE, builder=each, cpuMillicores=2000, memoryMib=4096) for each in ways]
        stack = Stack(options, cleanup, name, {"ci:kubernetes": config, "ci:builds": builds, **more})
        declared = {(each["kind"], each["metadata"]["labels"][BUILD]): each for each in stack.manifests()}
        if not more:
            nothing = empty(declared["Job", "kaniko"], image=config.get("gitImage", "alpine/git"))
            yield Way(EMPTY, "", job(stack, EMPTY, nothing, declared["ConfigMap", "kaniko"]))
        for each, way in zip(ways, (DAEMON,) if more else ways, strict=True):
            yield Way(way, stack.image(each), job(stack, way, declared["Job", each], declared["ConfigMap", each]))


def cluster_of(*stacks: str) -> dict[str, Any]:
    """Give `ci:kubernetes` of these stacks as one: images, and the Pod Security level that BuildKit needs."""
    found = [each for name in stacks for each in config_of(name)["ci:kubernetes"].items()]
    return {key: value for key, value in found if key not in {"namespace", "kubeconfig"}}


def empty(declared: Mapping[str, Any], **own: str) -> dict[str, Any]:
    """Give a build's Job that does nothing: what a pod's start and end alone take."""
    found: dict[str, Any] = json.loads(json.dumps(declared))
    found["spec"]["template"]["spec"]["containers"][0] |= {"command": ["true"], "args": [], **own}
    return found


def job(stack: Stack, way: str, declared: dict[str, Any], context: dict[str, Any]) -> Callable[[Files], Command]:
    """Give what builds files by a Job and a context like the declared ones.

    The files are in the Job's ConfigMap before the time begins, as they are for a Job of the stack.
    """
    name, old = f"bench-{way}", declared["metadata"]["name"]
    kubectl = stack.kubectl("--namespace", stack.builds).words
    file = stack.program.folder.with_name(f"{way}.json")
    file.write_text(json.dumps(declared).replace(f'"{old}"', f'"{name}"'), encoding="utf-8")
    script = f'"$@" create --filename {file} && "$@" wait --for=condition=complete --timeout=600s job/{name}'

    def put(contents: Files) -> Command:
        delete = ("delete", "job,configmap,pod", "--selector", BUILD, "--wait=true", "--timeout=300s")
        output(Command(words=(*kubectl, *delete)))  # so that this build has the machine for itself
        archive = base64.b64encode(packed(contents, mode="w:gz")).decode()
        made = {**context, "binaryData": dict.fromkeys(context["binaryData"], archive)}
        output(Command(words=(*kubectl, "create", "--filename", "-")), json.dumps(made))
        return Command(words=("sh", "-c", script, "sh", *kubectl), meter=meter())

    return put
