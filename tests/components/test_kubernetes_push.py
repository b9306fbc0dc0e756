"""The watcher of branches: what its containers hold, and who may connect to them."""

from tests.components.test_every_stack import PODS, mounted
from tests.components.test_kubernetes_namespaces import flows
from tests.support.engine import Engine
from tests.support.kubernetes_platform import deploy
from tests.support.kubernetes_stack import build

PUBLIC = [build("files", context={"git": {"repository": "https://git.example.org/x.git"}}, onPush={})]


def test_a_watcher_of_public_repositories_has_no_secret_and_listens_nowhere(engine: Engine) -> None:
    made = deploy(engine, builds=PUBLIC)
    assert "ci/push <- nobody" in flows(made.of("NetworkPolicy").values())
    assert not {"push-git", "push-webhook", "push-webhook-service"} & set(made.engine.inputs)
    assert not [each for each in made["push-watcher"]["spec"]["template"]["spec"]["volumes"] if "secret" in each]


def test_a_receiver_without_a_host_is_told_by_the_name_of_its_service(engine: Engine) -> None:
    made = deploy(engine, builds=PUBLIC, webhook={"allowFrom": ["10.1.0.0/16"]})
    assert made.outputs["webhook"] == "http://webhook.ci.svc:8080/"


def test_the_receiver_alone_has_the_secret_and_no_token() -> None:
    [containers] = [containers for whose, _, containers in PODS if whose == "kubernetes-push: push-watcher"]
    mounts = {each["name"]: set(mounted(each)) for each in containers}
    assert mounts["webhook"] == {"webhook"}
    assert "webhook" not in mounts["watcher"] | mounts["proxy"]
