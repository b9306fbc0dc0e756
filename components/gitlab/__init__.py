"""What GitLab Runner reads: its configuration, but for the pods of a cluster. Nothing here uses Pulumi."""
