"""The kinds of value that only the Kubernetes platform has. Each check refuses with what is wrong and what to write."""

import ipaddress
import posixpath
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from components.settings.fields import TAG, image_domain, image_repository, refuse_bad_cron
from components.settings.problems import NotAcceptedError

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
"""A DNS-1123 label. Source: the Kubernetes documentation, "Object Names and IDs"."""

_LONGEST_NAMESPACE: Final = 56
"""Characters. A label holds 63, and the builds' namespace is the same name with `-builds` behind it."""

_LONGEST_BUILD: Final = 37
"""Characters. A CronJob's name may have 52, and a Job's is the build's, `-` and 12 hexadecimal digits."""

_CRON: Final = (
    ("minute", 0, 59, ""),
    ("hour", 0, 23, ""),
    ("day", 1, 31, ""),
    ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    ("weekday", 0, 6, "sun mon tue wed thu fri sat"),
)
"""Each field's least and greatest number, and the names of them. Source: robfig/cron, which CronJobs are read with."""

_WEAKEST_HASH: Final = 10
"""Rounds of bcrypt, as a power of two: what `htpasswd -B -C 10` makes. About 60 ms a guess."""

_LONGEST_INLINE: Final = 1_000_000
"""Bytes of one file. A ConfigMap holds 1 MiB in all."""


def _label(value: str, what: str, longest: int, example: str) -> str:
    if len(value) > longest or not _LABEL.fullmatch(value):
        suggestion = re.sub(r"[^a-z0-9-]+", "-", value.lower())[:longest].strip("-") or example
        raise NotAcceptedError(
            f"is not a name for a {what}, which has 1 to {longest} lower-case letters, digits or '-' (DNS-1123)",
            f"give for example {suggestion}",
        )
    return value


def _namespace(value: str) -> str:
    if value == "default" or value.startswith("kube-"):
        raise NotAcceptedError("is Kubernetes' own", "give one that only this stack uses, for example ci")
    return _label(value, "namespace", _LONGEST_NAMESPACE, "ci")


def _build_name(value: str) -> str:
    return _label(value, "build", _LONGEST_BUILD, "website")


def _object_name(value: str) -> str:
    if len(value) > 253 or not all(_LABEL.fullmatch(part) for part in value.split(".")):  # noqa: PLR2004
        raise NotAcceptedError(
            "is not the name of a Kubernetes object",
            "give lower-case letters, digits, '-' or '.', the first and last a letter or digit",
        )
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        instead = "give an address range such as 10.0.0.0/8, or one address as 192.0.2.7/32"
        raise NotAcceptedError(f"is not an address range ({error})", instead) from None
    return value if "/" in value else f"{value}/{32 if '.' in value else 128}"


def _host(value: str) -> str:
    name, colon, port = value.partition(":")
    good_port = not colon or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)  # noqa: PLR2004
    if len(name) > 253 or not all(_LABEL.fullmatch(part) for part in name.split(".")) or not good_port:  # noqa: PLR2004
        raise NotAcceptedError(
            "is not a host name, with or without a port", "give for example registry.example.org or 192.0.2.7:30500"
        )
    if colon == "" and "." not in name and name != "localhost":
        # In an image's name, a first word without a dot or a port is taken for a folder on the public registry.
        raise NotAcceptedError("would be read as a part of the image's name", f"give {name}:5000, or a name with a dot")
    return value


def _plain_cron(value: str) -> str:
    instead = "give five fields as cron has them (minute hour day month weekday), for example 17 3 * * *"
    refuse_bad_cron(value, instead)
    # croniter, and Jenkins, know more than Kubernetes does: H, L, #, 7 for Sunday, ranges over midnight.
    for field, (what, least, most, names) in zip(value.split(), _CRON, strict=False) if value[0] != "@" else ():
        for part in field.lower().split(","):
            if not _is_cron(part, least, most, names):
                raise NotAcceptedError(f"has {part!r} as its {what}, which Kubernetes does not take", instead)
    return value


def _is_cron(part: str, least: int, most: int, names: str) -> bool:
    found = re.fullmatch(r"(?:[*?]|([0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?)(?:/0*[1-9][0-9]*)?", part)
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
    instead = "give repository:tag, which goes to this stack's registry, or host/repository:tag"
    if "@" in value:
        raise NotAcceptedError("has a digest, which only the build can know", instead)
    head, slash, last = value.rpartition("/")
    name, colon, tag = last.partition(":")
    repository = f"{head}{slash}{name}"
    if not colon:
        raise NotAcceptedError("has no tag", f"{instead}, for example {value}:1.0" if value else instead)
    if not TAG.fullmatch(tag):
        raise NotAcceptedError(f"has the tag {tag!r}, which is not 1 to 128 letters, digits, '_', '.' or '-'", instead)
    if not image_repository(repository):
        raise NotAcceptedError(
            f"has the repository {repository!r}, which is not lower-case words with '/' between", instead
        )
    if image_domain(value) is None and repository.partition("/")[0] == "cache":
        raise NotAcceptedError("is where this stack keeps the builds' layers", "give a name that begins otherwise")
    return value


def _platform(value: str) -> str:
    if value.startswith("windows/"):
        raise NotAcceptedError("is a platform that none of the builders can build for", "give for example linux/amd64")
    if not re.fullmatch(r"linux/(amd64|arm64|arm/v[5-7]|386|ppc64le|s390x|riscv64)", value):
        raise NotAcceptedError("is not a platform that is known here", "give for example linux/amd64 or linux/arm64")
    return value


def _git_repository(value: str) -> str:
    if re.match(r"https://[^/@]+@", value) or re.match(r"ssh://[^/@]+:[^/@]+@", value):
        raise NotAcceptedError(
            "has a credential in it", "give the plain address, set ci:gitToken and write credentials: gitToken"
        )
    if not re.fullmatch(r"(?:https|ssh)://[^\s'\"\\$@/]+(?:@[^\s'\"\\$@/]+)?/[^\s'\"\\$@]+", value) or re.match(
        r"ssh://[^@]+$", value
    ):
        raise NotAcceptedError(
            "is not a repository that a build can clone",
            "give https://host/path.git, or ssh://user@host/path.git",
        )
    return value


def _git_revision(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", value) or ".." in value or value.endswith(("/", ".lock")):
        raise NotAcceptedError(
            "is not a branch, a tag or a commit", "give main, v1.2.3, refs/pull/7/head or all 40 digits of a commit"
        )
    return value


def _archive(value: str) -> str:
    if re.match(r"https://[^/@]+@", value):
        raise NotAcceptedError("has a credential in it", "give an address that needs none, or one of object storage")
    if not re.fullmatch(r"(?:https|s3|gs)://[A-Za-z0-9][^\s'\"\\$@]*/[^\s'\"\\$@]+\.(?:tar\.gz|tgz)", value):
        raise NotAcceptedError(
            "is not a packed context that a build can fetch",
            "give https://host/path.tar.gz, s3://bucket/path.tar.gz or gs://bucket/path.tar.gz",
        )
    return value


def _inside(value: str) -> str:
    """Accept a path inside a context: relative, and staying there."""
    if (
        not value
        or value.startswith("/")
        or posixpath.normpath(value).startswith("..")
        or any(ord(letter) < 32 or letter == "\x7f" for letter in value)  # noqa: PLR2004
        or posixpath.normpath(value) != value
        or value == "."
    ):
        raise NotAcceptedError(
            "is not a path inside the context", "give one with no '..' or '.' in it and no '/' in front or at the end"
        )
    return value


def _inline_text(value: str) -> str:
    if len(value.encode(errors="surrogatepass")) > _LONGEST_INLINE:
        raise NotAcceptedError(f"has more than {_LONGEST_INLINE} bytes", "put the files into git, or on a volume")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotAcceptedError("is not text in UTF-8", "put the files into git, or on a volume") from None
    return value


def _bcrypt(value: str) -> str:
    found = re.fullmatch(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", value)
    instead = "give what `htpasswd -nB -C 10 NAME` prints after the colon"
    if not found:
        # The registry passes over such a line without a word, and the user can't log in.
        raise NotAcceptedError("is not a bcrypt hash, the only kind that the registry reads", instead)
    if not _WEAKEST_HASH <= int(found[1]) <= 14:  # noqa: PLR2004 - above, each request takes a second
        raise NotAcceptedError(f"has {int(found[1])} rounds (10 to 14 are accepted)", instead)
    return value


def _registry_user(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise NotAcceptedError("is not a user name", "give 1 to 64 letters, digits, '_', '.' or '-'")
    return value


def _argument(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise NotAcceptedError("is not the name of a build argument", "give letters, digits and '_', not a digit first")
    return value


def _label_key(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?", value):
        raise NotAcceptedError(
            "is not the key of an image's label",
            "give lower-case letters, digits, '.', '-' and '/', as org.example.key",
        )
    return value


def _one_line(value: str) -> str:
    if any(ord(letter) < 32 or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in value):  # noqa: PLR2004
        raise NotAcceptedError("has a control character or a line break in it", "give one line of text")
    return value


def _stage(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise NotAcceptedError("is not the name of a stage", "give the name after AS in the Dockerfile")
    return value


def _upstream(value: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?", value):
        raise NotAcceptedError("is not a server's address", "give https://host or https://host:port, without a path")
    return value


def _key_text(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not re.match(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s", text) or "-----END " not in text:
        raise NotAcceptedError(
            "is not a private key in PEM form", "set it from its file: `pulumi config set --secret KEY < key.pem`"
        )
    if "ENCRYPTED" in text.partition("\n")[0]:
        raise NotAcceptedError("is locked by a passphrase, which nobody is there to type", "give one without")
    return SecretStr(text if text.endswith("\n") else f"{text}\n")


Namespace = Annotated[str, AfterValidator(_namespace)]
BuildName = Annotated[str, AfterValidator(_build_name)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
Network = Annotated[str, AfterValidator(_network)]
HostName = Annotated[str, AfterValidator(_host)]
PlainCron = Annotated[str, AfterValidator(_plain_cron)]
Destination = Annotated[str, AfterValidator(_destination)]
Platform = Annotated[str, AfterValidator(_platform)]
GitRepository = Annotated[str, AfterValidator(_git_repository)]
GitRevision = Annotated[str, AfterValidator(_git_revision)]
Archive = Annotated[str, AfterValidator(_archive)]
InsidePath = Annotated[str, AfterValidator(_inside)]
InlineText = Annotated[str, AfterValidator(_inline_text)]
BcryptHash = Annotated[str, AfterValidator(_bcrypt)]
RegistryUser = Annotated[str, AfterValidator(_registry_user)]
ArgumentName = Annotated[str, AfterValidator(_argument)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
OneLine = Annotated[str, AfterValidator(_one_line)]
Stage = Annotated[str, AfterValidator(_stage)]
Upstream = Annotated[str, AfterValidator(_upstream)]
PrivateKey = Annotated[SecretStr, AfterValidator(_key_text)]
LocalPath = Annotated[str, AfterValidator(_one_line), Field(min_length=1)]
NodePort = Annotated[int, Field(ge=30000, le=32767)]
