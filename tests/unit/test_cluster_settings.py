"""What a stack on Kubernetes may say, and what is answered to what it may not."""

from typing import Any

import pytest

from tests.support.kubernetes_stack import HASH, INLINE, PEM_KEY, build, refused, settings

PLAIN = {"plainHttp": True}


def one(**keys: Any) -> dict[str, Any]:
    """Give the keys of a stack with one build."""
    return {"builds": [build(**keys)]}


def registry(**keys: Any) -> dict[str, Any]:
    return {"registry": {**PLAIN, **keys}}


def git(**keys: Any) -> dict[str, Any]:
    return one(context={"git": {"repository": "https://git.example.org/x.git", **keys}})


def cluster(**keys: Any) -> dict[str, Any]:
    return {"kubernetes": keys}


def test_the_smallest_stack_has_the_documented_defaults() -> None:
    stack = settings()
    assert stack.kubernetes.namespace == "ci"
    assert stack.kubernetes.egress == stack.registry.allow_from == ("0.0.0.0/0", "::/0")
    assert stack.kubernetes.kaniko_image.startswith("ghcr.io/osscontainertools/kaniko:")
    assert stack.registry.image == "registry:3.1.2"
    assert (stack.registry.user, stack.registry.storage_gib) == ("ci", 20)
    assert stack.registry.garbage_collection is not None
    assert stack.builds == ()


def test_the_smallest_build_has_the_documented_defaults() -> None:
    [made] = settings(**one()).builds
    assert (made.builder, made.dockerfile, made.destinations) == ("kaniko", "Dockerfile", ())
    assert (made.resources.cpu_millicores, made.resources.memory_mib, made.resources.disk_mib) == (1000, 1024, 8192)
    assert (made.deadline_seconds, made.retries, made.schedule, made.trigger) == (1800, 0, None, "")
    assert (made.cache.enabled, made.cache.hours) == (True, 336)


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("Kubernetes' own namespace", cluster(namespace="kube-system"), "ci:kubernetes.namespace", "not_accepted"),
    ("the default namespace", cluster(namespace="default"), "ci:kubernetes.namespace", "not_accepted"),
    ("capitals in a namespace", cluster(namespace="My CI"), "ci:kubernetes.namespace", "not_accepted"),
    ("a namespace too long", cluster(namespace="n" * 57), "ci:kubernetes.namespace", "not_accepted"),
    ("bits beyond the mask", cluster(egress=["10.0.0.1/8"]), "ci:kubernetes.egress[0]", "not_accepted"),
    ("a name for a network", cluster(egress=["github.com"]), "ci:kubernetes.egress[0]", "not_accepted"),
    ("two lines of a context", cluster(context="a\nb"), "ci:kubernetes.context", "not_accepted"),
    ("an empty path", cluster(kubeconfig=""), "ci:kubernetes.kubeconfig", "not_accepted"),
    ("a DNS namespace that is none", cluster(dnsNamespace="kube_dns"), "ci:kubernetes.dnsNamespace", "not_accepted"),
    ("half a quota", cluster(quota={"cpuMillicores": 500}), "ci:kubernetes.quota.memoryMib", "missing"),
    (
        "the archived kaniko",
        cluster(kanikoImage="gcr.io/kaniko-project/executor:v1.24.0"),
        "ci:kubernetes.kanikoImage",
        "vulnerable",
    ),
    ("a moving kaniko", cluster(kanikoImage="kaniko:latest"), "ci:kubernetes.kanikoImage", "not_accepted"),
    (
        "object storage with a path",
        cluster(objectStorage={"endpoint": "https://s3/x"}),
        "ci:kubernetes.objectStorage.endpoint",
        "not_accepted",
    ),
    ("a short password", {"registryPassword": "hunter2"}, "ci:registryPassword", "not_accepted"),
    ("neither TLS nor plain HTTP", {"registry": {}}, "ci:registry.tls", "not_confirmed"),
    ("both", registry(tls={"issuer": "x"}), "ci:registry.plainHttp", "conflict"),
    ("TLS from nowhere", {"registry": {"tls": {}}}, "ci:registry.tls", "one_of"),
    ("TLS from two places", {"registry": {"tls": {"issuer": "x", "secretName": "y"}}}, "ci:registry.tls", "one_of"),
    (
        "a kind without an issuer",
        {"registry": {"tls": {"secretName": "y", "issuerKind": "Issuer"}}},
        "ci:registry.tls.issuerKind",
        "no_effect",
    ),
    (
        "a certificate without its key",
        {"registry": {"tls": {"certificateFile": "x.pem"}}},
        "ci:registryTlsKey",
        "required",
    ),
    ("a key without its certificate", {"registryTlsKey": PEM_KEY}, "ci:registry.tls.certificateFile", "required"),
    ("a registry with a known hole", registry(image="registry:3.1.1"), "ci:registry.image", "vulnerable"),
    ("a registry of the last century", registry(image="registry:2"), "ci:registry.image", "vulnerable"),
    (
        "the same under its other name",
        registry(image="distribution/distribution:3.0.0"),
        "ci:registry.image",
        "vulnerable",
    ),
    ("an ingress without a name", registry(ingress={}), "ci:registry.host", "required"),
    ("two ways in", registry(ingress={}, host="r.example.org", nodePort=30500), "ci:registry.nodePort", "no_effect"),
    ("a node port below the range", registry(nodePort=5000), "ci:registry.nodePort", "not_accepted"),
    ("a host with a scheme", registry(host="https://r.example.org"), "ci:registry.host", "not_accepted"),
    ("a host that reads as a folder", registry(host="registry"), "ci:registry.host", "not_accepted"),
    ("a port that is none", registry(host="r.example.org:99999"), "ci:registry.host", "not_accepted"),
    ("a user with a colon", registry(user="a:b"), "ci:registry.user", "not_accepted"),
    ("a storage class that is no name", registry(storageClass="Fast SSD"), "ci:registry.storageClass", "not_accepted"),
    ("no storage", registry(storageGib=0), "ci:registry.storageGib", "not_accepted"),
    ("a user twice", registry(users=[{"name": "ci", "passwordHash": HASH}]), "ci:registry.users[0].name", "duplicate"),
    (
        "two users of a name",
        registry(users=[{"name": "a", "passwordHash": HASH}, {"name": "a", "passwordHash": HASH}]),
        "ci:registry.users[1].name",
        "duplicate",
    ),
    (
        "a hash that is not bcrypt's",
        registry(users=[{"name": "a", "passwordHash": "{SHA}abc"}]),
        "ci:registry.users[0].passwordHash",
        "not_accepted",
    ),
    (
        "a hash of few rounds",
        registry(users=[{"name": "a", "passwordHash": HASH.replace("$10$", "$05$")}]),
        "ci:registry.users[0].passwordHash",
        "not_accepted",
    ),
    ("a mirror's user without a password", registry(mirror={"user": "team"}), "ci:mirrorPassword", "required"),
    (
        "a mirror's password without a user",
        {**registry(mirror={}), "mirrorPassword": "pass-word-x"},
        "ci:registry.mirror.user",
        "required",
    ),
    (
        "a mirror of a path",
        registry(mirror={"upstream": "https://r.io/x"}),
        "ci:registry.mirror.upstream",
        "not_accepted",
    ),
    ("a mirror of nobody", registry(mirror={"hosts": []}), "ci:registry.mirror.hosts", "not_accepted"),
    (
        "collections as Jenkins writes them",
        registry(garbageCollection={"schedule": "H 3 * * *"}),
        "ci:registry.garbageCollection.schedule",
        "not_accepted",
    ),
    ("a build's name with a dot", one(name="web.site"), "ci:builds[0].name", "not_accepted"),
    ("a build's name too long", one(name="n" * 38), "ci:builds[0].name", "not_accepted"),
    ("a builder that is none", one(builder="docker"), "ci:builds[0].builder", "not_accepted"),
    ("no context", one(context={}), "ci:builds[0].context", "one_of"),
    ("two contexts", one(context={**INLINE, "directory": "x"}), "ci:builds[0].context", "one_of"),
    ("a Dockerfile that is not there", one(dockerfile="ci/Dockerfile"), "ci:builds[0].dockerfile", "conflict"),
    ("a Dockerfile outside", one(dockerfile="../Dockerfile"), "ci:builds[0].dockerfile", "not_accepted"),
    ("a Dockerfile at the root", one(dockerfile="/Dockerfile"), "ci:builds[0].dockerfile", "not_accepted"),
    ("a folder for a Dockerfile", one(dockerfile="ci/"), "ci:builds[0].dockerfile", "not_accepted"),
    (
        "an inline file outside",
        one(context={"inline": {"Dockerfile": "", "../x": ""}}),
        "ci:builds[0].context.inline.../x",
        "not_accepted",
    ),
    (
        "a file inside a file",
        one(context={"inline": {"Dockerfile": "", "a": "", "a/b": ""}}),
        "ci:builds[0].context.inline",
        "conflict",
    ),
    (
        "an inline file beyond a ConfigMap",
        one(context={"inline": {"Dockerfile": "x" * 1_000_001}}),
        "ci:builds[0].context.inline.Dockerfile",
        "not_accepted",
    ),
    (
        "a credential in an address",
        git(repository="https://me:hunter2@g.org/x"),
        "ci:builds[0].context.git.repository",
        "not_accepted",
    ),
    (
        "a repository of a machine",
        git(repository="/srv/git/x.git"),
        "ci:builds[0].context.git.repository",
        "not_accepted",
    ),
    ("the short form of ssh", git(repository="git@g.org:x.git"), "ci:builds[0].context.git.repository", "not_accepted"),
    ("a ref with blanks", git(ref="my branch"), "ci:builds[0].context.git.ref", "not_accepted"),
    ("a ref that is an option", git(ref="--upload-pack=x"), "ci:builds[0].context.git.ref", "not_accepted"),
    ("a folder outside of the repository", git(directory="../x"), "ci:builds[0].context.git.directory", "not_accepted"),
    ("a token that there is not", git(credentials="gitToken"), "ci:gitToken", "required"),
    (
        "a key for https",
        {**git(credentials="gitSshKey"), "gitSshKey": PEM_KEY},
        "ci:builds[0].context.git.credentials",
        "conflict",
    ),
    (
        "known hosts for https",
        git(knownHosts="g.org ssh-ed25519 AAAA"),
        "ci:builds[0].context.git.knownHosts",
        "no_effect",
    ),
    (
        "ssh to whoever answers",
        {**git(repository="ssh://git@g.org/x", credentials="gitSshKey"), "gitSshKey": PEM_KEY},
        "ci:builds[0].context.git.knownHosts",
        "required",
    ),
    (
        "ssh without a key",
        git(repository="ssh://git@g.org/x", knownHosts="g.org ssh-ed25519 AAAA"),
        "ci:builds[0].context.git.credentials",
        "conflict",
    ),
    (
        "an archive that is a zip",
        one(context={"archive": "https://f.org/x.zip"}),
        "ci:builds[0].context.archive",
        "not_accepted",
    ),
    (
        "an archive over http",
        one(context={"archive": "http://f.org/x.tgz"}),
        "ci:builds[0].context.archive",
        "not_accepted",
    ),
    (
        "a credential in an archive's address",
        one(context={"archive": "https://a:b@f.org/x.tgz"}),
        "ci:builds[0].context.archive",
        "not_accepted",
    ),
    (
        "object storage without credentials",
        one(context={"archive": "s3://bucket/x.tar.gz"}),
        "ci:storageCredentials",
        "required",
    ),
    (
        "a claim that is no name",
        one(context={"volume": {"claim": "My Sources"}}),
        "ci:builds[0].context.volume.claim",
        "not_accepted",
    ),
    ("no tag", one(destinations=["website"]), "ci:builds[0].destinations[0]", "not_accepted"),
    ("a tag with a blank", one(destinations=["website:a b"]), "ci:builds[0].destinations[0]", "not_accepted"),
    (
        "a digest to push to",
        one(destinations=[f"w:1@sha256:{'a' * 64}"]),
        "ci:builds[0].destinations[0]",
        "not_accepted",
    ),
    ("capitals in a destination", one(destinations=["Website:1"]), "ci:builds[0].destinations[0]", "not_accepted"),
    ("the layers' own place", one(destinations=["cache/x:1"]), "ci:builds[0].destinations[0]", "not_accepted"),
    ("the tag of every single build", one(destinations=["x:build-1"]), "ci:builds[0].destinations[0]", "conflict"),
    ("a registry without a login", one(destinations=["ghcr.io/team/x:1"]), "ci:builds[0].destinations[0]", "required"),
    (
        "a login that the desktop keeps",
        {
            **one(destinations=["ghcr.io/team/x:1"]),
            "dockerConfig": '{"auths": {"ghcr.io": {}}, "credsStore": "desktop"}',
        },
        "ci:builds[0].destinations[0]",
        "required",
    ),
    (
        "a mirror by a name that kaniko does not know",
        {"registry": {"plainHttp": True, "mirror": {"hosts": ["docker.io"]}}},
        "ci:registry.mirror.hosts[0]",
        "conflict",
    ),
    (
        "an ingress for an address",
        {"registry": {"plainHttp": True, "host": "192.0.2.7", "ingress": {}}},
        "ci:registry.host",
        "conflict",
    ),
    ("logins that are none", {"dockerConfig": '{"ghcr.io": "x"}'}, "ci:dockerConfig", "not_accepted"),
    ("windows", one(platform="windows/amd64"), "ci:builds[0].platform", "not_accepted"),
    ("a platform that is none", one(platform="amd64"), "ci:builds[0].platform", "not_accepted"),
    ("an argument with a blank", one(args={"A B": "x"}), "ci:builds[0].args.A B", "not_accepted"),
    ("an argument of two lines", one(args={"A": "x\ny"}), "ci:builds[0].args.A", "not_accepted"),
    ("a label in capitals", one(labels={"Vendor": "x"}), "ci:builds[0].labels.Vendor", "not_accepted"),
    ("a stage with a blank", one(target="my stage"), "ci:builds[0].target", "not_accepted"),
    ("too little memory", one(resources={"memoryMib": 16}), "ci:builds[0].resources.memoryMib", "not_accepted"),
    ("a deadline of a second", one(deadlineSeconds=1), "ci:builds[0].deadlineSeconds", "not_accepted"),
    ("eleven retries", one(retries=11), "ci:builds[0].retries", "not_accepted"),
    ("six fields", one(schedule="0 0 0 * * *"), "ci:builds[0].schedule", "not_accepted"),
    (
        "a quota that the builds don't fit in",
        {**cluster(quota={"cpuMillicores": 500, "memoryMib": 4096}), **one()},
        "ci:kubernetes.quota.cpuMillicores",
        "too_small",
    ),
    (
        "a quota that a schedule does not fit in",
        {**cluster(quota={"cpuMillicores": 5000, "memoryMib": 1024}), **one(schedule="@daily")},
        "ci:kubernetes.quota.memoryMib",
        "too_small",
    ),
    ("a key that is none", {"gitSshKey": "ssh-ed25519 AAAA"}, "ci:gitSshKey", "not_accepted"),
    ("a key that is cut off", {"gitSshKey": PEM_KEY.partition("-----END")[0]}, "ci:gitSshKey", "not_accepted"),
    (
        "a key behind a passphrase",
        {"gitSshKey": PEM_KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")},
        "ci:gitSshKey",
        "not_accepted",
    ),
    ("a token of two lines", {"gitToken": "a\nb"}, "ci:gitToken", "not_accepted"),
    ("Jenkins", {"jenkins": {"httpPort": 9000}}, "ci:jenkins", "no_effect"),
    ("a Docker host", {"docker": {"acceptRootOnHost": True}}, "ci:docker", "no_effect"),
    ("jobs", {"jobs": [{"name": "a", "script": "x"}]}, "ci:jobs", "no_effect"),
]


@pytest.mark.parametrize(("keys", "key", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_setting_is_the_one_problem(keys: dict[str, Any], key: str, code: str) -> None:
    assert refused(**keys) == [(key, code)]


@pytest.mark.parametrize(
    "keys",
    [
        cluster(namespace="n" * 56),
        cluster(egress=[]),
        cluster(egress=["192.0.2.7", "2001:db8::/32"]),
        registry(image="registry:3.1.2"),
        registry(image="registry.example.org:5000/mirror/registry:v3.2.0-alpine"),
        registry(image=f"registry@sha256:{'a' * 64}"),
        registry(host="192.0.2.7:30500"),
        registry(host="localhost"),
        registry(garbageCollection=None),
        {"registry": {"tls": {"issuer": "letsencrypt"}, "ingress": {}, "host": "r.example.org"}},
        git(ref="0123456789abcdef0123456789abcdef01234567", directory="images/website"),
        git(ref="refs/pull/7/head"),
        {**git(credentials="gitToken", user="x-access-token"), "gitToken": "glpat-0123456789"},
        one(context={"archive": "https://files.example.org/website-1.2.3.tgz"}),
        one(context={"volume": {"claim": "sources", "path": "website"}}),
        one(name="n" * 37),
        one(platform="linux/arm/v7"),
        one(destinations=["team/website:1.2.3", "website:latest"]),
        {
            **one(destinations=["docker.io/team/website:1"]),
            "dockerConfig": '{"auths": {"https://index.docker.io/v1/": {"auth": "eDp5"}}}',
        },
        {
            **one(destinations=["ghcr.io/team/website:1"]),
            "dockerConfig": '{"auths": {"ghcr.io": {"auth": "eDp5"}}}',
        },
        {**one(), **cluster(quota={"cpuMillicores": 1000, "memoryMib": 1024})},
        {"docker": {}, "jenkins": {}, "jobs": []},
    ],
)
def test_what_is_right_is_taken(keys: dict[str, Any]) -> None:
    settings(**keys)


@pytest.mark.parametrize(
    "schedule",
    [
        *("17 3 * * *", "*/15 * * * *", "0 0 1,15 * *", "0 9-17/2 * * mon-fri", "0 0 * MAR THU"),
        *("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"),
    ],
)
def test_a_schedule_as_kubernetes_reads_it_is_taken(schedule: str) -> None:
    assert settings(**one(schedule=schedule)).builds[0].schedule == schedule


@pytest.mark.parametrize(
    "schedule", ["H 3 * * *", "R 3 * * *", "0 22-4 * * *", "0 0 L * *", "0 0 * * 7", "0 0 * * sun#2"]
)
def test_a_schedule_that_only_others_read_is_refused_since_the_api_would(schedule: str) -> None:
    assert refused(**one(schedule=schedule)) == [("ci:builds[0].schedule", "not_accepted")]


@pytest.mark.parametrize("directory", [".", "..", ".local", ".local/state", "examples/../.local", "/"])
def test_a_context_that_holds_the_projects_own_state_is_refused(directory: str) -> None:
    assert refused(**one(context={"directory": directory})) == [("ci:builds[0].context.directory", "conflict")]
