"""The types of single settings. Each check refuses with what is wrong and what is accepted."""

import ipaddress
import re
import unicodedata
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from .problems import NotAcceptedError

NAME_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN: Final = rf"(?:localhost|{_LABEL}(?:\.{_LABEL})+|{_LABEL}(?=:))(?::[0-9]+)?"
_REPOSITORY: Final = re.compile(rf"(?=.{{1,255}}$)(?:{_DOMAIN}/)?{NAME_COMPONENT}(?:/{NAME_COMPONENT})*")
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
"""The grammar of an image reference. Source: the package distribution/reference, its file reference.go."""

_OLDEST_JENKINS: Final = {3: (2, 426, 3), 2: (2, 442)}
"""The first long-term (three numbers) and weekly (two) releases without CVE-2024-23897, by which anyone who reaches
the port reads files of the controller."""

_REFUSED_JAVA_OPTIONS: Final = {
    "hudson.security.csrf.GlobalCrumbIssuerConfiguration.DISABLE_CSRF_PROTECTION": "lets requests be forged",
    "hudson.model.DirectoryBrowserSupport.CSP": "lets files of a job run scripts in the browser of its reader",
    "jenkins.install.runSetupWizard": "is set by ci:jenkins.setup",
    "jenkins.model.Jenkins.slaveAgentPort": "is set by ci:jenkins.agentPort",
    "hudson.TcpSlaveAgentListener.port": "is set by ci:jenkins.agentPort",
}

PORT: Final = "(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))"
"""A port behind a host, 1 to 65535."""

HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
"""A host's name or address. One that begins with '-' would be an option of ssh."""

AUTHORITY: Final = f"{HOST}{PORT}?"
"""The host of an address, with or without a port."""

URL_PATH: Final = "[A-Za-z0-9._~!*()&+,;=:%?/-]+"
"""What may follow the host: the characters of RFC 3986 but for quotes, '$', '@' and '#'."""

WORD: Final = "[A-Za-z0-9_][A-Za-z0-9_.@+~-]*"
"""A user, a region: no option, and nothing that a shell, a URL or YAML reads as more than text."""

_JOINERS: Final = "\u200c\u200d"
"""Characters that are not seen, but without which Persian and many emoji are written wrong."""

_OF_INTERFACES: Final = tuple(map(ipaddress.IPv6Network, ("::1/128", "2000::/3", "fc00::/7", "fe80::/10")))
"""What an interface may have of IPv6."""

_MULTICAST: Final = 224
"""The first byte of an IPv4 address from which on no interface has one. 0 is this network's own."""

_LONGEST_PIPELINE: Final = 60_000
"""Bytes in UTF-8. A constant of a Java class holds 65,535; the rest is for what quoting adds."""


def matches(pattern: str, wrong: str, instead: str, *, address: bool = False) -> AfterValidator:
    """Return a validator that accepts text of which all matches the pattern and, if an `address`, is readable."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise NotAcceptedError(wrong, instead)
        return readable(value) if address else value

    return AfterValidator(check)


def refuses(pattern: str, wrong: str, instead: str) -> AfterValidator:
    """Return a validator that refuses text in which the pattern is found."""
    return matches(rf"(?s:(?!.*(?:{pattern})).*)", wrong, instead)


def visible(value: str, *, more: str = "") -> str:
    """Accept letters, marks, numbers, punctuation, symbols and spaces of any script, and the characters in `more`.

    All others are not seen, end a line, or turn the direction of the text around them.
    """
    for letter in value:
        if not letter.isprintable() and unicodedata.category(letter) != "Zs" and letter not in f"{_JOINERS}{more}":
            wrong = f"has the character U+{ord(letter):04X}, which is not seen or ends a line"
            raise NotAcceptedError(wrong, "remove it")
    return value


def readable(value: str) -> str:
    """Refuse an address that `urlsplit` can't read: what is in brackets is no IPv6 address."""
    try:
        urlsplit(value)
    except ValueError as wrong:
        raise NotAcceptedError(f"can't be read ({wrong})", "give a name or an address such as [2001:db8::1]") from wrong
    return value


def check_reference(repository: str, tag: str | None, instead: str) -> None:
    """Refuse a repository or a tag that the grammar of image references does not have."""
    if tag is not None and not TAG.fullmatch(tag):
        raise NotAcceptedError(f"has the tag {tag!r}, which is not 1 to 128 letters, digits, '_', '.' or '-'", instead)
    if not _REPOSITORY.fullmatch(repository):
        wrong = f"has the repository {repository!r}, which is not lower-case words and '/', 255 characters in all"
        raise NotAcceptedError(wrong, instead)


def split_tag(reference: str) -> tuple[str, str | None]:
    """Return repository and tag of a reference without a digest."""
    head, slash, last = reference.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{head}{slash}{name}", tag if colon else None


def image_domain(reference: str) -> str | None:
    """Return the registry's host that an image reference names, or None."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else None


def _image(value: str) -> str:
    instead = "give repository:tag or repository:tag@sha256:<64 hexadecimal digits>"
    rest, at, digest = value.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise NotAcceptedError(f"has the digest {digest!r}, which is not sha256: and 64 hexadecimal digits", instead)
    repository, tag = split_tag(rest)
    check_reference(repository, tag, instead)
    if not at and tag in {None, "latest"}:
        raise NotAcceptedError("names no fixed version, so another pull may give another image", instead)
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(?:-|$)", tag or "")
    if repository.endswith("jenkins/jenkins") and found:
        version = tuple(int(number) for number in found.groups() if number is not None)
        oldest = _OLDEST_JENKINS[len(version)]
        if version < oldest:
            wrong = "has CVE-2024-23897: anyone who reaches the port can read the controller's files"
            raise NotAcceptedError(wrong, f"give {'.'.join(map(str, oldest))} or newer", "vulnerable")
    return value


def _absolute_path(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/") or ":" in value:
        raise NotAcceptedError("is not an absolute path", "give one that begins with '/', without '~', '..' or ':'")
    return visible(value)


def _address(value: str) -> str:
    """Return the address in its shortest form, an IPv4 address inside of IPv6 as IPv4.

    Docker reads an address with Go's net.ParseIP, and publishes on every interface what that cannot read. So a zone
    (`fe80::1%eth0`), which Go does not take, is refused, and what is checked here is what Docker gets.
    """
    instead = "give one IPv4 or IPv6 address of the host without a zone or port, for example 127.0.0.1"
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise NotAcceptedError("is not an IP address", instead) from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise NotAcceptedError("has a zone, which Docker does not take", instead)
        address = address.ipv4_mapped or address
    usable = (
        1 <= address.packed[0] < _MULTICAST
        if isinstance(address, ipaddress.IPv4Address)
        else any(address in network for network in _OF_INTERFACES)
    )
    if not usable and not address.is_unspecified:
        raise NotAcceptedError("is an address that no interface has", instead)
    return str(address)


def _docker_host(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme == "unix":
        _absolute_path(rest)
    elif scheme == "ssh":
        instead, host = "give ssh://user@host[:port], for example ssh://ci@example.org", rest.partition("@")[2]
        if not re.match("[A-Za-z0-9_][A-Za-z0-9_.-]*@", rest):
            raise NotAcceptedError("has no user@host", instead)
        if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9.-]*{PORT}?", host):
            bad_port = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*:.*", host)
            raise NotAcceptedError(f"has no {'port from 1 to 65535' if bad_port else 'host'} behind the user", instead)
    elif scheme == "tcp":
        _engine_address(value)
    else:
        raise NotAcceptedError("has an unknown scheme", "give unix:///path, ssh://user@host or tcp://host:2376")
    return value


def _engine_address(value: str) -> str:
    example = "for example tcp://builder.example.org:2376"
    if not re.fullmatch(rf"tcp://(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]){PORT}", value):
        raise NotAcceptedError("is not the address of a Docker engine on TCP", f"give tcp://name:port, {example}")
    if value.endswith(":2375"):
        raise NotAcceptedError(
            "is the port of engines without TLS, and one without client certificates gives root to anyone",
            f"give the port where it listens with --tlsverify, {example}",
        )
    return value


def _java_option(value: str) -> str:
    for name, why in _REFUSED_JAVA_OPTIONS.items():
        if value.startswith(f"-D{name}"):
            raise NotAcceptedError(why, "remove it")
    return value


def _pipeline_text(value: str) -> str:
    strange = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", value)
    if strange:
        # Jenkins keeps a job as XML, and deletes one, with its history, whose XML it cannot read.
        raise NotAcceptedError(f"has the character U+{ord(strange[0]):04X}, which XML cannot hold", "remove it")
    if len(value.encode()) > _LONGEST_PIPELINE:
        raise NotAcceptedError(
            f"has more than the {_LONGEST_PIPELINE} bytes that a text in Java may have",
            "put the pipeline into a repository's Jenkinsfile",
        )
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
ImageReference = Annotated[str, AfterValidator(_image)]
DockerName = Annotated[
    str,
    matches(
        # Source: the engine's own message for a refused name.
        r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}",
        "is not a name that Docker accepts",
        "give 2 to 128 letters, digits, '_', '.' or '-', the first a letter or digit",
    ),
]
AbsolutePath = Annotated[str, AfterValidator(_absolute_path)]
Address = Annotated[str, AfterValidator(_address)]
UserName = Annotated[
    str,
    matches(
        r"(?!(?:anonymous|authenticated|system|unknown)$)[a-z][a-z0-9_.-]{0,31}",
        "is not a user name, or is one that Jenkins has for itself",
        "give 1 to 32 lower-case letters, digits, '_', '.' or '-', the first a letter",
    ),
]
DockerHost = Annotated[str, AfterValidator(_docker_host), AfterValidator(readable)]
EngineAddress = Annotated[str, AfterValidator(_engine_address), AfterValidator(readable)]
JavaOption = Annotated[
    str,
    matches(r"-[^\s'\"\\]+", "is not one option of Java", "give for example -Xss2m, without spaces or quotes"),
    AfterValidator(visible),
    AfterValidator(_java_option),
]
Capability = Annotated[
    str,
    matches(
        r"(?!ALL$|CAP_)[A-Z][A-Z_]{1,30}",
        "is not the name of one capability",
        "give one as capabilities(7) has it, without CAP_, for example SYS_ADMIN; privileged: true means all of them",
    ),
]
SecurityOption = Annotated[
    str,
    matches(
        r"(seccomp|apparmor)=[A-Za-z0-9_.-]+|label=[A-Za-z0-9_:.-]+|systempaths=unconfined",
        "is not a security option that is accepted here",
        "give seccomp=unconfined, apparmor=<profile>, label=<SELinux label> or systempaths=unconfined",
    ),
]
EngineOption = Annotated[
    str,
    matches(
        r"--[a-z][a-z0-9-]*(=[^\s'\"\\]+)?",
        "is not one option of dockerd",
        "give --name or --name=value without spaces or quotes, for example --debug",
    ),
    AfterValidator(visible),
    refuses(r"^--(host(=|$)|tls)", "is set by this project: the engine listens for Jenkins only, by TLS", "remove it"),
]
Plugin = Annotated[
    str,
    matches(
        r"[A-Za-z0-9][A-Za-z0-9_-]*:(?!latest$)[A-Za-z0-9][A-Za-z0-9_.-]*",
        "is not a plugin with a fixed version",
        "give name:version, for example ansicolor:542.v03d235fee02d",
    ),
]
JobName = Annotated[
    str,
    matches(
        # Narrower than Jenkins, which takes spaces at the end and other alphabets too, but safe in a path and a URL.
        r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9_-])?",
        "is not a name for a job",
        "give 1 to 100 letters, digits, ' ', '.', '_' or '-', the first a letter or digit",
    ),
]
PipelineText = Annotated[str, Field(max_length=_LONGEST_PIPELINE), AfterValidator(_pipeline_text)]
Repository = Annotated[
    str,
    refuses(
        r"^https://[^/@]+@",
        "has a credential in it",
        "give the address without it, set ci:gitToken and write credentials: gitToken",
    ),
    matches(
        f"https://{AUTHORITY}/{URL_PATH}",
        "is not a repository that Jenkins can clone",
        "give its https:// address in ASCII, for example https://git.example.org/team/website.git",
        address=True,
    ),
]
_REVISION: Final = r"(?!.*(?:\.\.|/$|\.lock$))[A-Za-z0-9_][A-Za-z0-9_./-]*"
GitRef = Annotated[str, matches(_REVISION, "is not the name of a branch", "give one, for example main")]
GitRevision = Annotated[
    str,
    matches(
        _REVISION,
        "is not a branch, a tag or a commit",
        "give main, v1.2.3, refs/pull/7/head or all 40 digits of a commit",
    ),
]
RelativePath = Annotated[
    str,
    matches(
        r"(?!(?:.*/)?\.\.(?:/|$))[A-Za-z0-9_.][A-Za-z0-9_./ -]*",
        "is not a path in the repository",
        "give one without '..' and without '/' in front",
    ),
]
WebAddress = Annotated[
    str,
    # Configuration as code would take ${...} for a variable, or for a file to read.
    matches(
        f"https?://{AUTHORITY}(?:/[A-Za-z0-9._~%-]*)*",
        "is not the address of a web page",
        "give https://host, with a port or a path if needed, for example https://ci.example.org/",
        address=True,
    ),
]
ServerAddress = Annotated[
    str,
    refuses(r"^https?://[^/]*@", "has a credential in it", "give the address without it"),
    matches(
        rf"https?://[A-Za-z0-9][A-Za-z0-9.-]*{PORT}?(?:/[A-Za-z0-9._~-]+)*/?",
        "is not a server's address",
        "give https://host, with a port or a path if needed",
    ),
    AfterValidator(lambda value: value.rstrip("/")),
]
