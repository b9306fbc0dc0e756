"""The types of settings that only the Kubernetes platform has."""

import ipaddress
import posixpath
import re
from collections.abc import Callable
from typing import Annotated, Final

from croniter import croniter
from pydantic import AfterValidator, Field

from .fields import (
    AUTHORITY,
    NAME_COMPONENT,
    PORT,
    URL_PATH,
    WORD,
    check_reference,
    image_domain,
    matches,
    refuses,
    split_tag,
    visible,
)
from .problems import NotAcceptedError

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
"""A DNS-1123 label. Source: the Kubernetes documentation, "Object Names and IDs"."""

_LONGEST_NAMESPACE: Final = 56
"""Characters. A label holds 63, and the builds' namespace is the same name with `-builds` behind it."""

_LONGEST_BUILD: Final = 37
"""Characters. A CronJob's name may have 52, and a Job's is the build's, `-` and 12 hexadecimal digits."""

_ALIASES: Final = {f"@{name}" for name in ("hourly", "daily", "midnight", "weekly", "monthly", "yearly", "annually")}

_CRON: Final = (
    ("minute", 0, 59, ""),
    ("hour", 0, 23, ""),
    ("day", 1, 31, ""),
    ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    ("weekday", 0, 6, "sun mon tue wed thu fri sat"),
)
"""Each field's least and greatest number, and the names of them. Source: robfig/cron, which CronJobs are read with."""

OF_DIGESTS: Final = "sha(?:256|512)-"
"""How the tags begin under which signatures are looked for. Source: sigstore/cosign, and OCI's distribution-spec."""

_BCRYPT_ROUNDS: Final = range(10, 15)
"""As powers of two. 10 is what `htpasswd -B -C 10` makes, about 60 ms a guess; above 14, a request takes a second."""

_LONGEST_INLINE: Final = 1_000_000
"""Bytes of one file. A ConfigMap holds 1 MiB in all."""

_LONGEST_NAME: Final = 253
"""Characters of an object's or a host's name. Source: RFC 1123."""


def _label(what: str, longest: int, example: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > longest or not _LABEL.fullmatch(value):
            suggestion = re.sub(r"[^a-z0-9-]+", "-", value.lower())[:longest].strip("-") or example
            raise NotAcceptedError(
                f"is not a name for a {what}: 1 to {longest} lower-case letters, digits or '-' (DNS-1123)",
                f"give for example {suggestion}",
            )
        return value

    return check


def _object_name(value: str) -> str:
    if len(value) > _LONGEST_NAME or not all(_LABEL.fullmatch(part) for part in value.split(".")):
        raise NotAcceptedError(
            "is not the name of a Kubernetes object",
            "give lower-case letters, digits, '-' or '.', the first and last a letter or digit",
        )
    return value


def _network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        instead = "give a range such as 10.0.0.0/8, or one address as 192.0.2.7/32"
        raise NotAcceptedError(f"is not a range of addresses ({error})", instead) from None
    # The API server knows no other forms, such as 10.0.0.0/255.0.0.0.
    return str(network)


def _host(value: str) -> str:
    name, colon, port = value.partition(":")
    good_port = not colon or re.fullmatch(PORT, colon + port)
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(part) for part in name.split(".")) or not good_port:
        raise NotAcceptedError(
            "is not a host name, with or without a port", "give for example registry.example.org or 192.0.2.7:30500"
        )
    if not colon and "." not in name and name != "localhost":
        # In an image's name, a first word without a dot or a port is taken for a folder on the public registry.
        raise NotAcceptedError("would be read as a part of the image's name", f"give {name}:5000, or a name with a dot")
    return value


def _plain_cron(value: str) -> str:
    instead = "give five fields of cron (minute hour day month weekday), for example 17 3 * * *"
    if value in _ALIASES:
        return value
    fields = value.split()
    if len(fields) != len(_CRON):
        raise NotAcceptedError("does not have five fields", instead)
    for field, (what, least, most, names) in zip(fields, _CRON, strict=True):
        for part in field.lower().split(","):
            if not _is_cron(part, least, most, names):
                raise NotAcceptedError(f"has {part!r} as its {what}, which Kubernetes does not accept", instead)
    try:
        croniter(value, max_years_between_matches=8).get_next()
    except (ValueError, KeyError) as error:
        raise NotAcceptedError(f"is not a schedule, or would never come ({error})", instead) from None
    return value


def _is_cron(part: str, least: int, most: int, names: str) -> bool:
    found = re.fullmatch(r"(?:[*?]|([0-9]{1,9}|[a-z]+)(?:-([0-9]{1,9}|[a-z]+))?)(?:/0*[1-9][0-9]*)?", part)
    if not found:
        return False
    known = names.split()
    ends = [
        known.index(end) + least if end in known else int(end) if end.isdigit() else -1
        for end in found.groups()
        if end is not None
    ]
    return ends == sorted(ends) and all(least <= end <= most for end in ends)


def _destination(value: str) -> str:
    instead = "give repository:tag for this stack's registry, for example website:1.2.3, or host/repository:tag"
    if "@" in value:
        raise NotAcceptedError("has a digest, which only the build can know", instead)
    repository, tag = split_tag(value)
    if tag is None:
        raise NotAcceptedError("has no tag", f"give it one, for example {value}:1.0" if value else instead)
    check_reference(repository, tag, instead)
    if re.match(OF_DIGESTS, tag):
        wrong = "has a tag that begins as those under which signatures of an image are looked for"
        raise NotAcceptedError(wrong, instead)
    if image_domain(value) is None and repository.partition("/")[0] == "cache":
        raise NotAcceptedError(
            "is where this stack keeps the builds' layers", f"give another name, for example my-{value}"
        )
    return value


def _inside(value: str) -> str:
    """Accept a path inside of a context: relative, normal, and staying there."""
    if value.startswith(("/", "..", "-")) or posixpath.normpath(value) != value or value == ".":
        raise NotAcceptedError(
            "is not a path in the context", "give one without '.' or '..', and without '/' at its ends or '-' in front"
        )
    return visible(value)


def _inline_text(value: str) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise NotAcceptedError("is not text in UTF-8", "put the files into git, or on a volume") from None
    if size > _LONGEST_INLINE:
        raise NotAcceptedError(f"has more than {_LONGEST_INLINE} bytes", "put the files into git, or on a volume")
    return value


def _bcrypt(value: str) -> str:
    found = re.fullmatch(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", value)
    instead = "give what `htpasswd -nB -C 10 NAME` prints after the colon"
    if not found:
        # The registry ignores such a line, and the user can't log in.
        raise NotAcceptedError("is not a bcrypt hash, the only kind that the registry reads", instead)
    if int(found[1]) not in _BCRYPT_ROUNDS:
        raise NotAcceptedError(f"has {int(found[1])} rounds, and 10 to 14 are accepted", instead)
    return value


Namespace = Annotated[
    str,
    refuses(r"^(?i:default$|kube-)", "is Kubernetes' own", "give one that only this stack uses, for example ci"),
    AfterValidator(_label("namespace", _LONGEST_NAMESPACE, "ci")),
]
BuildName = Annotated[str, AfterValidator(_label("build", _LONGEST_BUILD, "website"))]
ObjectName = Annotated[str, AfterValidator(_object_name)]
Network = Annotated[str, refuses("%", "has a zone", "give the range without it"), AfterValidator(_network)]
HostName = Annotated[str, AfterValidator(_host)]
PlainCron = Annotated[str, AfterValidator(_plain_cron)]
Destination = Annotated[str, AfterValidator(_destination)]
Platform = Annotated[
    str,
    matches(
        r"linux/(amd64|arm64|arm/v[5-7]|386|ppc64le|s390x|riscv64)",
        "is not a platform that the builders build for",
        "give for example linux/amd64 or linux/arm64",
    ),
]
GitRepository = Annotated[
    str,
    refuses(
        r"^https://[^/@]+@|^ssh://[^/@]+:[^/@]+@",
        "has a credential in it",
        "give the address without it, set ci:gitToken and write credentials: gitToken",
    ),
    matches(
        f"(?:https://|ssh://{WORD}@){AUTHORITY}/{URL_PATH}",
        "is not a repository that a build can clone",
        "give https://host/path.git, or ssh://user@host/path.git",
        address=True,
    ),
]
Archive = Annotated[
    str,
    refuses(r"^https://[^/@]+@", "has a credential in it", "give an address without it, or one of object storage"),
    matches(
        rf"(?:https|s3|gs)://{AUTHORITY}/{URL_PATH}\.(?:tar\.gz|tgz)",
        "is not a packed context that a build can fetch",
        "give https://host/path.tar.gz, s3://bucket/path.tar.gz or gs://bucket/path.tar.gz",
        address=True,
    ),
]
BranchPattern = Annotated[
    str,
    matches(
        r"(?!.*(?:\.\.|//|/$|\.lock$))[A-Za-z0-9_*][A-Za-z0-9_./*-]*",
        "is not the name of a branch, or a pattern of it",
        "give one, for example main or release/*",
    ),
]
InsidePath = Annotated[str, AfterValidator(_inside)]
InlineText = Annotated[str, Field(max_length=_LONGEST_INLINE), AfterValidator(_inline_text)]
BcryptHash = Annotated[str, AfterValidator(_bcrypt)]
RepositoryPattern = Annotated[
    str,
    Field(max_length=255),
    matches(
        rf"{NAME_COMPONENT}(?:/{NAME_COMPONENT})*(?:/\*)?",
        "is not a repository of this registry, nor one with /* behind it",
        "give its name in small letters without a host or a tag, for example team-a/website, or team-a/* for all below",
    ),
]
RegistryUser = Annotated[
    str,
    matches(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "is not a user name", "give 1 to 64 letters, digits, '_', '.' or '-'"),
]
ArgumentName = Annotated[
    str,
    matches(
        r"[A-Za-z_][A-Za-z0-9_]*",
        "is not the name of a build argument",
        "give letters, digits and '_', for example VERSION",
    ),
]
LabelKey = Annotated[
    str,
    matches(
        r"[a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?",
        "is not the key of an image's label",
        "give lower-case letters, digits, '.', '-' and '/', for example org.example.key",
    ),
]
OneLine = Annotated[str, AfterValidator(visible)]
Word = Annotated[
    str, matches(WORD, "is not one word", "give letters, digits and any of _.@+~- behind the first, for example team-1")
]
KnownHosts = Annotated[
    str,
    Field(max_length=20_000),
    matches(
        r"[ -~\t\r\n]*", "is not what ssh-keyscan prints", "give its lines, for example git.example.org ssh-ed25519 A"
    ),
]
AnnotationKey = Annotated[
    str,
    matches(
        # Source: the Kubernetes documentation, "Annotations", "Syntax and character set".
        r"(?:(?=[^/]{1,253}/)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?",
        "is not the key of an annotation",
        "give for example nginx.ingress.kubernetes.io/proxy-body-size",
    ),
]
AnnotationText = Annotated[str, AfterValidator(lambda value: visible(value, more="\t\n"))]
ContextName = Annotated[
    OneLine, refuses("^-|^$", "is not the name of a context", "give one of `kubectl config get-contexts`")
]
Stage = Annotated[
    str,
    matches(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "is not the name of a stage", "give the name after AS in the Dockerfile"),
]
Upstream = Annotated[
    str,
    matches(
        rf"https?://[A-Za-z0-9][A-Za-z0-9.-]*{PORT}?",
        "is not a server's address",
        "give https://host or https://host:port, without a path",
    ),
]
LocalPath = Annotated[
    # A plugin knows no other home, and there may be no such user.
    OneLine,
    Field(min_length=1),
    refuses("^~[^/]", "is in another user's home", "give an absolute path"),
]
NodePort = Annotated[int, Field(ge=30000, le=32767)]
