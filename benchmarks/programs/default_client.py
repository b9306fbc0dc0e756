"""This project with the Kubernetes provider's default client settings, which allow 50 requests a second."""

import runpy
import sys
from pathlib import Path

import pulumi


def default_client(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
    """Take the client settings from the provider's arguments."""
    if args.type_ == "pulumi:providers:kubernetes":
        props = {name: value for name, value in args.props.items() if name != "kube_client_settings"}
        return pulumi.ResourceTransformationResult(props, args.opts)
    return pulumi.ResourceTransformationResult(args.props, args.opts)


if __name__ == "__main__":
    pulumi.runtime.register_stack_transformation(default_client)
    project = Path.cwd().with_name("ci")
    sys.path.insert(0, str(project))
    runpy.run_path(str(project / "__main__.py"))
