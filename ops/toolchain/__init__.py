"""The tool chain: the Pulumi CLI, its plugins, a Docker engine; found, downloaded or built, cached by pins."""
