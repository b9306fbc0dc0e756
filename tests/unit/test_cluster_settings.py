"""What a stack on Kubernetes may say, and what is answered to what it may not."""

from typing import Any

import pytest

from tests.support.kubernetes_stack import HASH, INLINE, PEM_KEY, build, problems, settings

PLAIN = {"plainHttp": True}


def said(**keys: Any) -> str:
    found = problems(**keys)
    assert len(found) == 1, found
    return str(found[0])


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
    # the cluster
    ("Kubernetes' own namespace", cluster(namespace="kube-system"), "ci:kubernetes.namespace", "for example ci"),
    ("the default namespace", cluster(namespace="default"), "is Kubernetes' own", "for example ci"),
    ("capitals in a namespace", cluster(namespace="My CI"), "ci:kubernetes.namespace", "give for example my-ci"),
    ("a namespace too long", cluster(namespace="n" * 57), "1 to 56 lower-case letters", "for example nnn"),
    ("bits beyond the mask", cluster(egress=["10.0.0.1/8"]), "ci:kubernetes.egress[0]", "10.0.0.0/8"),
    ("a name for a network", cluster(egress=["github.com"]), "ci:kubernetes.egress[0]", "192.0.2.7/32"),
    ("two lines of a context", cluster(context="a\nb"), "ci:kubernetes.context", "give one line of text"),
    ("an empty path", cluster(kubeconfig=""), "ci:kubernetes.kubeconfig", "text of 1 or more characters"),
    ("a DNS namespace that is none", cluster(dnsNamespace="kube_dns"), "ci:kubernetes.dnsNamespace", "kube-system"),
    ("half a quota", cluster(quota={"cpuMillicores": 500}), "quota.memoryMib is missing", "a whole number"),
    (
        "the archived kaniko",
        cluster(kanikoImage="gcr.io/kaniko-project/executor:v1.24.0"),
        "kanikoImage",
        "maintained fork",
    ),
    (
        "a moving kaniko",
        cluster(kanikoImage="kaniko:latest"),
        "names no fixed version",
        "repository:tag",
    ),
    (
        "object storage with a path",
        cluster(objectStorage={"endpoint": "https://s3/x"}),
        "endpoint",
        "https://host:port",
    ),
    # the registry
    ("no password", {"registryPassword": None}, "ci:registryPassword is missing", "pulumi config set --secret"),
    ("a short password", {"registryPassword": "hunter2"}, "ci:registryPassword is shorter than 12", "--secret"),
    ("neither TLS nor plain HTTP", {"registry": {}}, "ci:registry.tls is missing", "plainHttp: true"),
    ("both", registry(tls={"issuer": "x"}), "ci:registry.plainHttp = true", "leave one of the two out"),
    ("TLS from nowhere", {"registry": {"tls": {}}}, "ci:registry.tls names 0 sources", "issuer: letsencrypt"),
    (
        "TLS from two places",
        {"registry": {"tls": {"issuer": "x", "secretName": "y"}}},
        "ci:registry.tls names 2 sources",
        "issuer: letsencrypt",
    ),
    (
        "a kind without an issuer",
        {"registry": {"tls": {"secretName": "y", "issuerKind": "Issuer"}}},
        'ci:registry.tls.issuerKind = "Issuer"',
        "give the issuer",
    ),
    (
        "a certificate without its key",
        {"registry": {"tls": {"certificateFile": "x.pem"}}},
        "ci:registryTlsKey is missing",
        "ci:registryTlsKey < key.pem",
    ),
    (
        "a key without its certificate",
        {"registryTlsKey": PEM_KEY},
        "ci:registry.tls.certificateFile is missing",
        "give both",
    ),
    ("a registry with a known hole", registry(image="registry:3.1.1"), 'image = "registry:3.1.1"', "registry:3.1.2"),
    ("a registry of the last century", registry(image="registry:2"), 'ci:registry.image = "registry:2"', "3.1.2"),
    (
        "the same under its other name",
        registry(image="distribution/distribution:3.0.0"),
        "ci:registry.image",
        "give 3.1.2 or newer",
    ),
    ("an ingress without a name", registry(ingress={}), "ci:registry.host is missing", "host: registry.example.org"),
    (
        "two ways in",
        registry(ingress={}, host="r.example.org", nodePort=30500),
        "ci:registry.nodePort = 30500",
        "leave one of the two out",
    ),
    ("a node port below the range", registry(nodePort=5000), "nodePort = 5000", "a whole number from 30000 to 32767"),
    ("a host with a scheme", registry(host="https://r.example.org"), "ci:registry.host", "registry.example.org"),
    ("a host that reads as a folder", registry(host="registry"), 'host = "registry"', "give registry:5000"),
    ("a port that is none", registry(host="r.example.org:99999"), "ci:registry.host", "registry.example.org"),
    ("a user with a colon", registry(user="a:b"), 'ci:registry.user = "a:b"', "1 to 64 letters"),
    ("a storage class that is no name", registry(storageClass="Fast SSD"), "ci:registry.storageClass", "standard"),
    ("no storage", registry(storageGib=0), "ci:registry.storageGib = 0", "from 1 to 65536"),
    (
        "a user twice",
        registry(users=[{"name": "ci", "passwordHash": HASH}]),
        'ci:registry.users[0].name = "ci"',
        "a name of its own",
    ),
    (
        "two users of a name",
        registry(users=[{"name": "a", "passwordHash": HASH}, {"name": "a", "passwordHash": HASH}]),
        "ci:registry.users[1].name",
        "a name of its own",
    ),
    (
        "a hash that is not bcrypt's",
        registry(users=[{"name": "a", "passwordHash": "{SHA}abc"}]),
        "ci:registry.users[0].passwordHash is not a bcrypt hash",
        "htpasswd -nB",
    ),
    (
        "a hash of few rounds",
        registry(users=[{"name": "a", "passwordHash": HASH.replace("$10$", "$05$")}]),
        "ci:registry.users[0].passwordHash has 5 rounds",
        "htpasswd -nB",
    ),
    (
        "a mirror's user without a password",
        registry(mirror={"user": "team"}),
        "ci:mirrorPassword is missing",
        "pulumi config set --secret ci:mirrorPassword",
    ),
    (
        "a mirror's password without a user",
        {**registry(mirror={}), "mirrorPassword": "pass-word-x"},
        "ci:registry.mirror.user is missing",
        "or neither",
    ),
    ("a mirror of a path", registry(mirror={"upstream": "https://r.io/x"}), "mirror.upstream", "without a path"),
    ("a mirror of nobody", registry(mirror={"hosts": []}), "mirror.hosts = []", "a list of 1 or more"),
    (
        "collections as Jenkins writes them",
        registry(garbageCollection={"schedule": "H 3 * * *"}),
        "ci:registry.garbageCollection.schedule",
        "17 3 * * *",
    ),
    # the builds
    ("a build's name with a dot", one(name="web.site"), 'ci:builds[0].name = "web.site"', "for example web-site"),
    ("a build's name too long", one(name="n" * 38), "1 to 37", "for example nnn"),
    ("a builder that is none", one(builder="docker"), "ci:builds[0].builder", "give one of kaniko, buildkit, buildah"),
    ("no context", one(context={}), "ci:builds[0].context names 0 sources", "directory: images/website"),
    (
        "two contexts",
        one(context={**INLINE, "directory": "x"}),
        "ci:builds[0].context names 2 sources of files (directory, inline)",
        "directory: images/website",
    ),
    (
        "a Dockerfile that is not there",
        one(dockerfile="ci/Dockerfile"),
        'ci:builds[0].dockerfile = "ci/Dockerfile" is not among the inline files (Dockerfile)',
        "name one of them",
    ),
    ("a Dockerfile outside", one(dockerfile="../Dockerfile"), "ci:builds[0].dockerfile", "no '..'"),
    ("a Dockerfile at the root", one(dockerfile="/Dockerfile"), "ci:builds[0].dockerfile", "no '/' in front"),
    (
        "a folder for a Dockerfile",
        one(dockerfile="ci/"),
        "ci:builds[0].dockerfile",
        "no '/' in front or at the end",
    ),
    (
        "an inline file outside",
        one(context={"inline": {"Dockerfile": "", "../x": ""}}),
        "ci:builds[0].context.inline.../x",
        "no '..'",
    ),
    (
        "a file inside a file",
        one(context={"inline": {"Dockerfile": "", "a": "", "a/b": ""}}),
        "ci:builds[0].context.inline has a/b",
        "a path of its own",
    ),
    (
        "an inline file beyond a ConfigMap",
        one(context={"inline": {"Dockerfile": "x" * 1_000_001}}),
        "ci:builds[0].context.inline.Dockerfile",
        "into git, or on a volume",
    ),
    ("a credential in an address", git(repository="https://me:hunter2@g.org/x"), "credential in it", "ci:gitToken"),
    ("a repository of a machine", git(repository="/srv/git/x.git"), "git.repository", "ssh://user@host/path.git"),
    ("the short form of ssh", git(repository="git@g.org:x.git"), "git.repository", "ssh://user@host/path.git"),
    ("a ref with blanks", git(ref="my branch"), 'git.ref = "my branch"', "v1.2.3"),
    ("a ref that is an option", git(ref="--upload-pack=x"), "git.ref", "refs/pull/7/head"),
    ("a folder outside of the repository", git(directory="../x"), "git.directory", "no '..'"),
    ("a token that there is not", git(credentials="gitToken"), "needs a secret", "ci:gitToken"),
    ("a key for https", {**git(credentials="gitSshKey"), "gitSshKey": PEM_KEY}, "https:// addresses", "gitToken"),
    ("known hosts for https", git(knownHosts="g.org ssh-ed25519 AAAA"), "git.knownHosts", "leave it out"),
    (
        "ssh to whoever answers",
        {**git(repository="ssh://git@g.org/x", credentials="gitSshKey"), "gitSshKey": PEM_KEY},
        "ci:builds[0].context.git.knownHosts is missing",
        "ssh-keyscan",
    ),
    (
        "ssh without a key",
        git(repository="ssh://git@g.org/x", knownHosts="g.org ssh-ed25519 AAAA"),
        "ci:builds[0].context.git.credentials",
        "credentials: gitSshKey",
    ),
    ("an archive that is a zip", one(context={"archive": "https://f.org/x.zip"}), "context.archive", "path.tar.gz"),
    ("an archive over http", one(context={"archive": "http://f.org/x.tgz"}), "context.archive", "https://host"),
    (
        "a credential in an archive's address",
        one(context={"archive": "https://a:b@f.org/x.tgz"}),
        "has a credential in it",
        "an address that needs none",
    ),
    (
        "object storage without credentials",
        one(context={"archive": "s3://bucket/x.tar.gz"}),
        "ci:builds[0].context.archive",
        "ci:storageCredentials < file",
    ),
    ("a claim that is no name", one(context={"volume": {"claim": "My Sources"}}), "volume.claim", "sources"),
    ("no tag", one(destinations=["website"]), 'destinations[0] = "website" has no tag', "website:1.0"),
    ("a tag with a blank", one(destinations=["website:a b"]), "has the tag 'a b'", "repository:tag"),
    ("a digest to push to", one(destinations=[f"w:1@sha256:{'a' * 64}"]), "only the build can know", "repository:tag"),
    ("capitals in a destination", one(destinations=["Website:1"]), "the repository 'Website'", "repository:tag"),
    ("the layers' own place", one(destinations=["cache/x:1"]), "keeps the builds' layers", "begins otherwise"),
    ("the tag of every single build", one(destinations=["x:build-1"]), "every single build is kept", "another tag"),
    (
        "a registry without a login",
        one(destinations=["ghcr.io/team/x:1"]),
        "is in a registry without a login (there are none)",
        "add ghcr.io to `ci:dockerConfig`",
    ),
    (
        "a login that the desktop keeps",
        {
            **one(destinations=["ghcr.io/team/x:1"]),
            "dockerConfig": '{"auths": {"ghcr.io": {}}, "credsStore": "desktop"}',
        },
        "is in a registry without a login (there are none)",
        "add ghcr.io to `ci:dockerConfig`",
    ),
    (
        "a mirror by a name that kaniko does not know",
        {"registry": {"plainHttp": True, "mirror": {"hosts": ["docker.io"]}}},
        'ci:registry.mirror.hosts[0] = "docker.io" is not what kaniko calls the public registry',
        "write index.docker.io",
    ),
    (
        "an ingress for an address",
        {"registry": {"plainHttp": True, "host": "192.0.2.7", "ingress": {}}},
        'ci:registry.host = "192.0.2.7" is an address',
        "host: registry.example.org",
    ),
    (
        "logins that are none",
        {"dockerConfig": '{"ghcr.io": "x"}'},
        "ci:dockerConfig is not a docker config.json",
        '{"auths": {"ghcr.io"',
    ),
    ("windows", one(platform="windows/amd64"), "none of the builders", "linux/amd64"),
    ("a platform that is none", one(platform="amd64"), "is not a platform", "linux/arm64"),
    ("an argument with a blank", one(args={"A B": "x"}), "ci:builds[0].args.A B", "letters, digits and '_'"),
    ("an argument of two lines", one(args={"A": "x\ny"}), "ci:builds[0].args.A", "give one line"),
    ("a label in capitals", one(labels={"Vendor": "x"}), "ci:builds[0].labels.Vendor", "org.example.key"),
    ("a stage with a blank", one(target="my stage"), "ci:builds[0].target", "after AS"),
    ("too little memory", one(resources={"memoryMib": 16}), "resources.memoryMib = 16", "from 64 to"),
    ("a deadline of a second", one(deadlineSeconds=1), "deadlineSeconds = 1", "from 30 to 86400"),
    ("eleven retries", one(retries=11), "retries = 11", "from 0 to 10"),
    ("six fields", one(schedule="0 0 0 * * *"), "has 6 fields", "17 3 * * *"),
    (
        "a quota that the builds don't fit in",
        {**cluster(quota={"cpuMillicores": 500, "memoryMib": 4096}), **one()},
        "ci:kubernetes.quota.cpuMillicores = 500 is less than the 1000 thousandths",
        "give 1000 or more",
    ),
    (
        "a quota that a schedule does not fit in",
        {**cluster(quota={"cpuMillicores": 5000, "memoryMib": 1024}), **one(schedule="@daily")},
        "ci:kubernetes.quota.memoryMib = 1024 is less than the 2048 MiB",
        "lower ci:builds[...].resources.memoryMib",
    ),
    # secrets
    ("a key that is none", {"gitSshKey": "ssh-ed25519 AAAA"}, "ci:gitSshKey is not a private key in PEM", "< key.pem"),
    (
        "a key behind a passphrase",
        {"gitSshKey": PEM_KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")},
        "ci:gitSshKey is locked by a passphrase",
        "give one without",
    ),
    ("a token of two lines", {"gitToken": "a\nb"}, "ci:gitToken is empty, or has", "pulumi config set --secret"),
    # the other platform
    ("Jenkins", {"jenkins": {"httpPort": 9000}}, "ci:jenkins belongs to the platform docker", "leave it out"),
    ("a Docker host", {"docker": {"acceptRootOnHost": True}}, "ci:docker belongs to the platform docker", "docker"),
    ("jobs", {"jobs": [{"name": "a", "script": "x"}]}, "ci:jobs belongs to the platform docker", "leave it out"),
]


@pytest.mark.parametrize(("keys", "seen", "instead"), [pytest.param(k, s, w, id=i) for i, k, s, w in WRONG])
def test_a_wrong_setting_is_refused_with_its_key_and_what_to_write(
    keys: dict[str, Any], seen: str, instead: str
) -> None:
    text = said(**keys)
    assert seen in text
    assert instead in text.partition("; ")[2]


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
    ["17 3 * * *", "*/15 * * * *", "0 0 1,15 * *", "0 9-17/2 * * mon-fri", "0 0 * MAR THU", "@hourly", "@monthly"],
)
def test_a_schedule_as_kubernetes_reads_it_is_taken(schedule: str) -> None:
    assert settings(**one(schedule=schedule)).builds[0].schedule == schedule


@pytest.mark.parametrize(
    ("schedule", "part"),
    [
        ("H 3 * * *", "'h' as its minute"),
        ("R 3 * * *", "'r' as its minute"),
        ("0 22-4 * * *", "'22-4' as its hour"),
        ("0 0 L * *", "'l' as its day"),
        ("0 0 * * 7", "'7' as its weekday"),
        ("0 0 * * sun#2", "'sun#2' as its weekday"),
    ],
)
def test_a_schedule_that_only_others_read_is_refused_since_the_api_would(schedule: str, part: str) -> None:
    assert f"has {part}, which Kubernetes does not take" in said(**one(schedule=schedule))
