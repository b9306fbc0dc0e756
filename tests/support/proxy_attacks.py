"""Requests of a client of ill will: what a filter before an engine's socket must not let through.

Bodies are written as data and sent in every disguise; what is wrong with a request itself is written as bytes.
"""

from __future__ import annotations

import json
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tests.support.filter import ID, NAME, OWN_ID
from tests.support.names import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

V: Final = "/v1.41"
CANARY: Final = f"{PREFIX}-canary"
"""A container that only a request which got past the proxy would make."""


def send(entrance: Path, text: str | bytes, until: str = "") -> str:
    """Send bytes as they are; give what is answered until its end, or a moment of silence behind the awaited words."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(12)  # longer than the proxy waits for a body
        made.connect(str(entrance))
        answer = b""
        with suppress(TimeoutError, ConnectionError):
            made.sendall(text.encode() if isinstance(text, str) else text)
            while piece := made.recv(65536):
                answer += piece
                if until and until.encode() in answer:
                    made.settimeout(0.15)
    return answer.decode(errors="replace")


def request(line: str, body: str | bytes = "", *headers: str, version: str = "1.1") -> bytes:
    """Write a request with a JSON body, if there is one."""
    raw = body if isinstance(body, bytes) else body.encode()
    about = [f"Content-Length: {len(raw)}", "Content-Type: application/json"] if raw else []
    head = [f"{line} HTTP/{version}", "Host: docker", "Connection: close", *about, *headers, "", ""]
    return "\r\n".join(head).encode() + raw


def is_the_proxys(answer: str) -> bool:
    """Say whether nothing but the proxy has answered: by its own words, or by hanging up."""
    words = (
        r"refused by the proxy of this CI|no such object|^HTTP/1\.1 400 Bad request\r|^HTTP/1\.1 408 Request Time-out"
    )
    own = len(re.findall(words, answer, re.MULTILINE))
    return not answer or (
        answer.startswith("HTTP/1.1 4") and len(re.findall(r"^HTTP/1\.1 ", answer, re.MULTILINE)) == own
    )


def evil(**host: Any) -> str:
    """Write the body of a new container with this HostConfig."""
    return json.dumps({"Image": "alpine:latest", "HostConfig": host})


def created(body: str | bytes, *headers: str) -> bytes:
    """Write the request for a new container."""
    return request(f"POST {V}/containers/create", body, *headers)


def chunked(body: str) -> bytes:
    """Write a body in one chunk."""
    return f"{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode()


def _mount(**more: Any) -> dict[str, Any]:
    return {"Mounts": [{"Type": "volume", "Source": "cache", "Target": "/c", **more}]}


def _endpoint(name: str = "web", **more: Any) -> dict[str, Any]:
    return {"NetworkingConfig": {"EndpointsConfig": {name: more}}}


HOST: Final[list[dict[str, Any]]] = [
    # A second name for the proxy's container. The engine joins the new container's name and the alias as paths.
    *({"Links": [link]} for link in (
        f"{OWN_ID[0]}:../side", f"/{NAME}:/x/foo", f"{NAME}:a", NAME, OWN_ID, f"{OWN_ID[:5]}:a",
        f"{OWN_ID}{'0' * 52}:a",
        "db:../side", "db:/x/foo", "db:a/b", "db:..", "hop/side:a", "../db:a", "db:", ":a", "db:a:b",
    )),
    {"Links": ["db:db", f"{NAME}:a"]},
    {"Links": "db:db"},
    # The engine as a client of what only its host reaches, or as a reader of the host's files.
    *({"LogConfig": log} for log in (
        {"Type": "syslog", "Config": {"syslog-address": "tcp://127.0.0.1:6379", "tag": "{{.ID}}"}},
        {"Type": "syslog", "Config": {"syslog-address": "unixgram:///run/systemd/notify"}},
        {"Type": "syslog", "Config": {"syslog-tls-ca-cert": "/etc/shadow"}},
        {"Type": "fluentd", "Config": {"fluentd-address": "unix:///run/x"}},
        {"Type": "gelf", "Config": {"gelf-address": "udp://127.0.0.1:1"}},
        {"Type": "splunk", "Config": {"splunk-url": "http://127.0.0.1"}},
        {"Type": "awslogs"}, {"Type": "gcplogs"}, {"Type": "journald"}, {"Type": "etwlogs"}, {"Type": "logentries"},
        {"Type": "plugin:latest"}, {"Type": "JSON-FILE"},
        {"Config": {"syslog-address": "tcp://127.0.0.1:1"}},
        {"Type": "json-file", "Config": {"tag": "{{.ID}}"}},
        {"Type": "json-file", "Config": {"max-size": "1" * 20}},
        {"Type": "local", "Config": {"max-buffer-size": "900g"}},
    )),
    # Root as it is on the host.
    {"Privileged": True}, {"Privileged": "true"}, {"Privileged": 1},
    *({"CapAdd": caps} for caps in (["SYS_ADMIN"], ["ALL"], ["CAP_SYS_PTRACE"], ["CHOWN", "sys_module"], "ALL",
        ["BPF"])),
    *({"SecurityOpt": [option]} for option in (
        "seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined", "label=disable", "label:type:spc_t",
        "no-new-privileges:false", "writable-cgroups=true", "credentialspec=file:///x",
    )),
    {"MaskedPaths": []}, {"ReadonlyPaths": []}, {"MaskedPaths": ["/x"]},
    {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]},
    {"DeviceRequests": [{"Count": -1}]}, {"DeviceCgroupRules": ["a *:* rwm"]},
    {"Runtime": "other"}, {"Annotations": {"io.example": "1"}}, {"StorageOpt": {"size": "1G"}},
    {"CgroupParent": "/"}, {"Cgroup": "container:x"}, {"CgroupnsMode": "host"}, {"Isolation": "process"},
    {"Sysctls": {"kernel.msgmax": "1"}}, {"Sysctls": {"net/../kernel/core_pattern": "|/x"}},
    {"Sysctls": {"net.core.somaxconn": "1", "vm.overcommit_memory": "1"}},
    {"OomScoreAdj": -1000}, {"OomKillDisable": True}, {"CpuRealtimeRuntime": 95000}, {"CpuRealtimePeriod": 1},
    # Name spaces of the host and of others.
    *({"PidMode": mode} for mode in ("host", f"container:{ID}", f"container:{NAME}")),
    *({"IpcMode": mode} for mode in ("host", f"container:{ID}")), {"UTSMode": "host"}, {"UsernsMode": "host"},
    *({"NetworkMode": mode} for mode in ("host", f"container:{ID}", "container:db", "ns:/proc/1/ns/net", "../host")),
    # Folders of the host, and the proxy's volume.
    *({"Binds": binds} for binds in (
        ["/:/host"], ["cache:/c", "/var/run:/x:ro"], ["a]b:/c", "/proc:/p"], ["./x:/y"], ["~:/x"], ["../..:/x"],
        [f"{NAME}:/x"], [f"{NAME}:/x:ro"], ["/"], "/:/host", ["cache:/c:ro:/host"], [None, "/:/h"], ["\\/:/h"],
        [*["v:/x"] * 4000, "/:/h"], ["v" * 40_000, "/:/h"], ["c:\\x:/y"],
    )),
    *({"VolumesFrom": names} for names in (
        [NAME], [ID, f"/{NAME}:rw"], [OWN_ID], [f"{OWN_ID[:3]}:ro"], [f"{OWN_ID}{'0' * 52}"], [OWN_ID[0]], ["hop/side"],
        [*["abcdef"] * 3000, NAME], f"{NAME}", [f"{NAME}:rw,z"], ["side/../x"],
    )),
    _mount(Type="bind", Source="/"), _mount(Type="npipe"), _mount(Type="cluster"), _mount(Type="image"),
        _mount(Type="VOLUME"),
    _mount(Source=NAME), _mount(Source="/"), _mount(Source="../x"), _mount(BindOptions={"Propagation": "shared"}),
    _mount(VolumeOptions={"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}}),
    _mount(VolumeOptions={"DriverConfig": {"Name": "other"}}), _mount(VolumeOptions={"Subpath": "../../x"}),
    _mount(ImageOptions={"Subpath": "x"}), _mount(ClusterOptions={}),
    {"Mounts": {"Type": "bind"}}, {"VolumeDriver": "other"}, {"Tmpfs": {"/x": "rw;x"}},
    # Paths of the host, of which the answer tells whether they exist.
    *({key: [{"Path": "/etc/x", "Rate": 1}]} for key in (
        "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "BlkioWeightDevice",
    )),
    # What nobody knows today.
    {"AFieldOfTomorrow": True}, {"InitPath": "/x"}, {"Capabilities": ["ALL"]}, {"RestartPolicy": {"Other": 1}},
    {"PortBindings": {"80/tcp": [{"HostPort": "80", "Other": 1}]}}, {"Ulimits": [{"Name": "x", "Other": 1}]},
]  # fmt: skip
"""HostConfig of containers."""

CONTAINERS: Final[list[dict[str, Any]]] = [
    {"AFieldOfTomorrow": 1}, {"Privileged": True}, {"Binds": ["/:/h"]}, {"Cpuset": "0"}, {"Healthcheck": {"Other": 1}},
    {"Volumes": {"/:/host": {}}}, {"Volumes": {"/x": {"Source": "/"}}}, {"HostConfig": [{"Privileged": True}]},
    _endpoint("host"), _endpoint("container:db"), _endpoint(NetworkID="host"), _endpoint(Links=[f"{NAME}:a"]),
    _endpoint(DriverOpts={"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}),
    *(_endpoint(**{key: "192.0.2.1"}) for key in ("Gateway", "IPAddress", "IPv6Gateway", "GlobalIPv6Address")),
    _endpoint(EndpointID="x"),
    _endpoint(IPPrefixLen=1), _endpoint(GlobalIPv6PrefixLen=1), _endpoint(DNSNames=["db"]),
    _endpoint(IPAMConfig={"Other": 1}), _endpoint(AFieldOfTomorrow=1),
    {"NetworkingConfig": {"endpointsconfig": {"host": {}}}}, {"NetworkingConfig": {"Other": {"host": {}}}},
]  # fmt: skip
"""What else a container's body may say."""

OTHERS: Final[dict[str, list[dict[str, Any]]]] = {
    f"/containers/{ID}/exec": [{"Privileged": True, "Cmd": ["id"]}, {"Other": 1}, {"HostConfig": {}}],
    "/networks/create": [
        {"Driver": "macvlan", "Options": {"parent": "eth0"}}, {"Driver": "host"}, {"Driver": "overlay"},
        {"Options": {"com.docker.network.bridge.name": "docker0"}}, {"ConfigFrom": {"Network": "x"}},
        {"ConfigOnly": True}, {"IPAM": {"Driver": "other"}}, {"IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}},
        {"IPAM": {"Options": {"a": "b"}}}, {"Ingress": True}, {"Scope": "swarm"}, {"Name": "host"}, {"Name": "../x"},
        {"Other": 1},
    ],
    "/volumes/create": [
        {"DriverOpts": {"type": "none", "o": "bind", "device": "/"}}, {"Driver": "other"}, {"ClusterVolumeSpec": {}},
        {"Name": NAME}, {"Name": "/"}, {"Other": 1},
    ],
    "/networks/n/connect": [
        {"Container": NAME}, {"Container": OWN_ID[:2]}, {"Container": "db", "EndpointConfig": {"Links": [f"{NAME}:a"]}},
        {"Container": "db", "EndpointConfig": {"DriverOpts": {"a": "b"}}},
    ],
    "/networks/n/disconnect": [{"Container": f"/{NAME}"}],
}  # fmt: skip
"""Other bodies that make something, with their paths."""

DISGUISES: Final[dict[str, Callable[[str, str], str]]] = {
    "as it is": lambda text, _: text,
    "in capitals": lambda text, key: text.replace(f'"{key}"', f'"{key.upper()}"'),
    "in small letters": lambda text, key: text.replace(f'"{key}"', f'"{key.lower()}"'),
    "with a long s or the sign for kelvin": lambda text, key: text.replace(
        f'"{key}"', f'"{key.replace("s", chr(0x17F)).replace("k", chr(0x212A)).replace("S", chr(0x17F))}"'
    ),
    "with an escape": lambda text, key: text.replace(f'"{key}"', f'"\\u00{ord(key[0]):02x}{key[1:]}"'),
    "with space": lambda text, key: text.replace(f'"{key}": ', f'"{key}"\n\t :\r\n  '),
    "behind a harmless twin": lambda text, key: text.replace(f'"{key}"', f'"{key}": null, "{key}"'),
    "behind a small twin": lambda text, key: text.replace(f'"{key}"', f'"{key.lower()}": null, "{key}"'),
    "with slashes and letters as escapes": lambda text, key: text.replace("/", "\\u002f").replace("host", "\\u0068ost"),
    "before a harmless twin": lambda text, _: text[:-1] + ', "HostConfig": {}}',
    "behind a whole body": lambda text, _: '{"Image": "alpine:latest"}' + text,
}  # fmt: skip


def bodies() -> Iterator[tuple[str, bytes]]:
    """Give every body in each disguise, with what it is."""
    for host in HOST:
        for kind, disguise in DISGUISES.items():
            yield f"{json.dumps(host)[:80]} {kind}", created(disguise(evil(**host), next(iter(host))))
    for body in CONTAINERS:
        for kind, disguise in DISGUISES.items():
            text = disguise(json.dumps({"Image": "alpine:latest", **body}), next(iter(body)))
            yield f"{json.dumps(body)[:80]} {kind}", created(text)
    for path, several in OTHERS.items():
        for body in several:
            yield f"{path} {json.dumps(body)}", request(f"POST {V}{path}", json.dumps(body))
    for query in (f"name={NAME}", f"name=/{NAME}", "name=../x", "unknown=1", f"name=db&name={NAME}", "checkpoint=x"):
        yield query, request(f"POST {V}/containers/create?{query}", CREATE)
    for path in ("/containers/create", "/networks/create", "/volumes/create", f"/containers/{ID}/exec"):
        yield f"{path} a list", request(f"POST {V}{path}", "[{}]")


LINES: Final = f"""
POST /swarm/init|GET /swarm|GET /nodes|GET /secrets|GET /configs|GET /plugins|POST /plugins/pull?remote=x
POST /plugins/x/enable
POST /services/create|POST /secrets/create|POST /configs/create|GET /tasks|GET /system/df|GET /distribution/a/json
POST /volumes/prune|POST /networks/prune|POST /containers/prune|POST /images/prune|POST /build/prune
POST /build/cancel?id=x
POST /commit?container={ID}|POST /commit?container={NAME}&repo=x|POST /images/load|POST /images/load?quiet=1
POST /session
POST /grpc|POST /containers/{ID}/update
POST /containers/{ID}/rename?name={NAME}|POST /containers/{NAME}/rename?name=x|GET /containers/{ID}/export
POST /containers/{ID}/checkpoints|GET /containers/{ID}/attach/ws|POST /containers/{ID}/copy|GET /debug/pprof
GET /debug/vars
GET /metrics|PUT /containers/create|GET /containers/create|post /containers/create|DELETE /info|PATCH /info
GET /images/search?term=x
GET /containers/{NAME}/json|GET /containers/{NAME}/logs?stdout=1|POST /containers/{NAME}/exec
DELETE /containers/{NAME}?force=1
GET /containers/{OWN_ID[0]}/json|POST /containers/{OWN_ID}/stop|POST /containers/{OWN_ID}{"0" * 52}/kill
POST /containers/{OWN_ID[:6]}/start|GET /containers/{NAME}/archive?path=/|PUT /containers/{NAME}/archive?path=/
POST /containers/{NAME}/pause|GET /containers/{NAME}/stats|GET /containers/{NAME}/top
POST /containers/{NAME}/attach?stream=1
POST /containers/%6aenkins-docker-proxy/kill|GET /containers/hop1/foo/logs|POST /containers/hop1%2Ffoo/exec
GET /volumes/{NAME}|DELETE /volumes/{NAME}|DELETE /volumes/{NAME}?force=1|PUT /volumes/v|POST /networks/host/connect
POST /build?t=haproxy|POST /build?t=haproxy:3.2.21-alpine|POST /build?t=app&t=haproxy%3A3.3
POST /build?t=library/haproxy:x
POST /build?t=docker.io%2Fhaproxy|POST /build?t=index.docker.io/library/haproxy|POST /build?t=%20haproxy
POST /build?t=+haproxy
POST /build?t=ci-jenkins:real|POST /build?t=registry.example.org:5000/ci/jenkins:2|POST /build?t=docker:28.5.2-cli
POST /build?%74=haproxy|POST /build?t=h%61proxy|POST /images/app/tag?repo=haproxy&tag=3.2.21-alpine
POST /images/app/tag?repo=docker&tag=28.5.2-cli|POST /images/app/tag?tag=x&repo=docker.io/library/ci-jenkins
POST /images/create?fromImage=haproxy&tag=3.2.21-alpine
POST /images/create?fromImage=docker.io%2Flibrary%2Fhaproxy&tag=1
POST /images/create?fromImage=haproxy:3.2.21-alpine|POST /images/create?fromImage=ci-jenkins
POST /images/create?fromSrc=-&repo=haproxy
POST /images/create?fromImage=registry.example.org:5000/ci/jenkins&tag=1|POST /images/create?repo=haproxy
DELETE /images/haproxy:3.2.21-alpine?force=1|DELETE /images/docker.io/library/haproxy@sha256:{ID}|DELETE /images/haproxy
DELETE /images/docker.io%2Flibrary%2Fhaproxy|DELETE /images/docker:28.5.2-cli|DELETE /images/ci-jenkins:real
POST /build?networkmode=host|POST /build?networkmode=default&networkmode=host|POST /build?networkmode=container:db
POST /build?networkmode=%68ost|POST /build?network%6dode=host|POST /build?t=app;networkmode=host
POST /build?Networkmode=host
POST /build?remote=https://git.example.org/a.git|POST /build?securityopt=%5B%5D|POST /build?version=2
POST /build?cgroupparent=/
POST /build?outputs=x|POST /build?session=x|POST /build?unknown=1|POST /build?t=%|POST /build?t=%zz
POST /build??networkmode=host
POST /images/create?fromSrc=-|POST /containers/{ID}/start?checkpoint=a&checkpoint-dir=/|GET /info/|GET /INFO
GET /info%2f|GET /info;x=1
"""
"""Requests without a body, without their version."""

CREATE: Final = evil()
SMUGGLED: Final = request(f"POST {V}/containers/create?name={CANARY}", evil(Privileged=True))
BINDS: Final = '{"Image":"alpine:latest","HostConfig":{%s}}'
_CHUNKS: Final = request(f"POST {V}/containers/create", "", "Transfer-Encoding: chunked")
_LATE: Final = '{"Image":"alpine:latest",' + " " * 70_000 + '"HostConfig":{"Privileged":true}}'

RAW: Final[dict[str, bytes]] = {
    # The path.
    "two slashes": request(f"POST {V}//swarm/prune"),
    "two slashes in front": request(f"POST /{V}/swarm/prune"),
    "two slashes before a known one": request(f"GET {V}//info"),
    "a dot": request(f"GET {V}/./info"),
    "two dots": request(f"POST {V}/containers/../swarm/prune"),
    "two dots in code": request(f"POST {V}/containers/%2e%2e/swarm/prune"),
    "a slash in code": request(f"POST {V}/containers%2fcreate/../../swarm/prune"),
    "code of code": request(f"POST {V}/images/x%252f..%252f..%252fvolumes/prune"),
    "an image's name that climbs": request(f"DELETE {V}/images/x/../../swarm/{CANARY}"),
    "a container's name that climbs": request(f"GET {V}/containers/x/../../swarm/x/json"),
    "a backslash": request(f"POST {V}/containers\\..\\volumes\\prune"),
    "a null in code": request(f"GET {V}/info%00/json"),
    "a fragment": request(f"GET {V}/swarm#/info"),
    "a space in front": request(f"GET  {V}/swarm"),
    "the known one first": request(f"GET {V}/info/../swarm"),
    "the whole address": request(f"POST http://docker{V}/swarm/prune"),
    "the whole address of a known one": request(f"GET http://docker{V}/info"),
    "the whole address of another scheme": request(f"GET unix://docker{V}/info"),
    "no path": request("GET docker"),
    "a star": request("OPTIONS *"),
    # The version.
    "an old version": request("GET /v1.23/info"),
    "a start as it once was": request(f"POST /v1.20/containers/{ID}/start", evil(Privileged=True)),
    "two versions": request(f"POST {V}{V}/containers/create", CREATE),
    "a version of zeros": request("GET /v1.0041/info"),
    "a version beyond": request("GET /v2.0/info"),
    # The method.
    "a method in small letters": request(f"get {V}/info"),
    "an override by a header": request(f"GET {V}/swarm/prune", "", "X-HTTP-Method-Override: POST"),
    "a method of a client's own": request(f"FOO {V}/info"),
    "a connection to elsewhere": request("CONNECT docker:80"),
    "a trace": request(f"TRACE {V}/info"),
    # The query.
    "a form for a query": request(
        f"POST {V}/build", "", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"
    ),
    "a form beside a type": request(
        f"POST {V}/build", "", "Content-Type: application/x-tar", "Content-Type: application/x-www-form-urlencoded"
    ),
    # The protocol.
    "HTTP of before": request("GET /info", version="1.0"),
    "HTTP of once": b"GET /info\r\n\r\n",
    "a tunnel to BuildKit": request("POST /grpc", "", "Connection: Upgrade", "Upgrade: h2c"),
    "a tunnel for a session": request("POST /session", "", "Connection: Upgrade", "Upgrade: h2c"),
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # Two requests for one.
    "a length and chunks": created(CREATE, "Transfer-Encoding: chunked"),
    "chunks alone": _CHUNKS + chunked(evil(Privileged=True)),
    "chunks beyond what is kept": _CHUNKS + chunked(_LATE),
    "chunks of one byte": _CHUNKS + "".join(f"1\r\n{byte}\r\n" for byte in _LATE).encode() + b"0\r\n\r\n",
    "chunks in disguise": _CHUNKS.replace(b"Encoding:", b"Encoding :") + chunked(CREATE),
    "chunks of a kind": request(f"POST {V}/auth", "", "Transfer-Encoding: xchunked") + SMUGGLED,
    "two lengths": request(f"POST {V}/auth", "", "Content-Length: 2", "Content-Length: 0") + b"{}" + SMUGGLED,
    "a length below nothing": request(f"POST {V}/auth", "", "Content-Length: -1") + SMUGGLED,
    "a length with a sign": request(f"POST {V}/containers/create", "", "Content-Length: +2") + b"{}",
    "a body that does not come": request(f"POST {V}/containers/create", "", "Content-Length: 900") + CREATE.encode(),
    "a header over two lines": request(f"POST {V}/swarm/create", json.dumps({"Name": CANARY}), "A: b\r\n c: d"),
    "a line feed alone": f"GET {V}/swarm HTTP/1.1\nHost: docker\n\n".encode(),
    # The body.
    "a body without an end": created("x" * 300_000),
    "a path behind much space": created(BINDS % ('"Binds":[' + " " * 40_000 + '"/:/h"]')),
    "another key's string before": created(BINDS % '"Env":["\\"Privileged\\": false"],"Privileged":true'),
    "lists in lists": created("[" * 200_000),
    "objects in objects": created('{"HostConfig":' * 10_000),
    "behind a zero byte": created('{"Image":"a"}\0{"HostConfig":{"Privileged":true}}'),
    "behind a zero byte in a string": created('{"Image":"a\0","HostConfig":{"Privileged":true}}'),
    "behind a byte order mark": created("\ufeff" + evil(Privileged=True)),
    "behind a comment": created('{"Image":"a",/* */"HostConfig":{"Privileged":true}}'),
    "keys without quotes": created('{Image:"a",HostConfig:{Privileged:true}}'),
    "a comma too many": created('{"Image":"a","HostConfig":{"Privileged":true},}'),
    "in another encoding": created(evil(Privileged=True).encode("utf-16")),
    "no end of a string": created('{"Image":"alpine:latest'),
    "two configurations": created('{"HostConfig":{},"Image":"alpine:latest","HostConfig":{"Privileged":true}}'),
    "two configurations, one escaped": created('{"HostConfig":{},"Host\\u0043onfig":{"Privileged":true}}'),
    "more values than a client has": created(evil(Dns=[""] * 10_000)),
    "an unpaired surrogate": created('{"HostConfig":{"Privileged\\ud800":true}}'),
    "bytes that are no UTF-8": created(b'{"HostConfig":{"Privileged\xff":true}}'),
    "no body": created(""),
    "nothing but null in a list": created("[null]"),
}
"""What is wrong with the request itself."""


def attacks() -> dict[bytes, str]:
    """Give every request once, with what it is."""
    lines = [line for line in re.split(r"[|\n]", LINES) if line]
    every = [
        *bodies(),
        *((line, request(line.replace(" /", f" {V}/", 1))) for line in lines),
        *RAW.items(),
    ]
    return {raw: kind for kind, raw in reversed(every)}
