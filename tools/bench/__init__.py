"""`make bench`: what this project costs beside bare programs, a plain `pulumi up` and `docker run`."""
