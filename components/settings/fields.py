"""The kinds of value that the settings are made of. Each check refuses with what is wrong and what to write."""

import ipaddress
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from components.settings.problems import NotAcceptedError

_NAME_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN: Final = rf"(?:localhost|{_LABEL}(?:\.{_LABEL})+|{_LABEL}(?=:))(?::[0-9]+)?"
_REPOSITORY: Final = re.compile(rf"(?:{_DOMAIN}/)?{_NAME_COMPONENT}(?:/{_NAME_COMPONENT})*")
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
"""The grammar of an image reference. Source: the package distribution/reference, its file reference.go."""

_DOCKER_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
"""Source: the engine's own message for a refused name, "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"."""

_JOB_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9_-])?")
"""Narrower than Jenkins, which takes spaces at the end and other alphabets too, but safe in a path and a URL."""

_OLDEST_JENKINS: Final = {3: (2, 426, 3), 2: (2, 442)}
"""The first long-term (three numbers) and weekly (two) releases without CVE-2024-23897, by which anyone who reaches
the port reads files of the controller."""

_OPENING_JAVA_OPTIONS: Final = {
    "hudson.security.csrf.GlobalCrumbIssuerConfiguration.DISABLE_CSRF_PROTECTION": "lets requests be forged",
    "hudson.model.DirectoryBrowserSupport.CSP": "lets a job's files run scripts in the browser of whoever opens them",
    "jenkins.install.runSetupWizard": "belongs to ci:jenkins.setup",
    "jenkins.model.Jenkins.slaveAgentPort": "belongs to ci:jenkins.agentPort",
}

_LONGEST_TEXT: Final = 60_000
"""Bytes in UTF-8. A constant of a Java class holds 65,535; the rest is for what quoting adds."""

WHERE_RUNNERS_ARE_MADE: Final = (
    "Settings > CI/CD > Runners of a project, Build > Runners of a group, Admin > CI/CD > Runners"
)
"""Where GitLab shows a new runner's authentication token, once. Source: GitLab's documentation, "Manage runners"."""

_GUESSED_PASSWORDS: Final = (
    "password",
    "admin",
    "changeme",
    "jenkins",
    "secret",
    "letmein",
    "welcome",
    "qwerty",
    "123456",
)


def _image(value: str) -> str:
    instead = "give repository:tag or repository:tag@sha256:<64 hexadecimal digits>"
    rest, at, digest = value.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise NotAcceptedError(f"has the digest {digest!r}, which is not sha256: and 64 hexadecimal digits", instead)
    head, slash, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    if colon and not TAG.fullmatch(tag):
        raise NotAcceptedError(f"has the tag {tag!r}, which is not 1 to 128 letters, digits, '_', '.' or '-'", instead)
    repository = f"{head}{slash}{name}"
    if not _REPOSITORY.fullmatch(repository):
        raise NotAcceptedError(
            f"has the repository {repository!r}, which is not lower-case words with '/' between", instead
        )
    if not at and (not colon or tag == "latest"):
        raise NotAcceptedError("names no fixed version, so the next pull may bring another", instead)
    _refuse_old_jenkins(repository, tag)
    return value


def _refuse_old_jenkins(repository: str, tag: str) -> None:
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(?:-|$)", tag)
    if not repository.endswith("jenkins/jenkins") or not match:
        return
    version = tuple(int(number) for number in match.groups() if number is not None)
    oldest = _OLDEST_JENKINS[len(version)]
    if version < oldest:
        raise NotAcceptedError(
            "has CVE-2024-23897: whoever reaches the port can read the controller's files",
            f"give {'.'.join(map(str, oldest))} or newer",
        )


def _docker_name(value: str) -> str:
    if not _DOCKER_NAME.fullmatch(value):
        raise NotAcceptedError(
            "is not a name that Docker takes",
            "give 2 to 128 letters, digits, '_', '.' or '-', the first a letter or digit",
        )
    return value


def _absolute_path(value: str) -> str:
    if not value.startswith("/") or "\0" in value or ".." in value.split("/") or ":" in value:
        raise NotAcceptedError(
            "is not an absolute path", "give one that begins with '/' and has no '~', '..' or ':' in it"
        )
    return value


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
    if address.is_multicast:
        raise NotAcceptedError("is a multicast address, which no interface has", instead)
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise NotAcceptedError("has a zone, which Docker does not take", instead)
        return str(address.ipv4_mapped or address)
    return str(address)


def _user(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_.-]{0,31}", value) or value in {
        "anonymous",
        "authenticated",
        "system",
        "unknown",
    }:
        raise NotAcceptedError(
            "is not a user name that Jenkins keeps for people",
            "give 1 to 32 lower-case letters, digits, '_', '.' or '-', the first a letter",
        )
    return value


def _host(value: str) -> str:
    scheme, found, rest = value.partition("://")
    if scheme == "unix" and found:
        _absolute_path(rest)
        return value
    if scheme == "ssh" and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", rest):
        return value
    if scheme == "ssh":
        raise NotAcceptedError("names no user", "give ssh://user@host or ssh://user@host:port")
    if scheme == "tcp":
        return _engine_address(value)
    raise NotAcceptedError(
        "has a scheme that is not known here",
        "give unix:///path/of/the/socket, ssh://user@host or tcp://host:2376",
    )


def _engine_address(value: str) -> str:
    instead = "give tcp://name:port, for example tcp://builder.example.org:2376"
    found = re.fullmatch(r"tcp://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", value)
    if not found or not 0 < int(found[2]) < 65536:  # noqa: PLR2004
        raise NotAcceptedError("is not the address of an engine on TCP", instead)
    if found[2] == "2375":
        raise NotAcceptedError(
            "is the port of engines without TLS, and one without client certificates gives root to anyone",
            "give the one where it listens with --tlsverify, for example tcp://builder.example.org:2376",
        )
    return value


def _java_option(value: str) -> str:
    if not re.fullmatch(r"-[^\s'\"\\]+", value):
        raise NotAcceptedError(
            "is not one option of the Java machine", "give one that begins with '-' and has no space or quote in it"
        )
    for name, why in _OPENING_JAVA_OPTIONS.items():
        if value.startswith(f"-D{name}"):
            raise NotAcceptedError(why, "leave it out")
    return value


def _capability(value: str) -> str:
    instead = "give one by its name without CAP_, as capabilities(7) has it"
    if value == "ALL":
        raise NotAcceptedError("is every capability, which privileged: true means", instead)
    if not re.fullmatch(r"[A-Z][A-Z_]{1,30}", value) or value.startswith("CAP_"):
        raise NotAcceptedError("is not the name of a capability", instead)
    return value


def _security_option(value: str) -> str:
    if not re.fullmatch(r"(seccomp|apparmor)=[A-Za-z0-9_.-]+|label=[A-Za-z0-9_:.-]+|systempaths=unconfined", value):
        raise NotAcceptedError(
            "is not a security option that is taken here",
            "give seccomp=unconfined, apparmor=<profile>, label=<SELinux label> or systempaths=unconfined",
        )
    return value


def _engine_option(value: str) -> str:
    if not re.fullmatch(r"--[a-z][a-z0-9-]*(=[^\s'\"\\]+)?", value):
        raise NotAcceptedError(
            "is not one option of the engine", "give --name or --name=value, with no space or quote in it"
        )
    name = value.partition("=")[0]
    if name == "--host" or name.startswith("--tls"):
        raise NotAcceptedError("is the stack's to set: the engine listens for Jenkins alone, by TLS", "leave it out")
    return value


def _plugin(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*:[A-Za-z0-9][A-Za-z0-9_.-]*", value) or value.endswith(":latest"):
        raise NotAcceptedError("is not a plugin with its version", "give name:version")
    return value


def _job_name(value: str) -> str:
    if not _JOB_NAME.fullmatch(value):
        raise NotAcceptedError(
            "is not a name for a job",
            "give 1 to 100 letters, digits, ' ', '.', '_' or '-', the first a letter or digit",
        )
    return value


def _pipeline_text(value: str) -> str:
    strange = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", value)
    if strange:
        # Jenkins keeps a job as XML, and deletes one, history and all, whose XML it cannot read.
        raise NotAcceptedError(
            f"has the character U+{ord(strange[0]):04X} in it, which XML cannot hold", "leave that character out"
        )
    if len(value.encode()) > _LONGEST_TEXT:
        raise NotAcceptedError(
            f"has {len(value.encode())} bytes, and Java takes no text of over {_LONGEST_TEXT} as it stands",
            "put the pipeline into a repository's Jenkinsfile",
        )
    return value


def _repository(value: str) -> str:
    if re.match(r"https://[^/@]+@", value):
        raise NotAcceptedError(
            "has a credential in it", "give the plain address, set ci:gitToken and write credentials: gitToken"
        )
    if not re.fullmatch(r"https://[A-Za-z0-9][^\s'\"\\$@]*/[^\s'\"\\$@]+", value):
        raise NotAcceptedError("is not a repository that Jenkins can clone here", "give its https:// address")
    return value


def _git_ref(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", value) or ".." in value or value.endswith(("/", ".lock")):
        raise NotAcceptedError("is not the name of a branch", "give one, such as main")
    return value


def _relative_path(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_./ -]*", value) or ".." in value.split("/"):
        raise NotAcceptedError("is not a path inside the repository", "give one with no '..' and no '/' in front")
    return value


def _cron(value: str) -> str:
    return refuse_bad_cron(
        value, "give five fields as Jenkins takes them (minute hour day month weekday; H spreads the load)"
    )


def refuse_bad_cron(value: str, instead: str) -> str:
    """Accept five fields of a schedule that comes again, or one of its names; `instead` says what to write."""
    # Imported here: only a stack with a schedule pays for it.
    from croniter import croniter  # noqa: PLC0415

    if value in {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}:
        return value
    fields = value.split()
    if len(fields) != 5:  # noqa: PLR2004
        raise NotAcceptedError(f"has {len(fields)} fields", instead)
    try:
        schedule = croniter(value, hash_id="ci", max_years_between_matches=8)
        schedule.get_next()
    except (ValueError, KeyError) as error:
        raise NotAcceptedError(f"is not a schedule, or would never come ({error})", instead) from None
    return value


def image_repository(value: str) -> bool:
    """Say whether this is an image's name without tag and digest, as the reference grammar has it."""
    return _REPOSITORY.fullmatch(value) is not None


def image_domain(reference: str) -> str | None:
    """Give the registry's host that an image reference names; None where it names none."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else None


def _new_password(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    instead = "set another in the same way (`pulumi config set --secret`)"
    if len(text) < 12:  # noqa: PLR2004
        raise NotAcceptedError("is shorter than 12 characters", instead)
    if len(text.encode()) > 72:  # noqa: PLR2004 - bcrypt's own limit; it would ignore what follows
        raise NotAcceptedError("is longer than the 72 bytes that its hash covers", instead)
    if any(ord(letter) < 32 for letter in text):  # noqa: PLR2004
        raise NotAcceptedError("has a control character or a line break in it", instead)
    if len(set(text)) < 5 or text.lower().rstrip("0123456789!") in {  # noqa: PLR2004
        part * times for part in _GUESSED_PASSWORDS for times in (1, 2, 3)
    }:
        raise NotAcceptedError("is among the first that are guessed", instead)
    return value


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or text != text.strip() or "${" in text or any(ord(letter) < 33 for letter in text):  # noqa: PLR2004
        # Configuration as code would take ${...} inside the token for a variable of its own.
        raise NotAcceptedError(
            "is empty, or has spaces, line breaks or ${ in it", "set it with `pulumi config set --secret`"
        )
    return value


def _server_address(value: str) -> str:
    if re.match(r"https?://[^/]*@", value):
        raise NotAcceptedError("has a credential in it", "give the plain address")
    if not re.fullmatch(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*/?", value):
        raise NotAcceptedError(
            "is not a server's address", "give https://host, with a port or a path behind it if need be"
        )
    return value.rstrip("/")


def _runner_token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith(("GR1348941", "glrtr-")):
        raise NotAcceptedError(
            "is a registration token, or was made with one: GitLab has given that way up",
            f"make a runner in GitLab, whose token begins with glrt- ({WHERE_RUNNERS_ARE_MADE})",
        )
    if not re.fullmatch(r"glrt-[A-Za-z0-9_.-]{20,250}", text):
        raise NotAcceptedError(
            "is not a runner's authentication token, which is glrt- and 20 or more letters, digits, '_', '-' or '.'",
            f"make a runner in GitLab and set the token that it shows ({WHERE_RUNNERS_ARE_MADE})",
        )
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
ImageReference = Annotated[str, AfterValidator(_image)]
DockerName = Annotated[str, AfterValidator(_docker_name)]
AbsolutePath = Annotated[str, AfterValidator(_absolute_path)]
Address = Annotated[str, AfterValidator(_address)]
UserName = Annotated[str, AfterValidator(_user)]
DockerHost = Annotated[str, AfterValidator(_host)]
EngineAddress = Annotated[str, AfterValidator(_engine_address)]
JavaOption = Annotated[str, AfterValidator(_java_option)]
Capability = Annotated[str, AfterValidator(_capability)]
SecurityOption = Annotated[str, AfterValidator(_security_option)]
EngineOption = Annotated[str, AfterValidator(_engine_option)]
Plugin = Annotated[str, AfterValidator(_plugin)]
JobName = Annotated[str, AfterValidator(_job_name)]
PipelineText = Annotated[str, AfterValidator(_pipeline_text)]
Repository = Annotated[str, AfterValidator(_repository)]
GitRef = Annotated[str, AfterValidator(_git_ref)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
Cron = Annotated[str, AfterValidator(_cron)]
NewPassword = Annotated[SecretStr, AfterValidator(_new_password)]
Token = Annotated[SecretStr, AfterValidator(_token)]
ServerAddress = Annotated[str, AfterValidator(_server_address)]
RunnerToken = Annotated[SecretStr, AfterValidator(_runner_token)]
