"""The tool chain: the Pulumi CLI and its plugins, found, downloaded or built, cached by pins; logs and questions."""
