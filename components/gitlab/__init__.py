"""What GitLab Runner reads: its configuration for both executors. Nothing here uses Pulumi."""
