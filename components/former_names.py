"""The names of what stacks registered before a platform was one component, so that these stacks go on with it."""

from collections.abc import Callable

import pulumi
from pulumi import Alias, ResourceTransformationArgs, ResourceTransformationResult


def of(root: str) -> pulumi.ResourceOptions:
    """Return options for the component `root` by which everything in it has the name that it had without it."""
    return pulumi.ResourceOptions(transformations=[_transformation(root)])


def _transformation(root: str) -> Callable[[ResourceTransformationArgs], ResourceTransformationResult | None]:
    def with_former_name(args: ResourceTransformationArgs) -> ResourceTransformationResult | None:
        if args.name == root:
            return None
        name, parent = args.name.removeprefix(f"{root}-"), args.opts.parent
        if parent is not None and parent._name == root:  # noqa: SLF001 - the SDK has no other way to tell a name
            aliases = [Alias(name=name, parent=pulumi.ROOT_STACK_RESOURCE)]
            if args.type_ == "docker:index/volume:Volume":
                # In 0.1.0 the home was a child of the controller.
                owner = name.removesuffix("-home")
                aliases.append(Alias(name=name, parent=_urn("ci:docker:Jenkins", owner)))
        else:
            # In the former parent, which the engine knows by the parent's own alias.
            older = [each.name for each in args.opts.aliases or () if isinstance(each, Alias)]
            aliases = [
                Alias(name=each.removeprefix(f"{root}-"))
                for each in (name, *(str(former) for former in older if former))
            ]
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(aliases=aliases))
        return ResourceTransformationResult(args.props, opts)

    return with_former_name


def _urn(kind: str, name: str) -> str:
    return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{kind}::{name}"
