"""Pulumi programs that are measured beside this project. Each is copied into a folder of its own as `__main__.py`."""
