"""The watcher of branches: what its containers hold, and who may connect to them."""

from tests.components.test_kubernetes_namespaces import flows
from tests.support.engine import Engine, is_secret
from tests.support.kubernetes_platform import deploy
from tests.support.kubernetes_stack import build

PUBLIC = [build(context={"git": {"repository": "https://git.example.org/x.git"}}, onPush={})]


def test_a_watcher_of_public_repositories_has_no_secret_and_listens_nowhere(engine: Engine) -> None:
    made = deploy(engine, builds=PUBLIC)
    assert "ci/push <- nobody" in flows(made)
    assert not {"push-git", "push-webhook", "push-webhook-service"} & set(made.engine.inputs)
    assert not [each for each in made["push-watcher"]["spec"]["template"]["spec"]["volumes"] if "secret" in each]


def test_the_receiver_alone_has_the_secret_and_no_token_and_only_its_port_is_open(engine: Engine) -> None:
    made = deploy(engine, builds=PUBLIC, webhook={"allowFrom": ["10.1.0.0/16"]})
    assert {flow for flow in flows(made) if "push <-" in flow} == {"ci/push <- 10.1.0.0/16 8080T"}
    assert made.outputs["webhook"] == "http://webhook.ci.svc:8080/"
    assert is_secret(made.engine.inputs["push-webhook"]["stringData"])
    containers = made["push-watcher"]["spec"]["template"]["spec"]["containers"]
    mounts = {each["name"]: {mount["name"] for mount in each["volumeMounts"]} for each in containers}
    assert mounts["webhook"] == {"webhook"}
    assert "webhook" not in mounts["watcher"] | mounts["proxy"]
