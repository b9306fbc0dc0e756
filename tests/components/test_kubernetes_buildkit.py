"""A BuildKit daemon that stays: who may reach it, which build goes where, and what opens it."""

import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from components.kubernetes import endpoints, mutual_tls
from tests.support.engine import Engine, is_secret
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.kubernetes_stack import build, settings

BUILDS = [build(f"b{number}", builder="buildkit") for number in range(40)]
RESTRICTED = {"buildsPodSecurity": "restricted"}
HOST = "buildkit"


def with_daemons(engine: Engine, **keys: Any) -> Deployed:
    return deploy(engine, kubernetes=RESTRICTED, **{"buildkit": {}, **keys})


def test_a_build_always_goes_to_one_daemon_and_another_daemon_moves_only_those_that_it_gets() -> None:
    where = [
        {each["name"]: endpoints.daemon(settings(buildkit={"replicas": count}), each["name"]) for each in BUILDS}
        for count in (3, 4)
    ]
    moved = {name: place for name, place in where[1].items() if place != where[0][name]}
    assert set(moved.values()) == {endpoints.daemons(settings(buildkit={"replicas": 4}))[3]}
    assert len(set(where[0].values())) == 3
    assert endpoints.daemon(settings(), "b0") is None


def test_keys_and_builds_secrets_are_secrets_and_a_value_is_in_no_jobs_name_and_with_no_other_build() -> None:
    mounts = [build(builder="buildkit", secrets=["npm"]), build("other", builder="buildkit")]
    made = with_daemons(Engine(preview=False), builds=mounts, buildSecrets={"npm": "value-of-npm", "x": "value-of-x"})
    for name in ("buildkit-server", "buildkit-client", "login-build-secrets"):
        assert is_secret(made.engine.inputs[name]["stringData"]), name
    stashes = [name for name, request in made.engine.requests.items() if request.type.endswith(":Stash")]
    assert stashes
    assert all(is_secret(made.engine.inputs[name]["input"]) for name in stashes)
    again = with_daemons(Engine(preview=False), builds=mounts, buildSecrets={"npm": "another", "x": "value"})
    assert made["build-website-job"]["metadata"] == again["build-website-job"]["metadata"]
    volumes = {name: str(made[f"build-{name}-job"]["spec"]["template"]["spec"]) for name in ("website", "other")}
    assert "'npm'" in volumes["website"]
    assert "'x'" not in volumes["website"]
    assert "build-secrets" not in volumes["other"]


def verified(issued: Any, role: str, after_days: float, authority: str | None = None, use: str = "") -> Any:
    """Verify a certificate as the other side would at a later time, for its role or another use.

    Raises VerificationError.
    """
    roots = Store([x509.load_pem_x509_certificate((authority or issued["authority"]).encode())])
    then = (
        PolicyBuilder().store(roots).time(dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=after_days))
    )
    leaf = x509.load_pem_x509_certificate(issued[role].encode())
    if (use or role) == "client":
        return then.build_client_verifier().verify(leaf, [])
    return then.build_server_verifier(x509.DNSName(HOST)).verify(leaf, [])


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_certificate_is_good_until_the_update_that_renews_it_and_for_no_other_authority(role: str) -> None:
    issued = mutual_tls.issued(mutual_tls.made(), [HOST])
    verified(issued, role, 366 * 2 / 3)
    for wrong in ({"after_days": 367.0}, {"after_days": 1.0, "authority": mutual_tls.made()["certificate"]}):
        with pytest.raises(VerificationError):
            verified(issued, role, **wrong)


def test_the_daemon_may_ask_itself_with_its_own_certificate() -> None:
    verified(mutual_tls.issued(mutual_tls.made(), [HOST]), "server", 1.0, use="client")


def test_certificates_are_made_again_in_a_new_period_and_the_authority_is_kept(monkeypatch: Any) -> None:
    names = []
    for period in (85, 86):
        monkeypatch.setattr(mutual_tls, "period", lambda number=period: number)
        names.append({name for name in with_daemons(Engine(preview=False)).engine.requests if "buildkit" in name})
    assert names[0] - names[1] == {"buildkit-certificates-85"}
    assert names[1] - names[0] == {"buildkit-certificates-86"}
    assert "buildkit-authority" in names[1]
