"""GitLab Runner's own texts: its configuration for either executor. Pure."""
