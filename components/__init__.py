"""The program: settings, the choice of platform, and each platform's components. Imports nothing of other rooms.

The folder is also the package `pulumi_container_ci`, so its own imports are relative.
"""
