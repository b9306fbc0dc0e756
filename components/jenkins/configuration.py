"""The user's own configuration as code (`ci:jenkins.configuration`): what it may set, and how it is merged.

It is read as YAML nodes and not as values, so that Jenkins gets what the file says: `1.10` and `007` as they are.
"""

import errno
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from .. import regular_file
from ..settings import NotAcceptedError, Problem, Settings

KEY: Final = "ci:jenkins.configuration"

GIT_TOKEN: Final = "gitToken"  # noqa: S105 - a name
"""The credential's id in Jenkins, and the name of the file that holds its value."""

_ACCEPTED: Final = re.compile(
    r"appearance|tool|credentials\.system\.domainCredentials"
    r"|jenkins\.(clouds|globalNodeProperties|labelString|proxy|quietPeriod|scmCheckoutRetryCount|systemMessage|views)"
    # The address is the stack's, and the last one names other files to read.
    r"|unclassified\.(location\.adminAddress|(?!location$|cascglobalconfig$)\w+)",
    re.IGNORECASE,
)
"""The paths that a file may set, with all below them. They decide neither who gets in nor where jobs run."""

_LOGIN: Final = ("jenkins.securityRealm", "jenkins.authorizationStrategy")
"""What a file has with `login: configuration`, and only then."""

_REALMS: Final = ("activeDirectory", "azure", "ldap", "oic", "saml")
"""The realms that a file may bring: those that ask a directory or a provider, and let nobody sign up in Jenkins."""

_STRATEGIES: Final = ("globalMatrix", "loggedInUsersCanDoAnything", "roleBased")

_PARENTS: Final = {"credentials", "credentials.system", "jenkins", "unclassified", "unclassified.location"}

_ACCEPTED_IN_WORDS: Final = (
    "appearance, tool, unclassified (of location, only adminAddress), credentials.system.domainCredentials, and of "
    "jenkins: clouds, globalNodeProperties, labelString, proxy, quietPeriod, scmCheckoutRetryCount, systemMessage, "
    "views; for example unclassified: {mailer: {smtpHost: mail.example.org}}"
)

_LARGEST: Final = 256 * 1024
"""Bytes of a file."""


def problems(settings: Settings) -> Iterator[Problem]:
    """Return what is wrong with the file that the settings name, or with the secrets that it uses."""
    path, secrets = settings.jenkins.configuration, settings.jenkins_secrets or {}
    if path is None:
        return
    try:
        root = read(path)
    except NotAcceptedError as error:
        yield Problem(KEY, error.code, error.wrong, error.instead, path)
        return
    own_login = settings.jenkins.login == "configuration"
    if own_login:
        yield from _login_problems(path, root)
    for name, line in [each for each in _refused("", root) if not (own_login and each[0] in _LOGIN)]:
        wrong = f"sets {name} (line {line}), which only the stack may set"
        yield Problem(KEY, "not_accepted", wrong, f"remove it; accepted are {_ACCEPTED_IN_WORDS}", path)
    texts = [node for node in _nodes(root) if isinstance(node, yaml.ScalarNode)]
    used = {name: _line(node) for node in texts for name in re.findall(r"(?<!\^)\$\{([^}]*)\}", node.value)}
    for name, line in used.items():
        if not re.fullmatch(r"[a-z][A-Za-z0-9]*", name):
            wrong = f"has ${{{name}}} (line {line}), which is not the name of a secret"
            instead = f"write ${{mailPassword}} for ci:jenkinsSecrets.mailPassword, or ^${{{name}}} for the text itself"
            yield Problem(KEY, "not_accepted", wrong, instead, path)
        elif name not in secrets and (name != GIT_TOKEN or settings.git_token is None):
            key = f"ci:{name}" if name == GIT_TOKEN else f"ci:jenkinsSecrets.{name}"
            how = f"set it with `pulumi config set --secret --path {key}`, or write ^${{{name}}} for the text itself"
            yield Problem(key, "required", f"is required by line {line} of {path}", how)
    for name in secrets.keys() - used:
        instead = f"write ${{{name}}} where it is needed, or `pulumi config rm --path ci:jenkinsSecrets.{name}`"
        yield Problem(f"ci:jenkinsSecrets.{name}", "no_effect", f"is not used in {path}", instead)


def _login_problems(path: str, root: yaml.MappingNode) -> Iterator[Problem]:
    """Return what is wrong with the realm and the strategy of a file, which must leave no rights to anonymous users."""
    jenkins = next((value for key, value in root.value if key.value == "jenkins"), None)
    pairs = jenkins.value if isinstance(jenkins, yaml.MappingNode) else []
    for name, accepted, example in (
        ("securityRealm", _REALMS, "ldap: {configurations: [{server: ldap.example.org}]}"),
        ("authorizationStrategy", _STRATEGIES, "loggedInUsersCanDoAnything: {allowAnonymousRead: false}"),
    ):
        node = next((value for key, value in pairs if key.value == name), None)
        chosen = node.value if isinstance(node, yaml.MappingNode) and len(node.value) == 1 else []
        wrong = ""
        if node is None:
            wrong = f"has no jenkins.{name}, which ci:jenkins.login: configuration needs"
        elif not chosen or chosen[0][0].value not in accepted or not isinstance(chosen[0][1], yaml.MappingNode):
            wrong = f"has a jenkins.{name} (line {_line(node)}) that is not one of {', '.join(accepted)}"
        elif name == "authorizationStrategy" and (line := _anonymous(*chosen[0])):
            wrong = f"may leave rights to anonymous users (line {line})"
        if wrong:
            instead = f"write for example {name}: {{{example}}}"
            yield Problem(KEY, "missing" if node is None else "not_accepted", wrong, instead, path)


def _anonymous(strategy: yaml.Node, node: yaml.MappingNode) -> int:
    """Return the line where a strategy may give rights to anonymous users; 0 if it gives none."""
    if strategy.value == "loggedInUsersCanDoAnything":
        values = {key.value: value.value for key, value in node.value}
        return 0 if values == {"allowAnonymousRead": "false"} else _line(node)
    for key, value in node.value:
        # Older forms give names with their permissions in one text.
        if key.value != {"globalMatrix": "entries", "roleBased": "roles"}[strategy.value]:
            return _line(key)
        for each in _nodes(value):
            texts = [each.value] if isinstance(each, yaml.ScalarNode) else []
            texts += [inner[0].value for inner in each.value] if isinstance(each, yaml.MappingNode) else []
            if any("anonymous" in text.lower() or "$" in text for text in texts):
                return _line(each)
    return 0


def read(path: str) -> yaml.MappingNode:
    """Return a file's root, with each key once in its mapping and no alias. Raises NotAcceptedError."""
    code: Any = "bad_file"
    try:
        root = yaml.compose(regular_file.read(path, largest=_LARGEST).decode(), _Loader)
        if isinstance(root, yaml.MappingNode):
            return root
        wrong, code = "is not a mapping", "wrong_type"
    except FileNotFoundError:
        wrong, code = "does not exist", "not_found"
    except OSError as error:
        wrong, code = f"cannot be read ({error.strerror})", "too_large" if error.errno == errno.EFBIG else code
    except yaml.MarkedYAMLError as error:
        where = f"in line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        wrong = f"is not accepted ({where}{error.problem})"
    except (yaml.YAMLError, UnicodeDecodeError):
        wrong = "is not YAML in UTF-8"
    except RecursionError:
        wrong = "is nested too deep"
    raise NotAcceptedError(wrong, "give a file of configuration as code, for example examples/jenkins.yaml", code)


def merged(generated: str, root: yaml.MappingNode) -> str:
    """Return the generated configuration with a file's over it: mappings are merged, lists appended, texts replaced."""
    whole: Any = yaml.compose(generated, yaml.SafeLoader)
    _merge(whole, root)
    return yaml.serialize(whole, Dumper=yaml.SafeDumper, allow_unicode=True, width=120)


def credential_ids(root: yaml.MappingNode) -> list[str]:
    """Return the ids of the credentials that a file adds."""
    below = [node for key, value in root.value if key.value == "credentials" for node in _nodes(value)]
    pairs = [pair for node in below if isinstance(node, yaml.MappingNode) for pair in node.value]
    return sorted({value.value for key, value in pairs if key.value == "id" and isinstance(value, yaml.ScalarNode)})


class _Loader(yaml.SafeLoader):
    """Refuses what is read in more than one way: a key twice, and aliases, which could also have no end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "an alias; write its value", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise yaml.MarkedYAMLError(None, None, "a key that is no text, or is there twice", key.start_mark)
            seen.add(key.value)
        return node


def _merge(whole: yaml.MappingNode, own: yaml.MappingNode) -> None:
    there = {key.value: (index, value) for index, (key, value) in enumerate(whole.value)}
    for key, value in own.value:
        index, old = there.get(key.value, (len(whole.value), None))
        if isinstance(old, yaml.MappingNode) and isinstance(value, yaml.MappingNode):
            _merge(old, value)
        elif isinstance(old, yaml.SequenceNode):
            old.value += value.value if isinstance(value, yaml.SequenceNode) else [value]
        else:
            whole.value[index : index + 1] = [(key, value)]


def _refused(above: str, node: yaml.MappingNode) -> Iterator[tuple[str, int]]:
    for key, value in node.value:
        path = f"{above}{key.value}"
        if path in _PARENTS and isinstance(value, yaml.MappingNode):
            yield from _refused(f"{path}.", value)
        elif not _ACCEPTED.fullmatch(path):
            yield path, _line(key)


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield a node and all values below it."""
    yield node
    for inner in () if isinstance(node, yaml.ScalarNode) else node.value:
        yield from _nodes(inner[1] if isinstance(inner, tuple) else inner)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
