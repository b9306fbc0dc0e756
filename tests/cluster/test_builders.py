"""The other builders on a real cluster, as the stacks of their names have them: same settings, same output."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kubernetes.builders.pod import LOGINS
from tests.cluster.conftest import Make
from tests.support.cluster import PASSWORD, Stack, inline

ROOT = Path(__file__).resolve().parents[2]
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
FROM_CACHE = {"buildkit": "CACHED", "buildah": "Using cache"}
"""What each says of a step that it does not run."""


class Way:
    """The stack of a builder's name, in namespaces of its own, with one more build."""

    def __init__(self, builder: str, stack: Stack) -> None:
        config = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{builder}.yaml").read_text())["config"]
        self.builder = builder
        self.stack = stack
        self.level = config["ci:kubernetes"].get("buildsPodSecurity")
        [self.sample] = config["ci:builds"]
        self.many = self.build(
            "many",
            inline(MANY),
            args={"WORD": "said, and done"},
            target="first",
            labels={"org.example.kind": "a, b"},
            destinations=["team/many:1", "team/many:2"],
        )

    def build(self, name: str, context: dict[str, Any], **keys: Any) -> dict[str, Any]:
        """Give the settings of a build by this builder."""
        return {"name": name, "builder": self.builder, "context": context, **keys}

    def configure(self, *more: dict[str, Any], level: str | None = "as in its file") -> None:
        """Write the stack's settings: the file's build, and these; None as level leaves it to the default."""
        held = self.level if level == "as in its file" else level
        self.stack.configure(self.sample, *more, kubernetes={"buildsPodSecurity": held})

    def fails(self, *more: dict[str, Any]) -> str:
        """Update with builds that fail; give what is said."""
        self.configure(self.many, *more)
        return self.stack.deployment.pulumi("up", "--yes", "--skip-preview", status=None)


@pytest.fixture(scope="module", params=list(FROM_CACHE))
def way(request: pytest.FixtureRequest, new_stack: Make) -> Iterator[Way]:
    """Give a builder's stack, deployed."""
    with new_stack() as stack:
        made = Way(request.param, stack)
        made.configure(made.many)
        stack.deployment.up()
        yield made


def test_the_output_images_names_what_the_registry_holds_under_every_tag_and_a_node_runs_it(way: Way) -> None:
    images = way.stack.deployment.outputs()["images"]
    assert images["sample"] == f"localhost:{way.stack.node_port}/sample@{way.stack.digest('sample', '1')}"
    assert way.stack.run(images["sample"]) == "This is a simple file.\nSucceeded"
    digest = images["many"].partition("@")[2]
    job = way.stack.job("many").metadata.name
    for tag in ("1", "2", f"build-{job.rpartition('-')[2]}"):
        assert way.stack.digest("team/many", tag) == digest


def test_arguments_target_and_other_users_arrive_and_no_step_can_read_the_registrys_login(way: Way) -> None:
    # The build fails where a process's root is open to the step that looks for the login in there.
    assert way.stack.run(way.stack.deployment.outputs()["images"]["many"]) == "said, and done\nSucceeded"


def test_the_namespace_is_held_to_what_the_stack_writes(way: Way) -> None:
    labels = way.stack.core.read_namespace(way.stack.builds).metadata.labels
    assert (
        labels["pod-security.kubernetes.io/enforce"] == {"buildkit": "privileged", "buildah": "baseline"}[way.builder]
    )


def test_what_changed_is_built_from_the_cache_and_the_rest_not_at_all(way: Way) -> None:
    many = way.stack.job("many").metadata.uid
    way.sample = {**way.sample, "trigger": "once more"}
    way.configure(way.many)
    way.stack.deployment.up()
    assert FROM_CACHE[way.builder] in way.stack.log(way.stack.job("sample").metadata.name)
    assert way.stack.job("many").metadata.uid == many


def test_what_fails_is_told_in_the_settings_words_with_the_logs_last_lines(way: Way) -> None:
    said = way.fails(
        way.build("broken", inline(f'{FROM}\nRUN echo "the reason is $((40 + 2))" && exit 3\n')),
        way.build("hungry", inline(f"{FROM}\nRUN head -c 300000000 /dev/zero | tail\n"), resources={"memoryMib": 100}),
        way.build("slow", inline(f"{FROM}\nRUN sleep 600\n"), deadlineSeconds=30),
    )
    assert f"the build broken failed: {way.builder} ended with" in said
    assert "the reason is 42" in said
    assert "raise ci:builds[3].resources.memoryMib, for example to 200" in said
    assert "raise ci:builds[4].deadlineSeconds" in said
    assert PASSWORD not in "".join(way.stack.deployment.said)


STRICTER = {
    "buildkit": ("baseline", "the checks appArmorProfile and seccompProfile would refuse it"),
    "buildah": ("restricted", "the checks capabilities, runAsNonRoot, runAsUser and seccompProfile would refuse it"),
}
"""By builder, the next stricter level than its own, and what is said there."""


def test_a_namespace_that_forbids_the_builder_is_refused_at_preview_with_the_checks_names(way: Way) -> None:
    level, refusal = STRICTER[way.builder]
    way.configure(way.many, level=level)
    said = way.stack.deployment.pulumi("preview", status=None)
    assert f'ci:builds[1].builder = "{way.builder}" needs Pod Security {way.level or "baseline"}' in said
    assert refusal in said
