"""The program: settings, the choice of platform, and each platform's components. Imports nothing of other rooms."""
