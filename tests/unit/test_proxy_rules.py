"""What the proxy lets through and what not, as its rules say it. That HAProxy reads them so is tested on a real one."""

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest

from components.proxy import haproxy
from components.proxy.bodies import OWN_ID, clean, hidden, rules
from components.proxy.calls import CALLS, HIDDEN

V = "/v1.41"
ID = "5e1f" * 16
PROXY = "3a2b1c0d9e8f"
"""The beginning of the proxy's own id, as the engine gives it to the container for a host name."""

NAME = "jenkins-docker-proxy"

NEEDED = [
    "HEAD /_ping",
    "GET /_ping",
    "GET /version",
    f"GET {V}/version",
    f"GET {V}/info",
    f"POST {V}/auth",
    f"POST {V}/build?buildargs=%7B%22A%22%3A%22b%22%7D&cgroupparent=&networkmode=default&rm=1&t=app&version=1",
    f"GET {V}/images/json?filters=%7B%7D",
    f"GET {V}/images/registry.example.org:5000/team/app:1/json",
    f"GET {V}/images/alpine@sha256:{'0' * 64}/json",
    f"POST {V}/images/create?fromImage=alpine&tag=3.22",
    f"POST {V}/images/app:1/tag?repo=registry.example.org/app&tag=1",
    f"POST {V}/images/registry.example.org/app/push?tag=1",
    f"DELETE {V}/images/app:1?force=1",
    f"GET {V}/containers/json?all=1&filters=%7B%7D",
    f"POST {V}/containers/create?name=db",
    f"POST {V}/containers/create",
    f"GET {V}/containers/{ID}/json",
    f"GET {V}/containers/registry.example.org:5000/team/app:1/json",
    f"GET {V}/containers/{ID}/top?ps_args=-eo+pid%2Ccomm",
    f"GET {V}/containers/{ID}/logs?follow=1&stdout=1&stderr=1",
    f"POST {V}/containers/{ID}/attach?stream=1&stdout=1",
    f"POST {V}/containers/{ID}/start",
    f"POST {V}/containers/{ID}/stop?t=1",
    f"POST {V}/containers/{ID}/kill?signal=TERM",
    f"POST {V}/containers/{ID}/wait?condition=removed",
    f"DELETE {V}/containers/{ID}?force=1&v=1",
    f"POST {V}/containers/{ID}/exec",
    f"POST {V}/exec/{ID}/start",
    f"GET {V}/exec/{ID}/json",
    "GET /v1.51/info",
]
REFUSED = [
    # Other things than a pipeline's.
    f"POST {V}/swarm/init",
    f"GET {V}/secrets",
    f"GET {V}/plugins",
    f"POST {V}/plugins/pull?remote=x",
    f"POST {V}/services/create",
    f"GET {V}/networks",
    f"POST {V}/networks/create",
    f"GET {V}/volumes",
    f"POST {V}/volumes/create",
    f"POST {V}/volumes/prune",
    f"POST {V}/containers/prune",
    f"POST {V}/images/prune",
    f"POST {V}/build/prune",
    f"POST {V}/commit?container={ID}",
    f"GET {V}/events",
    f"GET {V}/system/df",
    f"POST {V}/images/load",
    f"GET {V}/images/get?names=app",
    f"POST {V}/session",
    f"POST {V}/grpc",
    f"POST {V}/containers/{ID}/update",
    f"POST {V}/containers/{ID}/rename?name=x",
    f"POST {V}/containers/{ID}/pause",
    f"POST {V}/containers/{ID}/restart",
    f"PUT {V}/containers/{ID}/archive?path=/",
    f"GET {V}/containers/{ID}/archive?path=/",
    f"GET {V}/containers/{ID}/export",
    f"POST {V}/containers/{ID}/checkpoints",
    # Another method.
    f"PUT {V}/containers/create",
    f"GET {V}/containers/create",
    f"post {V}/containers/create",
    f"DELETE {V}/info",
    # Other versions: up to 1.23, a start takes a configuration.
    f"POST /v1.23/containers/{ID}/start",
    "GET /v1.40/info",
    "GET /v2.41/info",
    "GET /v1.041/info",
    "GET /v1.41/v1.41/info",
    # Another way to write a path.
    f"GET {V}/info/",
    f"GET {V}/INFO",
    f"GET {V}//info",
    f"GET {V}/%69nfo",
    f"GET {V}/info%2f",
    f"GET {V}/info;x=1",
    f"POST {V}/containers/../swarm/init",
    f"POST {V}/containers/{ID}/exec/../start",
    # Another question.
    f"POST {V}/build?networkmode=host",
    f"POST {V}/build?network%6dode=host",
    f"POST {V}/build?networkmode=default&networkmode=host",
    f"POST {V}/build?networkmode=%68ost",
    f"POST {V}/build?t=app;networkmode=host",
    f"POST {V}/build?remote=https://git.example.org/a.git",
    f"POST {V}/build?securityopt=%5B%5D",
    f"POST {V}/build?version=2",
    f"POST {V}/build?cgroupparent=/",
    f"POST {V}/images/create?fromSrc=-",
    f"POST {V}/containers/{ID}/start?checkpoint=a&checkpoint-dir=/",
    f"POST {V}/containers/create?unknown=1",
]

CREATE = {
    "Image": "app",
    "Env": ['A={"Privileged": true}', "B=<>&", "C=\u00fc\u001b"],
    "Labels": {"team": "web"},
    "HostConfig": {
        "Binds": None,
        "VolumesFrom": [f"{ID}:rw"],
        "Privileged": False,
        "NetworkMode": "default",
        "PidMode": "",
        "IpcMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "CgroupnsMode": "",
        "CapAdd": None,
        "CapDrop": ["ALL"],
        "Devices": [],
        "DeviceRequests": None,
        "SecurityOpt": None,
        "MaskedPaths": None,
        "ReadonlyPaths": None,
        "CgroupParent": "",
        "Runtime": "",
        "VolumeDriver": "",
        "LogConfig": {"Type": "", "Config": {}},
        "Mounts": [{"Type": "volume", "Source": "cache", "Target": "/c"}],
    },
}
"""Most of what the docker client sends for `docker run`."""

OUT = [
    {"Privileged": True},
    {"Binds": ["/:/host"]},
    {"Binds": ["cache:/c", "/var/run:/x:ro"]},
    {"Binds": ["a]b:/c", "/proc:/p"]},
    {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/h"}]},
    {"Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"o": "bind", "device": "/"}}}}]},
    {"VolumeDriver": "other"},
    {"Links": [f"{PROXY[:1]}:../side"]},
    {"Links": ["/jenkins-docker-proxy:/x/foo"]},
    {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://127.0.0.1:6379"}}},
    {"LogConfig": {"Type": "json-file", "Config": {"tag": "{{.ID}}"}}},
    {"LogConfig": {"Config": {"fluentd-address": "unix:///run/x"}}},
    {"CapAdd": ["SYS_ADMIN"]},
    {"CapAdd": "ALL"},
    {"Devices": [{"PathOnHost": "/dev/sda"}]},
    {"DeviceRequests": [{"Count": -1}]},
    {"DeviceCgroupRules": ["a *:* rwm"]},
    {"SecurityOpt": ["seccomp=unconfined"]},
    {"MaskedPaths": []},
    {"ReadonlyPaths": []},
    {"Sysctls": {"kernel.msgmax": "1"}},
    {"Annotations": {"io.example": "1"}},
    {"StorageOpt": {"size": "1G"}},
    {"PidMode": "host"},
    {"PidMode": f"container:{ID}"},
    {"IpcMode": "host"},
    {"UTSMode": "host"},
    {"UsernsMode": "host"},
    {"CgroupnsMode": "host"},
    {"NetworkMode": "host"},
    {"NetworkMode": "0a1b2c3d4e5f"},
    {"CgroupParent": "/"},
    {"Runtime": "other"},
    {"VolumesFrom": ["jenkins-docker-proxy"]},
    {"VolumesFrom": [ID, "/jenkins-docker-proxy:rw"]},
    {"VolumesFrom": [PROXY]},
    {"VolumesFrom": [f"{PROXY[:3]}:ro"]},
    {"VolumesFrom": [f"{PROXY}{'0' * 52}"]},
    {"Binds": ["jenkins-docker-proxy:/x"]},
    {"Mounts": [{"Type": "volume", "Source": "jenkins-docker-proxy", "Target": "/x"}]},
]


def passes(line: str) -> bool:
    """Say whether a request is known, and not twisted, as the configuration's first rules have it."""
    path = line.partition(" ")[2].partition("?")[0]
    twisted = any(sign in path for sign in ("//", "/.", ".."))
    return not twisted and any(re.search(call.expression, line) for call in CALLS)


def writes_to_what_is_deployed(line: str) -> bool:
    """Say whether a request would change what one of the deployed images' names means, as the rules have it."""
    method, _, rest = line.partition(" ")
    path, _, query = rest.partition("?")
    text = haproxy.render(socket="/s", engine="/e", container="c", volume="v", images=DEPLOYED)
    in_query, in_path = re.findall(r"acl deployed .* -i '(.*)'", text)
    found = re.search(in_query, unquote(query), re.IGNORECASE) or re.search(in_path, path, re.IGNORECASE)
    return method != "GET" and found is not None


def refused(body: str) -> list[str]:
    """Give the words of each rule that a body breaks; what decides has to say the same."""
    text = f"{PROXY} {body}".encode().decode("latin-1")

    def has(expression: str) -> bool:
        return re.search(expression, text, re.IGNORECASE | re.ASCII | re.DOTALL) is not None

    said = [words for expression, words in hidden(NAME) if has(expression)]
    said += [rule.words for rule in rules(NAME) if has(f"^{OWN_ID} .*?{rule.broken}")]
    assert has(clean(NAME, NAME)) == (not said)
    return said


@pytest.mark.parametrize("line", NEEDED)
def test_what_a_docker_pipeline_needs_is_let_through(line: str) -> None:
    assert passes(line)


@pytest.mark.parametrize("line", REFUSED)
def test_everything_else_is_not(line: str) -> None:
    assert not passes(line)


DEPLOYED = ("haproxy:3.2.21-alpine", "jenkins/jenkins:2.568.2", f"registry.example.org:5000/ci/x:1@sha256:{ID}")


@pytest.mark.parametrize(
    "name",
    [
        "haproxy",
        "haproxy:3.2.21-alpine",
        "haproxy:another",
        "haproxy%3A3.3",
        "library/haproxy",
        "docker.io%2Fhaproxy:1",
        "index.docker.io/library/haproxy",
        "%20haproxy",
        "HAProxy",
        "docker.io/jenkins/jenkins:1",
        "registry.example.org:5000/ci/x",
    ],
)
def test_what_the_stack_is_deployed_from_keeps_its_name(name: str) -> None:
    assert writes_to_what_is_deployed(f"POST {V}/build?rm=1&t=app&t={name}")
    assert writes_to_what_is_deployed(f"POST {V}/images/app/tag?tag=1&repo={name}")
    assert writes_to_what_is_deployed(f"POST {V}/images/create?fromImage={name}&tag=1")


def test_other_images_and_what_only_reads_are_let_through() -> None:
    assert writes_to_what_is_deployed(f"DELETE {V}/images/haproxy:3.2.21-alpine?force=1")
    assert writes_to_what_is_deployed(f"DELETE {V}/images/docker.io/library/haproxy@sha256:{ID}")
    assert not writes_to_what_is_deployed(f"GET {V}/images/haproxy:3.2.21-alpine/json")
    for name in ("haproxy-exporter", "team/haproxy:1", "registry.example.org/haproxy", "jenkins/agent:1", "ci/x:1"):
        assert not writes_to_what_is_deployed(f"POST {V}/build?t={name}&buildargs=%7B%22A%22:%22t=haproxy%22%7D")
        assert not writes_to_what_is_deployed(f"DELETE {V}/images/{name}")


@pytest.mark.parametrize("kind", ["networks", "volumes", "services", "plugins", "secrets"])
def test_a_search_for_a_name_is_answered_and_no_list_is(kind: str) -> None:
    assert re.search(HIDDEN, f"GET {V}/{kind}/app:1")
    assert not re.search(HIDDEN, f"GET {V}/{kind}")
    assert not re.search(HIDDEN, f"DELETE {V}/{kind}/app:1")
    assert not re.search(HIDDEN, f"POST {V}/{kind}/create")


def test_what_docker_run_sends_is_not_refused() -> None:
    assert refused(json.dumps(CREATE)) == []
    assert refused(json.dumps(CREATE, ensure_ascii=False)) == []
    # As the client's own encoder writes it.
    assert refused(json.dumps(CREATE).replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")) == []


@pytest.mark.parametrize("out", OUT, ids=json.dumps)
def test_a_way_out_of_a_container_is_refused_however_it_is_written(out: dict[str, Any]) -> None:
    host = {**CREATE["HostConfig"], **out}  # type: ignore[dict-item]
    text = json.dumps({**CREATE, "HostConfig": host})
    key = next(iter(out))
    assert refused(text)
    assert refused(text.replace(f'"{key}"', f'"{key.upper()}"'))
    assert refused(text.replace(f'"{key}"', f'"{key.lower()}"'))
    assert refused(text.replace(f'"{key}": ', f'"{key}"\n\t :\r\n  '))
    assert refused(text.replace(f'"{key}"', f'"\\u00{ord(key[0]):02x}{key[1:]}"'))
    assert refused(text.replace(f'"{key}"', f'"{key}": null, "{key}"'))
    assert refused(json.dumps({**CREATE, "HostConfig": host}, separators=(",", ":")))


@pytest.mark.parametrize(("spelt", "letter"), [("Bind\u017f", "s"), ("Maske\u212aPaths", "k")])
def test_letters_that_the_engine_takes_for_others_are_refused(spelt: str, letter: str) -> None:
    assert spelt.casefold().count(letter)
    assert refused(json.dumps({"HostConfig": {spelt: ["/:/host"]}}, ensure_ascii=False))
    assert refused(json.dumps({"HostConfig": {spelt: ["/:/host"]}}))


@pytest.mark.parametrize("text", [r'{"a": "x\u003dy"}', f'"{NAME}:1"', '"Privileged', '"Privileged": true', "\\"])
def test_what_stands_inside_of_a_string_is_text_whatever_it_looks_like(text: str) -> None:
    assert not refused(json.dumps({"Env": [f"A={text}"], "Cmd": [text, {text: text}]}))
    assert refused(json.dumps({"Env": [f"A={text}"], "HostConfig": {"Privileged": True}}))


def test_an_escape_behind_an_escaped_backslash_is_an_escape() -> None:
    assert refused(r'{"\\\u0050": 1}')


def test_what_decides_does_not_match_what_is_no_json() -> None:
    for text in ('{"Image": "app', '"', '{} \\"', f"{ID} {{}}"):
        assert not re.search(clean(NAME, NAME), text)


@pytest.mark.parametrize("many", [1, 1_000, 5_000])
def test_a_long_list_hides_nothing_behind_it(many: int) -> None:
    assert not refused(json.dumps({"HostConfig": {"Binds": ["v:/x"] * many, "VolumesFrom": ["abcdef"] * many}}))
    assert refused(json.dumps({"HostConfig": {"Binds": [*["v:/x"] * many, "/:/h"]}}))
    assert refused(json.dumps({"HostConfig": {"VolumesFrom": [*["abcdef"] * many, PROXY[:5]]}}))


@pytest.mark.parametrize("name", ["3-live", "3a_db:ro", "3a2b1c.web", "3a2b1c0d9e8f-x", "jenkins-docker-proxy-2", "b"])
def test_a_name_that_only_begins_like_the_proxys_is_anothers(name: str) -> None:
    assert not refused(json.dumps({"HostConfig": {"VolumesFrom": [name]}}))
    assert refused(json.dumps({"HostConfig": {"VolumesFrom": [name, PROXY]}}))


def test_no_sign_behind_the_proxys_name_makes_it_anothers() -> None:
    for name in ("3a2b", PROXY, NAME):
        for mode in ("", ":", ":ro", ":rw,z", r"\u003aro"):
            assert refused(f'{{"HostConfig": {{"VolumesFrom": ["{name}{mode}"]}}}}')


def test_a_path_that_is_escaped_is_a_path() -> None:
    assert refused(r'{"HostConfig": {"Binds": ["\/:\/host"]}}')
    assert refused(r'{"HostConfig": {"Binds": [null, "\u002f:/host"]}}')


def test_a_privileged_command_is_refused_and_a_plain_one_is_not() -> None:
    assert refused('{"Privileged":true,"Cmd":["id"]}')
    assert not refused('{"Privileged":false,"Tty":false,"Cmd":["sh","-c","echo \\"Privileged\\": true"]}')


def test_the_configuration_holds_every_rule_and_logs_no_query() -> None:
    text = haproxy.render(
        socket="/run/x/docker.sock", engine="/var/run/docker.sock", container="a.b", volume="v", images=DEPLOYED
    )
    for call in CALLS:
        assert f"'{call.expression}'" in text
    for rule in rules("a.b"):
        assert rule.words in text
    assert f"acl clean var(txn.body) -m reg -i '{clean('a.b', 'v')}'" in text
    assert "bind unix@/run/x/docker.sock mode 660" in text
    assert r"/containers/a\.b(/|$)" in text
    # A quiet build may take days; nothing but a request that does not come is given up.
    assert text.count(" 20d\n") == 3
    [line] = [line for line in text.splitlines() if "log-format" in line]
    assert "%HP" in line
    assert not re.search(r"%(r|HU|HQ)\b", line)


def test_no_word_of_the_rules_ends_the_quotes_that_it_stands_in() -> None:
    text = haproxy.render(socket="/s", engine="/e", container="it's", volume="v", images=DEPLOYED)
    assert r"it'\''s" in text
