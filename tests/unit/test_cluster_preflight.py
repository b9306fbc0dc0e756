"""What is checked before anything is created: the cluster, and the files on this machine."""

import os
import random
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import labels
from components.kubernetes import named
from components.kubernetes import preflight as module
from components.kubernetes.cluster import ApiReader, ForbiddenError, ReadError
from components.kubernetes.preflight import preflight
from components.settings import Problem
from lab.pki import Authority, Pair
from tests.support.kubernetes_stack import FakeReader, build, settings

PLAIN = {"plainHttp": True}
OURS = labels.of("ci", "test")
THEIRS = labels.of("ci", "prod")
CLASSES = {"slow": True, "fast": False}


@pytest.fixture(autouse=True)
def update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test be part of an update, whatever ran before it."""
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)


def look(reader: FakeReader | None = None, *, deployed: bool = False, **keys: Any) -> list[Problem]:
    return list(preflight(settings(**keys), reader or FakeReader(), project="ci", stack="test", deployed=deployed))


def one(key: str, code: str, *parts: str, reader: FakeReader | None = None, **keys: Any) -> str:
    """Give the text of the only problem, which has this key and code, and these parts in its text."""
    [problem] = look(reader, **keys)
    assert (problem.key, problem.code) == (key, code)
    for part in parts:
        assert part in str(problem)
    return str(problem)


@pytest.mark.parametrize(
    ("cluster", "keys"),
    [
        ({}, {}),
        ({"at": (1, 29)}, {}),
        ({"at": (2, 0)}, {}),
        ({"found": {"ci": OURS}}, {}),  # an earlier life of this stack left it
        ({"found": {"ci": {}, "ci-builds": {}}}, {"kubernetes": {"adoptNamespaces": True}}),
        ({"classes": {"fast": False}}, {"registry": {**PLAIN, "storageClass": "fast"}}),
    ],
    ids=str,
)
def test_a_cluster_that_fits_is_no_problem(cluster: dict[str, Any], keys: dict[str, Any]) -> None:
    assert look(FakeReader(**cluster), **keys) == []


@pytest.mark.parametrize(
    ("cluster", "registry", "key", "code", "said"),
    [
        ({"found": {"ci-builds": {}}}, {}, "kubernetes.namespace", "name_taken", "ci-builds.*adoptNamespaces: true"),
        ({"found": {"ci": THEIRS}}, {}, "kubernetes.namespace", "name_taken", "the stack ci/prod"),
        ({"classes": CLASSES}, {"storageClass": "fats"}, "registry.storageClass", "not_found", "fast, slow"),
        ({"classes": {"fast": False}}, {}, "registry.storageClass", "required", "give one of fast"),
        ({"classes": {}}, {}, "registry.storageClass", "required", "add a storage class"),
        ({"at": (1, 28)}, {}, "kubernetes.context", "too_old", "1.28.*1.29"),
        ({"broken": True}, {}, "kubernetes.context", "unreachable", "https://192.0.2.1:6443.*kubectl version"),
    ],
    ids=str,
)
def test_a_cluster_that_does_not_fit_is_refused_with_what_would(
    cluster: dict[str, Any], registry: dict[str, Any], key: str, code: str, said: str
) -> None:
    text = one(f"ci:{key}", code, reader=FakeReader(**cluster), registry={**PLAIN, **registry})
    assert re.search(said, text, re.DOTALL)


NAMED = yaml.safe_load(Path(__file__).with_name("preflight_named.yaml").read_text())["rows"]
NO_AUTOSCALER = dict.fromkeys(named._AUTOSCALERS)  # noqa: SLF001


@pytest.mark.parametrize("deployed", [False, True])
@pytest.mark.parametrize(("keys", "objects", "problem"), [pytest.param(*row[1:3], row[3:], id=row[0]) for row in NAMED])
def test_what_the_settings_name_is_looked_for_before_an_update(
    keys: dict[str, Any], objects: dict[str, Any], problem: list[str], *, deployed: bool
) -> None:
    keys = {**keys, "builds": [build(**each) for each in keys.get("builds", ())]}
    reader = FakeReader(objects=NO_AUTOSCALER | objects, found={"ours": OURS, "a": THEIRS})
    found = look(reader, deployed=deployed, **keys)
    assert [(each.key, each.code) for each in found] == ([tuple(problem[:2])] if problem else [])
    assert all(problem[2] in str(each) for each in found)
    # Who may not look can deploy all the same.
    refused = {path: ForbiddenError() for path in objects if objects[path] is None or "items" in objects[path]}
    assert look(FakeReader(objects=objects | refused), deployed=deployed, **keys) == []


def test_a_claim_is_looked_for_and_an_issuer_needs_cert_manager() -> None:
    sources = build(context={"volume": {"claim": "sources"}})
    key = "ci:builds[0].context.volume.claim"
    one(key, "not_found", "ci-builds", reader=FakeReader(volume_uid=None), builds=[sources])
    assert look(builds=[sources]) == []
    reader = FakeReader(kueue=False)
    one("ci:registry.tls.issuer", "not_found", "cert-manager.io", reader=reader, registry={"tls": {"issuer": "x"}})


def test_a_preview_of_a_deployed_stack_asks_nothing_and_an_update_looks_for_the_namespaces_and_the_volume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = FakeReader(found={"ci": {}}, classes={}, at=(1, 1))
    assert look(reader, deployed=True) == []
    assert reader.asked == ["namespaces", "/api/v1/namespaces/ci/persistentvolumeclaims/registry"]
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    reader = FakeReader(broken=True)
    assert look(reader, deployed=True) == []
    assert reader.asked == []


def test_a_first_update_waits_for_a_namespace_that_is_being_deleted_and_a_later_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)
    reader = FakeReader(terminating=["ci-builds", "ci-builds"])
    assert look(reader) == []
    assert reader.asked[:3] == ["namespaces"] * 3
    assert capfd.readouterr().err.count("ci-builds") == 1
    monkeypatch.setattr(module, "_TERMINATION_SECONDS", -1)
    for deployed in (False, True):
        [problem] = look(FakeReader(terminating=["ci-builds"] * 3, found={"ci": OURS}), deployed=deployed)[:1]
        assert (problem.key, problem.code) == ("ci:kubernetes.namespace", "name_taken")
    reader = FakeReader(terminating=["ci-builds"] * 2)
    assert look(reader, deployed=True)
    assert reader.asked == ["namespaces"]


def test_a_preview_does_not_wait_for_a_namespace_that_is_being_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    reader = FakeReader(terminating=["ci"])
    assert look(reader) == []
    assert reader.asked.count("namespaces") == 1


@pytest.mark.parametrize("deployed", [False, True])
def test_a_missing_secret_is_refused_with_the_command_that_creates_it(*, deployed: bool) -> None:
    tls = {"tls": {"secretName": "own-tls"}}
    command = "--namespace ci create secret tls own-tls"
    text = one("ci:registry.tls.secretName", "not_found", command, deployed=deployed, registry=tls)
    # Somebody has to create the namespace first then, and without this key it would be refused.
    assert ("kubectl create namespace ci" in text and "adoptNamespaces: true" in text) is not deployed
    reader = FakeReader(secrets=["own-tls"])
    assert look(reader, deployed=deployed, registry=tls) == []
    assert reader.asked[-1] == "secret ci/own-tls"


@pytest.mark.parametrize("deployed", [False, True])
def test_a_queue_in_a_cluster_without_kueue_is_refused_with_what_to_install(*, deployed: bool) -> None:
    bounded = {"parallelBuilds": 4}
    reader = FakeReader(kueue=False)
    text = one("ci:kubernetes.parallelBuilds", "not_found", reader=reader, deployed=deployed, kubernetes=bounded)
    assert "= 4" in text
    assert "Kueue 0.15 or newer" in text
    assert look(deployed=deployed, kubernetes=bounded) == []
    assert look(FakeReader(kueue=False), deployed=deployed) == []


ENFORCED = "pod-security.kubernetes.io/enforce"
ADOPTED = {"adoptNamespaces": True}


def held(level: str, **more: str) -> FakeReader:
    return FakeReader(found={"ci-builds": {ENFORCED: level, **more}})


def test_a_namespace_that_is_taken_over_is_never_loosened_and_ones_own_takes_whatever_level_is_written() -> None:
    text = one("ci:kubernetes.buildsPodSecurity", "conflict", ENFORCED, reader=held("restricted"), kubernetes=ADOPTED)
    assert "give restricted" in text
    for level in ("baseline", "privileged", "none that is known"):
        assert look(held(level), kubernetes=ADOPTED) == []
    assert look(FakeReader(found={"ci-builds": {}}), kubernetes=ADOPTED) == []
    assert look(held("restricted", **OURS)) == []


def test_buildkit_wants_a_cluster_whose_pods_can_say_that_app_armor_does_not_confine_them() -> None:
    keys: dict[str, Any] = {
        "builds": [build(), build("b", builder="buildkit")],
        "kubernetes": {"buildsPodSecurity": "privileged"},
    }
    one("ci:builds[1].builder", "too_old", "1.30 or newer", reader=FakeReader(at=(1, 29)), **keys)
    assert look(FakeReader(at=(1, 30)), **keys) == []
    watched = build(context={"git": {"repository": "https://git.example.org/x.git"}}, onPush={})
    one("ci:builds[0].onPush", "too_old", "1.30 or newer", reader=FakeReader(at=(1, 29)), builds=[watched])


def test_an_unknown_context_is_refused_with_those_of_the_file_and_no_cluster_is_asked(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("contexts: [{name: dev}, {name: prod}]")
    file, reader = {"kubeconfig": str(tmp_path / "kubeconfig")}, FakeReader()
    one("ci:kubernetes.context", "not_found", "dev, prod", reader=reader, kubernetes={**file, "context": "pord"})
    assert reader.asked == []
    assert look(kubernetes={**file, "context": "prod"}) == []


MERGES = b"".join(b"%c: &%c {<<: [%s]}\n" % (97 + n, 97 + n, b",".join([b"*%c" % (96 + n)] * 9)) for n in range(1, 12))


@pytest.mark.parametrize(
    ("key", "content"),
    [
        *(("kubeconfig", each) for each in (b"", b"- a", b"contexts: 7", b"a: [", b"7", b"\xff\x00\xfe", None)),
        *(("kubeconfig", each) for each in (b"a: !!int x", b"a: 2026-99-99", b"[" * 3000, b"#" * 5_000_000)),
        # Levels, merges and numbers for which a reader of YAML needs minutes, or all memory.
        *(("kubeconfig", each) for each in (b"- " * 200_000, b"a: &a {x: 1}\n" + MERGES, b"a: 1" + b":59" * 100_000)),
        *(("trustedCaFile", each) for each in (b"", b"not a certificate", b"\xff\xfe", b"#" * 5_000_000, None)),
        *((key, special) for key in ("kubeconfig", "trustedCaFile") for special in ("/dev/zero", "/dev", "fifo")),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.timeout(20)  # a pipe would be waited for
def test_a_file_that_is_no_kubeconfig_or_has_no_certificate_is_refused(
    tmp_path: Path, key: str, content: bytes | str | None
) -> None:
    os.mkfifo(tmp_path / "fifo")
    if isinstance(content, bytes):
        (tmp_path / "file").write_bytes(content)
    path = tmp_path / (content if isinstance(content, str) else "file")
    one(f"ci:kubernetes.{key}", "bad_file", kubernetes={key: str(path)})
    if key == "kubeconfig":
        with pytest.raises(ReadError, match="the kubeconfig can't be used: "):
            ApiReader(settings(kubernetes={key: str(path)}).kubernetes).version()


def test_a_context_that_can_not_be_packed_is_refused_with_its_build(tmp_path: Path) -> None:
    noise = random.Random(1)  # bytes that don't compress, and the same in every run
    files = {f"f{number}": noise.randbytes(450_000).hex() for number in range(2)}
    found = look(
        builds=[
            build("a"),
            build("b", context={"directory": str(tmp_path / "missing")}),
            build("c", context={"directory": str(tmp_path)}),
            build("d", context={"inline": {"Dockerfile": "", **files}}),
        ]
    )
    assert [(problem.key, problem.code) for problem in found] == [
        ("ci:builds[1].context.directory", "not_found"),
        ("ci:builds[2].context.directory", "not_found"),
        ("ci:builds[3].context.inline", "too_large"),
    ]
    assert found[0].value == str(tmp_path / "missing")


NAMES = ("registry.ci.svc", "r.example.org")
AUTHORITY = Authority.new()
RIGHT = AUTHORITY.server(*NAMES)
NO_KEY = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n"


def with_certificate(folder: Path, pair: Pair, **kubernetes: Any) -> list[Problem]:
    """Give the problems of a stack with this certificate and key."""
    certificate, _ = pair.write(folder, "tls")
    registry = {"tls": {"certificateFile": str(certificate)}, "host": "r.example.org"}
    return look(registry=registry, registryTlsKey=pair.key, kubernetes=kubernetes)


def test_a_certificate_that_fits_is_no_problem(tmp_path: Path) -> None:
    assert with_certificate(tmp_path, RIGHT) == []
    assert with_certificate(tmp_path, AUTHORITY.server("*.ci.svc", "*.example.org")) == []


@pytest.mark.parametrize(
    ("pair", "key", "code"),
    [
        (AUTHORITY.server(*NAMES, since=-3, days=-1), "registry.tls.certificateFile", "bad_certificate"),
        (AUTHORITY.server(*NAMES, since=1, days=3), "registry.tls.certificateFile", "bad_certificate"),
        (AUTHORITY.server("registry.ci.svc"), "registry.tls.certificateFile", "bad_certificate"),
        (AUTHORITY.server("*.org", "registry.ci.svc"), "registry.tls.certificateFile", "bad_certificate"),
        (AUTHORITY.client(), "registry.tls.certificateFile", "bad_certificate"),
        (Pair("no certificate", RIGHT.key), "registry.tls.certificateFile", "bad_file"),
        (Pair(RIGHT.certificate, AUTHORITY.client().key), "registryTlsKey", "bad_certificate"),
        (Pair(RIGHT.certificate, NO_KEY), "registryTlsKey", "bad_certificate"),
    ],
    ids=["over", "not yet", "without the host", "a domain above", "no name", "no certificate", "another key", "no key"],
)
def test_a_wrong_certificate_or_key_is_the_one_problem_and_no_key_is_shown(
    tmp_path: Path, pair: Pair, key: str, code: str
) -> None:
    [problem] = with_certificate(tmp_path, pair)
    assert (problem.key, problem.code) == (f"ci:{key}", code)
    assert pair.key.splitlines()[1] not in str(problem)


def test_a_certificate_that_signs_itself_needs_to_be_trusted_by_name(tmp_path: Path) -> None:
    own = Authority.new(NAMES[0]).server(*NAMES)
    [problem] = with_certificate(tmp_path, own)
    assert (problem.key, problem.code) == ("ci:kubernetes.trustedCaFile", "required")
    assert with_certificate(tmp_path, own, trustedCaFile=str(tmp_path / "tls.crt")) == []


@pytest.mark.parametrize("deployed", [False, True])
@pytest.mark.parametrize(
    ("marks", "server", "refused"),
    [
        ({}, {}, False),
        ({"labels": {labels.RESTORE: "a1"}}, None, True),
        ({"labels": {labels.RESTORE: "a1"}, "annotations": {labels.RESTORED: "b2"}}, None, True),
        ({"labels": {labels.RESTORE: "a1"}, "annotations": {labels.RESTORED: "a1"}}, None, False),
        ({"labels": {labels.RESTORE: "a1"}}, {"kind": "StatefulSet"}, False),  # of a version without the annotation
    ],
)
def test_a_registrys_volume_that_a_restore_did_not_finish_is_refused(
    marks: dict[str, Any], server: object, *, refused: bool, deployed: bool
) -> None:
    claim = "/api/v1/namespaces/ci/persistentvolumeclaims/registry"
    objects = {claim: {"metadata": marks}, "/apis/apps/v1/namespaces/ci/statefulsets/registry-server": server}
    problems = look(FakeReader(found={"ci": OURS}, objects=objects), deployed=deployed)
    assert [each.code for each in problems] == ["half_restored"] * refused
