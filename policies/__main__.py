"""Hands the rules to Pulumi's engine. Each is mandatory: a plan that breaks one is refused."""

import pulumi
import rules  # type: ignore[import-not-found] # Pulumi runs this file with its folder as the path
from pulumi_policy import (  # type: ignore[import-not-found] # of requirements.txt beside this
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)


def _policy(name: str, rule: rules.Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        docker = pulumi.Config("ci").get_object("docker")
        accepted = isinstance(docker, dict) and docker.get("acceptRootOnHost") is True
        for wrong in rule.check(rules.Resource(args.resource_type, args.name, args.props, accepted=accepted)):
            report(f"{args.name}: {wrong}")

    return ResourceValidationPolicy(name=name, description=rule.promise, validate=validate)


PolicyPack(
    name="ci",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[_policy(name, rule) for name, rule in rules.RULES.items()],
)
