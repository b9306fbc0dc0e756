"""What holds in every stack, read from what tests/registrations has recorded of each of them."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components import docker
from components.docker import container
from components.settings.model import SECRET_MAPS, SECRETS
from tests.contract.test_registrations import MADE_UP, RECORDED, STACKS
from tests.support.engine import Engine
from tests.support.settings import settings

FOUND: dict[str, dict[str, Any]] = {
    path.stem: yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(RECORDED.glob("*.yaml"))
}


def resources(kind: str = "", stack: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give stack, name and registration of every resource of a kind, as `Container`."""
    for name, recorded in FOUND.items():
        for resource, registration in recorded.items():
            if isinstance(registration, dict) and registration["type"].endswith(kind) and stack in {"", name}:
                yield name, resource, registration


def updated(value: Any) -> Any:
    """Give what is registered in an update, secrets in clear, as the engine shows it."""
    if isinstance(value, dict):
        for key in ("(update)", "(secret)"):
            if key in value:
                return updated(value[key])
        return {key: updated(part) for key, part in value.items()}
    return [updated(part) for part in value] if isinstance(value, list) else value


def pods() -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Give every pod that anything would run: whose it is, its spec, and its containers, those that end last."""
    for stack, name, made in resources():
        spec = updated(made.get("inputs", {})).get("spec")
        of = spec.get("jobTemplate", {}).get("spec", spec) if isinstance(spec, dict) else {}
        if "template" in of:
            pod = of["template"]["spec"]
            yield f"{stack}: {name}", pod, [*pod["containers"], *pod.get("initContainers", ())]


PODS = list(pods())


def in_clear(value: Any) -> Any:
    """Give what is recorded without what is a secret."""
    if isinstance(value, dict):
        return {key: in_clear(part) for key, part in value.items() if key != "(secret)"}
    return [in_clear(part) for part in value] if isinstance(value, list) else value


def forms(secret: str) -> Iterator[str]:
    """Give the ways in which a secret may be written in a text."""
    yield secret
    yield json.dumps(secret)[1:-1]
    for around in ("", "x", "xx"):
        # base64 of a text with something in front: three ways, of which the first and last characters vary.
        yield base64.b64encode(f"{around}{secret}".encode()).decode().rstrip("=")[4:-4]


def telltale(key: str, value: Any) -> str:
    """Give the part of a secret by which it is recognised wherever it is."""
    if key == "dockerConfig":
        return str(next(iter(json.loads(value)["auths"].values()))["auth"])
    return next(line for line in str(value).splitlines() if line.strip("-[]") == line)


@pytest.mark.parametrize("stack", STACKS)
def test_a_secret_is_registered_as_one_and_nowhere_in_clear(stack: str) -> None:
    config = yaml.safe_load(STACKS[stack].read_text())["config"]
    secrets = {**MADE_UP, **{key: config[f"ci:{key}"] for key in SECRETS if f"ci:{key}" in config}}
    everything = json.dumps(FOUND[stack])
    clear = json.dumps(in_clear(FOUND[stack]))
    maps = [(key, each) for key in SECRET_MAPS for each in secrets.pop(key, {}).values()]
    for key, value in [*secrets.items(), *maps]:
        seen = [form for form in forms(telltale(key, value)) if form in everything]
        assert seen or key in MADE_UP, f"{key} is not used"
        assert not [form for form in seen if form in clear], key
    assert "$2a$" not in clear  # nor a password's hash
    assert "secretKeyRef" not in clear  # nor any secret among a container's variables


def test_everything_goes_through_the_provider_that_the_settings_name() -> None:
    for stack, name, made in resources():
        if made.get("custom") and not made["type"].startswith("pulumi:"):
            expected = "cluster" if made["type"].startswith("kubernetes:") else "host"
            assert made.get("provider") == expected, (stack, name)


def test_what_holds_data_outlives_the_stack_and_any_change() -> None:
    kept = {}
    for kind in (":Volume", ":PersistentVolumeClaim", ":Namespace"):
        for _, name, made in resources(kind):
            assert "retainOnDelete" not in made or "ignoreChanges" in made or kind == ":Namespace", name
            kept[name] = made.get("retainOnDelete", False)
    assert kept == {
        "jenkins-home": True,
        "engine-storage": True,
        "registry-volume": True,
        "mirror-volume": True,
        "namespaces-registry": True,
        "engine-certificates": False,
        "proxy-socket": False,
        # Workspaces, and secrets that Jenkins writes again at each start.
        "agents-workspaces": False,
        "agents-secrets": False,
        "namespaces-builds": False,
        # A cache, which builds fill again.
        "buildkit-volume-0": False,
        "buildkit-volume-1": False,
        "namespaces-buildkit": False,
    }


def test_what_has_a_port_of_the_nodes_or_a_host_is_gone_before_another_namespace_has_it() -> None:
    shared = [made for _, _, made in resources(":Service") if "nodePort" in str(made["inputs"])]
    shared += [made for _, _, made in resources(":Ingress")]
    assert {made.get("deleteBeforeReplace") for made in shared} == {True}


def test_a_container_has_no_right_that_it_does_not_need() -> None:
    for stack, name, made in resources("docker:index/container:Container"):
        given, options = made["inputs"], made
        if name != "engine-container":
            assert given["capabilities"] == {"drops": ["ALL"]}, (stack, name)
            assert given["securityOpts"] == ["no-new-privileges:true"], (stack, name)
            assert given["privileged"] is False, (stack, name)
            assert given["user"].partition(":")[0] != "0", (stack, name)
        assert given["memory"] == given["memorySwap"], (stack, name)
        assert given["logOpts"]["max-file"], (stack, name)
        assert given["labels"], (stack, name)
        # The old one goes before the new one takes its name and ports, and is stopped rather than killed.
        assert options["deleteBeforeReplace"], (stack, name)
        assert given["stopTimeout"] == given["destroyGraceSeconds"] > 0, (stack, name)
        sockets = [each for each in given["volumes"] if each.get("hostPath", "").endswith("docker.sock")]
        jobs = "agents-1" if "agents-1" in FOUND[stack] else "jenkins-controller"
        holder = {"proxy": ("proxy-container",), "socket": (jobs, "pruner-container")}
        access = FOUND[stack]["outputs"]["inputs"].get("access", "runner")
        assert bool(sockets) == (name in holder.get(access, ("gitlab-runner-container",))), (stack, name)


def test_an_engine_unmasks_its_own_paths_since_the_plugin_never_reads_that_option_back() -> None:
    given = FOUND["docker-tls"]["engine-container"]["inputs"]
    assert given["securityOpts"] == ["seccomp=unconfined"]
    assert 'umount "$masked"' in given["entrypoints"][2]


@pytest.mark.parametrize("stack", STACKS)
def test_only_jenkins_publishes_ports_and_on_the_address_of_the_settings_alone(stack: str) -> None:
    config = yaml.safe_load(STACKS[stack].read_text())["config"]
    address = config.get("ci:jenkins", {}).get("bindAddress", "127.0.0.1")
    for _, name, made in resources("docker:index/container:Container", stack):
        ports = made["inputs"].get("ports", [])
        assert not ports or name == "jenkins-controller"
        assert {port["ip"] for port in ports} <= {address}


def mounts(stack: str, container: str) -> dict[str, tuple[str, bool]]:
    """Give by path what a container has mounted, and whether it only reads it."""
    volumes = FOUND[stack][container]["inputs"]["volumes"]
    return {each["containerPath"]: (each.get("volumeName", "the host"), each["readOnly"]) for each in volumes}


def test_an_image_whose_name_a_job_could_give_to_another_is_deployed_as_it_was_first_seen() -> None:
    pinned, deployed = set(), set()
    for stack, name, made in resources(":Stash"):
        if "-image-" in name:
            assert made["ignoreChanges"] == ["input"]
            pinned.add((stack, name.partition("-image-")[0]))
    for stack, name, made in resources("docker:index/container:Container"):
        if made["inputs"]["image"] == {"(preview)": "(unknown)", "(update)": "sha256:first-seen"}:
            deployed.add((stack, name.rpartition("-")[0]))
    assert pinned == deployed >= {("proxy", "proxy"), ("gitlab", "gitlab-runner"), ("dind", "engine")}


def test_the_proxy_has_no_network_nothing_to_write_to_and_a_socket_for_jenkins_group_alone() -> None:
    proxy, socket = (FOUND["proxy"][name]["inputs"] for name in ("proxy-container", "proxy-socket"))
    assert (proxy["networkMode"], proxy["readOnly"], set(proxy["tmpfs"])) == ("none", True, {"/tmp"})
    assert (proxy["user"], socket["driverOpts"]["type"]) == ("99:1000", "tmpfs")
    assert "uid=99,gid=1000,mode=0750" in socket["driverOpts"]["o"]
    assert mounts("proxy", "proxy-container")["/run/ci-docker"] == ("jenkins-docker-proxy", False)
    assert mounts("proxy", "jenkins-controller")["/run/ci-docker"] == ("jenkins-docker-proxy", True)


def test_jenkins_only_reads_its_engines_certificates_and_the_authoritys_key_is_in_no_volume() -> None:
    engine = mounts("dind", "engine-container")
    assert set(engine) == {"/var/lib/docker", "/certs/client", "/var/jenkins_home"}
    assert mounts("dind", "jenkins-controller")["/certs/client"] == (engine["/certs/client"][0], True)
    # `inside` finds the workspace at the path that Jenkins has it at.
    assert engine["/var/jenkins_home"] == mounts("dind", "jenkins-controller")["/var/jenkins_home"]


def test_with_agents_the_controller_has_no_way_to_the_engine_and_nobody_else_has_its_home() -> None:
    controller, agent = (FOUND["agents"][name]["inputs"] for name in ("jenkins-controller", "agents-2"))
    secrets = {"/run/ci-agents": ("jenkins-server-agents-secrets", False)}
    assert mounts("agents", "jenkins-controller") == {"/var/jenkins_home": ("jenkins_home", False), **secrets}
    assert not [entry for entry in controller["envs"] if entry.startswith("DOCKER_")]
    assert [each["name"] for each in controller["networksAdvanced"]] == ["jenkins-server-agents"]
    assert {"DOCKER_HOST=tcp://docker:2376"} < set(agent["envs"])
    for name in ("agents-1", "agents-2", "engine-container"):
        assert mounts("agents", name)["/var/jenkins_home"] == ("jenkins-server-agents", False)
    memory = FOUND["agents"]["agents-secrets"]["inputs"]["driverOpts"]
    assert (memory["type"], memory["o"].split(",")[:3]) == ("tmpfs", ["uid=1000", "gid=1000", "mode=0700"])
    nodes = FOUND["agents"]["jenkins"]["inputs"]["configuration"]["jenkins"]
    assert [word for word in ("numExecutors: 0\n", "name: agent-1\n", "name: agent-2\n") if word not in nodes] == []


def mounted(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["name"]: mount for mount in container.get("volumeMounts", ())}


def test_every_mount_has_its_volume_and_every_volume_a_mount() -> None:
    for whose, pod, containers in PODS:
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        claims = {"cache"} if whose.endswith("buildkit-daemon") else set()  # by its StatefulSet
        assert {name for each in containers for name in mounted(each)} == volumes | claims, whose


def test_secret_files_are_read_only_and_not_for_everybody() -> None:
    for whose, pod, containers in PODS:
        secret = {volume["name"]: volume["secret"] for volume in pod.get("volumes", ()) if "secret" in volume}
        assert not [name for name, each in secret.items() if each["defaultMode"] & 0o007], whose
        for each in containers:
            assert all(mount.get("readOnly") for name, mount in mounted(each).items() if name in secret), whose


EVERY_BUILDER = {"kaniko", "buildkit", "buildah", "buildctl"}


def test_the_builder_never_sees_the_git_token_and_git_never_the_registrys_login() -> None:
    fetching = {whose: containers for whose, _, containers in PODS if containers[-1]["name"] == "fetch"}
    assert {builder["name"] for builder, *_ in fetching.values()} == EVERY_BUILDER
    for whose, (builder, *_, fetch) in fetching.items():
        assert "git" not in mounted(builder), whose
        assert not {"logins", "secrets", "buildkit"} & set(mounted(fetch)), whose


def test_a_company_s_authorities_are_trusted_beside_the_public_ones_by_builder_and_git() -> None:
    builders = set()
    for whose, pod, (builder, *others) in PODS:
        if builder["name"] in EVERY_BUILDER and any(volume["name"] == "trust" for volume in pod["volumes"]):
            # What only looks reads nothing from another host.
            talking = [each for each in others if each["name"] not in {"isolated", "check"}]
            assert all("trust" in mounted(each) for each in talking), whose
            mount = mounted(builder)["trust"]
            [folders] = [each["value"].split(":") for each in builder["env"] if each["name"] == "SSL_CERT_DIR"]
            assert (mount["mountPath"].rpartition("/")[0] if "subPath" in mount else mount["mountPath"]) in folders
            # Beside the others, not instead of them: in their folder as one more file, or in a folder of its own.
            assert mount.get("subPath") == "ca.crt" or len(folders) == 2, whose
            builders.add(builder["name"])
    assert builders == EVERY_BUILDER


def test_a_build_runs_on_a_node_of_its_platform() -> None:
    nodes = {whose.removeprefix("kubernetes-builders: build-"): pod.get("nodeSelector") for whose, pod, _ in PODS}
    assert nodes["buildkit-inline-job"] == {"kubernetes.io/os": "linux"}
    assert nodes["buildkit-git-job"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
    assert nodes["buildah-git-job"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm"}


def test_the_hosts_docker_client_is_where_the_engine_is() -> None:
    assert "/usr/bin/docker" in mounts("docker-agents", "agents-1")
    assert "/usr/bin/docker" not in mounts("docker-agents", "jenkins-controller")


@pytest.mark.parametrize(("seconds", "written"), [(90, "1m30s"), (600, "10m0s"), (3600, "1h0m0s"), (45, "45s")])
def test_a_duration_is_written_as_the_engine_reads_it_back(seconds: int, written: str) -> None:
    assert container._duration(seconds) == written  # noqa: SLF001


def test_a_jobs_place_and_the_time_to_start_replace_no_container() -> None:
    """A changed health check would replace one, and so would another order of the uploaded texts."""
    jobs = [{"name": name, "script": "echo 1"} for name in ("b", "a")]

    def inputs(order: list[dict[str, str]], seconds: int) -> dict[str, Any]:
        made = Engine(preview=False)
        docker_ci = {"acceptRootOnHost": True, "access": "dind", "dind": {"startTimeoutSeconds": seconds}}
        keys: dict[str, Any] = {"agents": 1, "startTimeoutSeconds": seconds}
        made.run(lambda: docker.DockerCi("ci", settings(docker=docker_ci, jobs=order, jenkins=keys)))
        names = ("jenkins-controller", "agents-1", "engine-container")
        return {name: {**made.inputs[name], "waitTimeout": None} for name in names}

    assert inputs(jobs, 60) == inputs(jobs[::-1], 900)


def test_a_gitlab_runner_on_a_docker_host_has_its_share_of_the_processors() -> None:
    [(_, _, runner)] = resources("Container", "gitlab")
    assert runner["inputs"]["cpuQuota"] / runner["inputs"]["cpuPeriod"] == 0.5
    assert "cpuQuota" in runner["replaceOnChanges"]
