"""The types of secrets. No check repeats the value."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import pulumi
from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from .fields import matches
from .problems import NotAcceptedError

LONGEST_SECRET: Final = 65_536
"""Characters of a secret that is a file: a key, a config.json."""

WHERE_RUNNERS_ARE_MADE: Final = (
    "Settings > CI/CD > Runners of a project, Build > Runners of a group, Admin > CI/CD > Runners"
)
"""Where GitLab shows a new runner's authentication token, once. Source: GitLab's documentation, "Manage runners"."""

_GUESSED_PASSWORDS: Final = frozenset(
    word * times
    for word in ("password", "admin", "changeme", "jenkins", "secret", "letmein", "welcome", "qwerty", "123456")
    for times in (1, 2, 3)
)


def _new_password(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    for is_wrong, wrong in (
        (len(text) < 12, "is shorter than 12 characters"),  # noqa: PLR2004
        (len(text.encode()) > 72, "is longer than 72 bytes, the most that its hash covers"),  # noqa: PLR2004
        (min(text, default=" ") < " ", "has a control character or a line break"),
        (len(set(text)) < 5, "has fewer than 5 different characters"),  # noqa: PLR2004
        (text.lower().rstrip("0123456789!") in _GUESSED_PASSWORDS, "is among the first that are guessed"),
    ):
        if is_wrong:
            raise NotAcceptedError(wrong, "set another with `pulumi config set --secret KEY`")
    return value


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    # Configuration as code would take ${...} inside of the token for a variable.
    if text != text.strip() or "${" in text or min(text, default=" ") <= " ":
        wrong = "is empty, or has a space, a line break or ${"
        raise NotAcceptedError(wrong, "set it with `pulumi config set --secret KEY`")
    return value


def _jenkins_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.strip() or "${" in text:
        wrong = "is empty, or has ${, which configuration as code would take for a variable"
        raise NotAcceptedError(wrong, "set it with `pulumi config set --secret --path KEY`")
    return value


def _runner_token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith(("GR1348941", "glrtr-")):
        wrong = "is a registration token, which GitLab no longer supports"
    elif not re.fullmatch(r"glrt-[A-Za-z0-9_.-]{20,250}", text):
        wrong = "is not a runner's authentication token: glrt- and 20 or more letters, digits, '_', '-' or '.'"
    else:
        return value
    raise NotAcceptedError(
        wrong,
        f"create a runner in GitLab ({WHERE_RUNNERS_ARE_MADE}), and set the token that it "
        "shows with `pulumi config set --secret KEY`",
    )


def _private_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not re.match(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s", text) or "-----END " not in text:
        instead = "set it from its file with `pulumi config set --secret KEY < key.pem`"
        raise NotAcceptedError("is not a private key in PEM form", instead)
    if "ENCRYPTED" in text.partition("\n")[0]:
        instead = "give a key without one: `pulumi config set --secret KEY < key.pem`"
        raise NotAcceptedError("has a passphrase, and nobody is there to type it", instead)
    return SecretStr(text if text.endswith("\n") else f"{text}\n")


SecretName = Annotated[
    str,
    matches(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}",
        "is not the name of a build's secret",
        "give the id in RUN --mount=type=secret,id=...: 1 to 63 letters, digits, '_', '-' or '.', for example npmToken",
    ),
]
JenkinsSecretName = Annotated[
    str,
    matches(
        # Configuration as code may take a variable of the container's environment for one in other words.
        r"(?!gitToken$)[a-z][A-Za-z0-9]{0,62}",
        "is not a name for one of Jenkins' secrets, or is that of ci:gitToken",
        "give 1 to 63 letters and digits, the first a small letter, for example mailPassword",
    ),
]
if TYPE_CHECKING:
    Secret = SecretStr | pulumi.Output[str]
else:
    # A stack's file, its schema and its reference know of no output.
    Secret = SecretStr


def text_of(secret: Secret) -> pulumi.Output[str]:
    """Return a secret's text, as a secret."""
    text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    return pulumi.Output.secret(text)


def _now_or_later(value: object, check: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - a secret or an output
    """Check a secret, or let an output of another resource be checked once its value is known."""
    if not isinstance(value, pulumi.Output):
        return check(value)

    def checked(text: object) -> str:
        try:
            return str(check(text).get_secret_value())
        except ValidationError as error:
            [detail, *_] = error.errors(include_input=False, include_url=False)
            raise pulumi.RunError(
                f"A secret that is another resource's output is not accepted: {detail['msg']}"
            ) from None

    return pulumi.Output.secret(value).apply(checked)


_LATER: Final = WrapValidator(_now_or_later)

NewPassword = Annotated[Secret, Field(max_length=1000), AfterValidator(_new_password), _LATER]
Token = Annotated[Secret, Field(max_length=LONGEST_SECRET), AfterValidator(_token), _LATER]
SecretFile = Annotated[Secret, Field(max_length=LONGEST_SECRET), _LATER]
JenkinsSecret = Annotated[Secret, Field(max_length=LONGEST_SECRET), AfterValidator(_jenkins_secret), _LATER]
RunnerToken = Annotated[Secret, Field(max_length=1000), AfterValidator(_runner_token), _LATER]
LaterKey = Annotated[Secret, Field(max_length=LONGEST_SECRET), AfterValidator(_private_key), _LATER]
PrivateKey = Annotated[SecretStr, Field(max_length=LONGEST_SECRET), AfterValidator(_private_key)]
"""One that the preflight needs, to ask the engine."""
