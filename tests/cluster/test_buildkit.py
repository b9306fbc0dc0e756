"""A BuildKit daemon that stays, on a real cluster: its client, its cache, its certificates, and how it fails."""

import datetime as dt
import functools
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes import client

from components.kubernetes import mutual_tls
from lab import processes
from tests.cluster.conftest import Make
from tests.support.cluster import Stack, inline, until

FROM = "FROM alpine:latest\n"
DAEMON = "buildkit-0"
ASK = "buildctl --addr=tcp://localhost:1234"
VALUE = "made-up-value-of-a-secret"
MOUNT = "RUN --mount=type=secret,id=token"
STEPS = f"{FROM}{MOUNT} test -s /run/secrets/token && wc -c < /run/secrets/token > /length\nCMD cat /length\n"


def build(name: str, dockerfile: str, **keys: Any) -> dict[str, Any]:
    """Give the settings of a build by the daemon."""
    return {"name": name, "builder": "buildkit", "context": inline(dockerfile), **keys}


SAMPLE = build("sample", f"{FROM}RUN echo made > /made\n", cache={"enabled": True})
SECRET = build("secret", STEPS, secrets=["token"])


def configure(stack: Stack, *builds: dict[str, Any], **buildkit: Any) -> None:
    """Write the settings of a stack with a daemon, whose builds' namespace enforces `restricted`."""
    sizes = {"storageGib": 2, "cpuMillicores": 1000, "memoryMib": 1024, **buildkit}
    stack.configure(*builds, kubernetes={"buildsPodSecurity": "restricted"}, buildkit=sizes)


@pytest.fixture(scope="module")
def stack(new_stack: Make) -> Iterator[Stack]:
    """Give a stack on which a daemon has built."""
    with new_stack() as made:
        configure(made, SAMPLE, SECRET)
        made.deployment.pulumi("config", "set", "--secret", "--path", "ci:buildSecrets.token", stdin=VALUE)
        made.deployment.up()
        yield made


def in_daemon(stack: Stack, script: str) -> str:
    """Run a script in the daemon's pod; give what it printed."""
    return stack.execute(DAEMON, f"{stack.namespace}-buildkit", script)


def daemon(stack: Stack) -> Any:
    return stack.core.read_namespaced_pod(DAEMON, f"{stack.namespace}-buildkit")


def is_ready(stack: Stack, other_than: str = "") -> bool:
    """Say whether a daemon is ready, and not the one of this uid."""
    try:
        pod = daemon(stack)
    except client.ApiException:
        return False
    states = pod.status.container_statuses or []
    return pod.metadata.uid != other_than and all(each.ready for each in states) and bool(states)


def test_a_namespace_that_enforces_restricted_has_its_images_built_and_pushed(stack: Stack) -> None:
    labels = stack.core.read_namespace(stack.builds).metadata.labels
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert stack.deployment.outputs()["images"]["sample"].partition("@")[2] == stack.digest("sample", "latest")
    assert set(stack.deployment.up()) == {"same"}


def test_only_a_certificate_of_the_stacks_authority_opens_the_daemon(stack: Stack) -> None:
    ours = f"{ASK} --tlsdir=/certs debug workers"
    assert "linux/" in in_daemon(stack, ours)
    assert "failed to list workers" in in_daemon(stack, f"{ASK} debug workers")
    strange = mutual_tls.issued(mutual_tls.made(), ["localhost"])
    files = {"cert": strange["client"], "key": strange["clientKey"]}
    write = "".join(f"printf '%s' '{text}' > /tmp/{name}.pem\n" for name, text in files.items())
    said = in_daemon(stack, f"{write}{ASK} --tlscacert=/certs/ca.pem --tlscert=/tmp/cert.pem --tlskey=/tmp/key.pem "
                     "debug workers")  # fmt: skip
    # The daemon may hang up before its reason is read.
    assert "unknown certificate authority" in said or "broken pipe" in said or "connection reset" in said


def test_a_secret_is_read_by_its_step_and_is_in_no_layer_history_cache_log_job_environment_or_state(
    stack: Stack,
) -> None:
    job = stack.job("secret")
    pods = stack.core.list_namespaced_pod(stack.builds)
    assert VALUE not in f"{job}{pods}"
    assert VALUE not in stack.log(job.metadata.name)
    assert VALUE not in stack.deployment.state() + "".join(stack.deployment.said)
    assert f"{len(VALUE)}" in "".join(pushed(stack, "secret", "latest"))
    for repository, tag in (("secret", "latest"), ("cache/secret", "buildkit")):
        assert not [text for text in pushed(stack, repository, tag) if VALUE in text]
    # What the daemon keeps: the positive control is a step's own file.
    found = "grep -rlF '{}' /var/lib/buildkit/state 2> /dev/null | head -n 1"
    assert in_daemon(stack, found.format("made")).strip()
    assert not in_daemon(stack, found.format(VALUE)).strip()


def pushed(stack: Stack, repository: str, reference: str) -> Iterator[str]:
    """Give all that is behind a tag in the registry: its manifest, its configuration, and its unpacked layers."""
    kinds = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    index = "application/vnd.oci.image.index.v1+json"
    manifest = stack.ask(f"/v2/{repository}/manifests/{reference}", accept=kinds + index).json()
    yield json.dumps(manifest)
    for part in [manifest.get("config"), *manifest.get("layers", ()), *manifest.get("manifests", ())]:
        if part:
            content = stack.ask(f"/v2/{repository}/blobs/{part['digest']}").content
            yield (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode(errors="replace")


def test_an_update_of_the_daemon_keeps_its_cache(stack: Stack) -> None:
    before = daemon(stack).metadata.uid
    kept = cached(stack)
    assert len(kept) > 2
    configure(stack, {**SAMPLE, "trigger": "again"}, SECRET, memoryMib=1100)
    stack.deployment.up()
    assert is_ready(stack, before)
    assert kept <= cached(stack)
    assert "CACHED" in stack.log(stack.job("sample").metadata.name)


def cached(stack: Stack) -> set[str]:
    """Give the ids of what is in the daemon's cache."""
    lines = [line.split() for line in in_daemon(stack, f"{ASK} --tlsdir=/certs du").splitlines()]
    return {line[0].rstrip("*") for line in lines if line[1:2] in (["true"], ["false"])}


def test_a_daemon_that_is_killed_in_a_build_is_waited_for_and_the_build_is_green(stack: Stack) -> None:
    slow = build("slow", f"{FROM}RUN echo begun && sleep 8 && echo ended\n")
    configure(stack, SAMPLE, SECRET, slow, memoryMib=1100)
    with ThreadPoolExecutor() as pool:
        update = pool.submit(stack.deployment.up)
        until(lambda: "begun" in log_of(stack, "slow"))
        stack.core.delete_namespaced_pod(DAEMON, f"{stack.namespace}-buildkit", grace_period_seconds=0)
        update.result()
    assert "the BuildKit daemon went away" in log_of(stack, "slow")
    assert stack.job("slow").status.failed is None
    assert stack.digest("slow", "latest")


def test_a_push_that_finds_the_registry_away_is_tried_again(stack: Stack) -> None:
    def scale(replicas: int) -> None:
        apps = client.AppsV1Api(stack.cluster.api)
        apps.patch_namespaced_stateful_set_scale("registry-server", stack.namespace, {"spec": {"replicas": replicas}})

    configure(stack, SAMPLE, SECRET, build("late", f"{FROM}RUN echo begun && sleep 8\n"), memoryMib=1100)
    with ThreadPoolExecutor() as pool:
        update = pool.submit(stack.deployment.up)
        until(lambda: "begun" in log_of(stack, "late"))
        scale(0)
        try:
            until(lambda: "the registry is away" in log_of(stack, "late"))
        finally:
            scale(1)
        update.result()
    assert stack.digest("late", "latest")


def log_of(stack: Stack, build: str) -> str:
    try:
        return stack.log(stack.job(build).metadata.name)
    except (ValueError, client.ApiException):
        return ""


def test_a_build_whose_daemon_is_away_says_so(stack: Stack) -> None:
    apps, there = client.AppsV1Api(stack.cluster.api), f"{stack.namespace}-buildkit"
    # Another size of the daemon would be an update, which would bring it back.
    configure(stack, SAMPLE, SECRET, memoryMib=1100)
    stack.deployment.up()
    until(lambda: is_ready(stack))
    try:
        apps.patch_namespaced_stateful_set_scale("buildkit", there, {"spec": {"replicas": 0}})
        said = failing(stack, build("lost", FROM, deadlineSeconds=30))
        assert re.search(r"buildkit-0 pod +gone", status(stack))
    finally:
        apps.patch_namespaced_stateful_set_scale("buildkit", there, {"spec": {"replicas": 1}})
    assert "build lost failed: it can't use the BuildKit daemon tcp://buildkit-0" in said
    assert "make status" in said
    until(lambda: re.search(r"buildkit-0 pod +ready", status(stack)))
    assert re.search(r"cache-buildkit-0 volume +2Gi; \d+ % of its file system", status(stack))
    assert re.search(r"buildkit certificates +valid until 20", status(stack))


@pytest.fixture
def full(stack: Stack, lab: Any) -> Iterator[None]:
    """Lay a file system of 48 MiB in memory over the folder that is the daemon's volume, and fill it."""
    claim = stack.core.read_namespaced_persistent_volume_claim(f"cache-{DAEMON}", f"{stack.namespace}-buildkit")
    volume = stack.core.read_persistent_volume(claim.spec.volume_name).spec
    folder = (volume.host_path or volume.local).path
    [runtime] = [made.pid for made in processes.known(lab) if made.name == "containerd"]
    inside = ("nsenter", f"--mount=/proc/{runtime}/ns/mnt", "--")  # where the lab's pods have their mounts from
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=48m,mode=0777", "small", folder], check=True)
    try:
        restart(stack)
        assert "49152" in in_daemon(stack, "df -k /var/lib/buildkit")
        in_daemon(stack, "dd if=/dev/zero of=/var/lib/buildkit/filled bs=1M count=64")
        yield
    finally:
        subprocess.run([*inside, "umount", "--lazy", folder], check=True)
        restart(stack)


def restart(stack: Stack) -> None:
    before = daemon(stack).metadata.uid
    stack.core.delete_namespaced_pod(DAEMON, f"{stack.namespace}-buildkit", grace_period_seconds=0)
    until(lambda: is_ready(stack, before))


@pytest.mark.usefixtures("full")
def test_a_daemon_whose_volume_is_full_says_so(stack: Stack) -> None:
    said = failing(stack, build("big", f"{FROM}RUN head -c 30000000 /dev/zero > /big\n"))
    assert "raise ci:buildkit.storageGib" in said, said
    shown = status(stack)
    assert re.search(r"cache-buildkit-0 volume .*; (9\d|100) % of its file system", shown)
    assert "Raise ci:buildkit.storageGib" in shown


def failing(stack: Stack, lost: dict[str, Any]) -> str:
    """Have a build fail, with the daemon left as it is; give what the update said."""
    configure(stack, SAMPLE, SECRET, lost, **stack.settings["buildkit"])
    return str(stack.deployment.pulumi("up", "--yes", "--skip-preview", "--refresh=false", status=None))


def test_a_client_whose_certificate_is_expired_says_so(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    state = json.loads(stack.deployment.pulumi("stack", "export", "--show-secrets"))["deployment"]["resources"]
    [kept] = [each for each in state if each["urn"].endswith("::ci-buildkit-authority")]
    monkeypatch.setattr(mutual_tls, "_SKEW", dt.timedelta(days=3))
    monkeypatch.setattr(mutual_tls, "_LIFE_DAYS", -1)
    expired = mutual_tls.issued(json.loads(kept["outputs"]["output"]["plaintext"]), ["localhost"])
    secret = stack.core.read_namespaced_secret("buildkit-client", stack.builds).data
    files = {"cert.pem": expired["client"], "key.pem": expired["clientKey"]}
    stack.core.patch_namespaced_secret("buildkit-client", stack.builds, {"stringData": files})
    try:
        said = failing(stack, build("late", FROM, deadlineSeconds=60))
        assert re.search(r"can't use the BuildKit daemon .*expired certificate", said)
        assert re.search(r"late .*expired certificate", status(stack))
    finally:
        stack.core.patch_namespaced_secret("buildkit-client", stack.builds, {"data": secret})


def test_another_namespace_does_not_reach_the_daemon_and_does_without_the_policy(stack: Stack) -> None:
    image = stack.settings["kubernetes"].get("gitImage", "alpine/git:v2.52.0")
    api, there = client.NetworkingV1Api(stack.cluster.api), f"{stack.namespace}-buildkit"
    change = functools.partial(api.patch_namespaced_network_policy, "buildkit", there)
    address = daemon(stack).status.pod_ip
    with stack.reaching(image, "default") as reaches:
        assert not reaches(address, 1234)
        change([{"op": "add", "path": "/spec/ingress/-", "value": {}}])
        try:
            until(lambda: reaches(address, 1234))
        finally:
            change([{"op": "remove", "path": "/spec/ingress/1"}])
        until(lambda: not reaches(address, 1234))


def status(stack: Stack) -> str:
    """Give what `make status` prints."""
    command = [sys.executable, "-m", "ops", "status", "--stack", stack.deployment.name]
    root, env = stack.deployment.root, dict(stack.deployment.env)
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=60, check=False).stdout
