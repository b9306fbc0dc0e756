"""Every builder on a real cluster: same settings, same output, the least rights that it needs."""

from collections.abc import Iterator
from typing import Any

import pytest

from components.kubernetes.builders.pod import LOGINS
from tests.cluster.conftest import Make
from tests.support.cluster import PASSWORD, Stack, inline

FROM = "FROM alpine:latest"
MANY = f"""\
{FROM} AS first
ARG WORD
RUN echo "app:x:4242:4242::/home:/bin/sh" >> /etc/passwd && mkdir /app && chown 4242:4242 /app && chmod 700 /app
USER 4242
RUN echo "$WORD" > /app/word && chmod 600 /app/word
USER root
RUN for each in /proc/[0-9]*/root; do if cat $each{LOGINS}/config.json; then exit 1; fi; done
USER 4242
CMD ["cat", "/app/word"]
FROM first AS second
CMD ["echo", "wrong"]
"""
WORD = "said, $$ and $(SSL_CERT_DIR)"
"""The kubelet would make another of it. Each builder's container has that variable."""
FROM_CACHE = {"kaniko": "Using caching version of cmd", "buildkit": "CACHED", "buildah": "Using cache"}
"""What each says of a step that it does not run."""
EACH = pytest.mark.parametrize("builder", FROM_CACHE)


def build(builder: str, kind: str, context: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Give the settings of a build by a builder."""
    return {"name": f"{builder}-{kind}", "builder": builder, "context": context, **keys}


def sample(builder: str, **keys: Any) -> dict[str, Any]:
    return build(builder, "sample", inline(f"{FROM}\nRUN echo made > /made\n"), **keys)


def many(builder: str) -> dict[str, Any]:
    return build(
        builder,
        "many",
        inline(MANY),
        args={"WORD": WORD},
        target="first",
        labels={"org.example.kind": "a, b"},
        destinations=[f"team/{builder}:1", f"team/{builder}:2"],
    )


def builds(*builders: str, **keys: Any) -> list[dict[str, Any]]:
    return [made for builder in builders for made in (sample(builder, **keys), many(builder))]


@pytest.fixture(scope="module")
def stack(new_stack: Make) -> Iterator[Stack]:
    """Give a stack on which every builder has built.

    Kaniko and Buildah do so in a namespace held to `baseline`; it is loosened for BuildKit alone.
    """
    with new_stack() as made:
        made.configure(*builds("kaniko", "buildah"))
        made.deployment.up()
        assert level(made) == "baseline"
        made.configure(*builds(*FROM_CACHE), kubernetes={"buildsPodSecurity": "privileged"})
        made.deployment.up()
        assert level(made) == "privileged"
        yield made


def level(stack: Stack) -> str:
    labels = stack.core.read_namespace(stack.builds).metadata.labels
    return str(labels["pod-security.kubernetes.io/enforce"])


@EACH
def test_the_output_names_what_the_registry_holds_under_every_tag(stack: Stack, builder: str) -> None:
    digest = stack.deployment.outputs()["images"][f"{builder}-many"].partition("@")[2]
    job = stack.job(f"{builder}-many").metadata.name
    for tag in ("1", "2", f"build-{job.rpartition('-')[2]}"):
        assert stack.digest(f"team/{builder}", tag) == digest


@EACH
def test_arguments_target_and_other_users_arrive_and_no_step_reads_the_login(stack: Stack, builder: str) -> None:
    # The build fails where a process's root is open to the step that looks for the login in there.
    assert stack.run(stack.deployment.outputs()["images"][f"{builder}-many"]) == f"{WORD}\nSucceeded"


SMALL = {"cpuMillicores": 200, "memoryMib": 256}
"""What the node has room for many of."""


@pytest.fixture(scope="module")
def failing(stack: Stack) -> tuple[str, dict[str, str]]:
    """Update with builds of every builder that fail; give what was said, and by builder the Job done before."""
    before = {builder: stack.job(f"{builder}-many").metadata.uid for builder in FROM_CACHE}
    hungry = inline(f"{FROM}\nRUN head -c 300000000 /dev/zero | tail\n")
    broken = f'{FROM}\nRUN echo "the reason of %s is $((40 + 2))" && exit 3\n'
    stack.configure(
        *(
            made
            for builder in FROM_CACHE
            for made in (
                sample(builder, trigger="once more"),
                many(builder),
                build(builder, "broken", inline(broken % builder), resources=SMALL),
                build(builder, "hungry", hungry, resources={**SMALL, "memoryMib": 100}),
                build(builder, "slow", inline(f"{FROM}\nRUN sleep 600\n"), resources=SMALL, deadlineSeconds=30),
            )
        ),
        kubernetes={"buildsPodSecurity": "privileged"},
    )
    stack.deployment.env = {**stack.deployment.env, "PULUMI_PARALLEL": "40"}  # as `make up` has it
    return stack.deployment.pulumi("up", "--yes", "--skip-preview", status=None), before


@EACH
def test_what_did_not_change_comes_from_the_cache_and_failures_have_their_reason(
    stack: Stack, failing: tuple[str, dict[str, str]], builder: str
) -> None:
    said, before = failing
    first = 5 * list(FROM_CACHE).index(builder)
    assert f"build {builder}-broken failed: {builder} ended with" in said
    assert f"the reason of {builder} is 42" in said
    assert f"raise ci:builds[{first + 3}].resources.memoryMib, for example to 200" in said
    assert f"raise ci:builds[{first + 4}].deadlineSeconds" in said
    assert FROM_CACHE[builder] in stack.log(stack.job(f"{builder}-sample").metadata.name)
    assert stack.job(f"{builder}-many").metadata.uid == before[builder]
    assert PASSWORD not in "".join(stack.deployment.said)
