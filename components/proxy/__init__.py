"""The filtering proxy: policy.lua says what of the engine's API passes, HAProxy runs it. Nothing here knows Pulumi."""
