"""`pulumi-language-python`: runs Pulumi programs written in Python."""
