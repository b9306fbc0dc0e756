"""The image that stands in for Jenkins on a closed network: a page, a docker client and the sample's steps.

It shows that the container is made right: its user, groups, mounts, ports, volume, health check, and the way to the
engine of the jobs. It imitates nothing of Jenkins.
"""

from pathlib import Path
from typing import Final

from offline import archive, binaries

UID: Final = 1000
HOME: Final = "/var/jenkins_home"
"""The user and the home of Jenkins' image, which the stack counts on."""

_SCRIPTS: Final = {
    "jenkins.sh": "/usr/local/bin/jenkins.sh",
    "sample.sh": "/usr/local/bin/sample",
    "curl.sh": "/usr/bin/curl",
}


def entries() -> list[archive.Entry]:
    """Every file of it, beside a shell and its tools."""
    here = Path(__file__).resolve()
    return [
        *(archive.Entry(path, source=here.with_name(name)) for name, path in _SCRIPTS.items()),
        archive.Entry("/usr/local/bin/docker", source=binaries.docker_cli()),
        # `/login` is what the health check asks for.
        *(
            archive.Entry(f"/usr/share/www{path}/index.html", mode=0o644, source=here.with_name("page.html"))
            for path in ("", "/login")
        ),
        archive.Entry(HOME, owner=UID),
    ]
