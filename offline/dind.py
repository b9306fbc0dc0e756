"""The image that stands in for `docker:dind`: this machine's own Docker engine, made to run in a container."""

from collections.abc import Sequence
from pathlib import Path

from offline import archive, binaries, programs

_ENGINE = ("dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker-init", "docker-proxy")
_FIREWALL = ("iptables", "ip6tables", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore")
_EXTENSIONS = "xtables"
"""The folder, among its libraries, from which iptables loads what a rule asks for."""
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
ENTRY_POINT = Path(__file__).with_name("engine-entrypoint.sh")


def entries(base: bytes) -> list[archive.Entry]:
    """Every file of it, beside a shell and its tools.

    Args:
        base: an archive of images that its engine has from the start.

    Raises:
        OpsError: when this machine has no engine of its own, or no iptables or openssl.
    """
    remedy = "apt-get install docker.io iptables openssl"
    found = programs.find(*_ENGINE, "openssl", remedy=remedy)
    firewall = programs.find(*_FIREWALL, remedy=remedy)
    # One program under many names, which it goes by.
    multi = {name: path.resolve() for name, path in firewall.items()}
    placed = {f"/usr/local/bin/{name}": path for name, path in found.items()}
    placed |= {f"/usr/sbin/{path.name}": path for path in multi.values()}
    extensions = _extensions(next(iter(multi.values())))
    return [
        *programs.entries(placed | {str(path): path for path in extensions}),
        *(archive.Entry(f"/usr/sbin/{name}", link=f"/usr/sbin/{path.name}") for name, path in multi.items()),
        *([archive.Entry(str(_AUTHORITIES), mode=0o644, source=_AUTHORITIES)] if _AUTHORITIES.exists() else ()),
        archive.Entry("/etc/ssl/openssl.cnf", mode=0o644, source=ENTRY_POINT.with_name("openssl.cnf")),
        archive.Entry("/usr/local/bin/docker", source=binaries.docker_cli()),
        archive.Entry("/usr/local/bin/dockerd-entrypoint.sh", source=ENTRY_POINT),
        archive.Entry("/usr/share/ci/images.tar", mode=0o644, content=base),
        # Open to whoever mounts a volume here; the keys in it have modes of their own.
        archive.Entry("/certs", mode=0o1777),
        archive.Entry("/certs/client", mode=0o1777),
        archive.Entry("/var/run", link="/run"),
        archive.Entry("/run"),
    ]


def _extensions(program: Path) -> Sequence[Path]:
    """The modules that iptables loads by itself, which `ldd` does not know of."""
    folders = {library.resolve().parent / _EXTENSIONS for library in programs.libraries(program).values()}
    # The library may be in /lib while its modules are in /usr/lib.
    folders |= {Path("/usr") / folder.relative_to("/") for folder in folders if not folder.is_relative_to("/usr")}
    return sorted(module for folder in folders for module in folder.glob("*.so"))
