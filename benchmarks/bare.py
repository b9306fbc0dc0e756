"""Makes a bare program from a deployed stack's state: the same resources and inputs, and none of this project's code.

Its state is this stack's, without the components. So a preview of it has nothing to do, and nothing is deployed twice.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.project import Program, Project, output

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key that marks a value in the state as more than JSON; here always a secret. Source: pulumi, runtime/rpc.py."""
_STACK: Final = "pulumi:pulumi:Stack"
_AROUND: Final = re.compile(r'("urn:pulumi:[^":]+::[^":]+::)[^"$]*(?:\$[^"$]*)*\$')
"""In a URN in a JSON text: what is before the types of the components around a resource, and these types."""
_ENGINES_OWN: Final = "pulumi:providers:pulumi"
"""The provider of the engine's own resources and functions, which it registers by itself."""
_OPTIONS: Final = {
    "retainOnDelete": "retain_on_delete",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
}
"""The options that the state remembers, and their names in a program."""

State = dict[str, Any]


def program(project: Project, stack: Program) -> Program:
    """Make the bare program of a deployed stack, with a state with which it has nothing to do."""
    made, state = project.other("bare", stack.stack), bare_state(stack.export())
    (made.folder / "resources.json").write_text(json.dumps(declarations(state)), encoding="utf-8")
    made.load(state)
    output(made.pulumi("preview", "--expect-no-changes"))
    return made


def bare_state(state: Mapping[str, Any]) -> State:
    """Give the state of the same resources without components, with the stack as the parent of them all.

    state: what `pulumi stack export --show-secrets` prints.
    """
    kept = [each for each in state["deployment"]["resources"] if each["type"] == _STACK or each["custom"]]
    resources = json.loads(_AROUND.sub(r"\1", json.dumps(kept)))
    known = {each["urn"] for each in resources}
    root = next(each for each in resources if each["type"] == _STACK)
    root["outputs"] = {}
    for each in resources:
        each["parent"] = root["urn"] if each.get("parent") else ""
        each["dependencies"] = [urn for urn in each.get("dependencies") or () if urn in known]
        depends = (each.get("propertyDependencies") or {}).items()
        each["propertyDependencies"] = {key: [urn for urn in urns or () if urn in known] for key, urns in depends}
    # The passphrase's salt goes with it.
    return {**state, "deployment": {**state["deployment"], "resources": resources}}


def declarations(state: State) -> list[dict[str, Any]]:
    """Give what the bare program reads: each resource with its inputs as they were written."""
    return [
        {
            "urn": each["urn"],
            "type": each["type"],
            "name": each["urn"].rpartition("::")[2],
            "provider": str(each.get("provider", "")).rpartition("::")[0],
            "inputs": _written(each),
            "secrets": [name for name in _written(each) if _SIGNATURE in json.dumps(each["inputs"][name])],
            "depends_on": each["dependencies"],
            "options": {option: each[key] for key, option in _OPTIONS.items() if each.get(key)},
        }
        for each in state["deployment"]["resources"]
        if each["type"] not in {_STACK, _ENGINES_OWN}
    ]


def _written(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Give the inputs that the program wrote, without what the plugin and the class filled in."""
    inputs = plain(resource.get("inputs") or {})
    if resource["type"].startswith("pulumi:providers:"):
        # The state has a provider's settings as text.
        return {name: _parsed(value) for name, value in inputs.items() if name != "version"}
    filled = {"apiVersion", "kind"} if resource["type"].startswith("kubernetes:") else set()
    return {name: value for name, value in inputs.items() if name not in filled}


def _parsed(value: Any) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(value) if isinstance(value, str) and (value in {"true", "false"} or value[:1] == "{") else value


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Give a value of the state as the program wrote it: without marks of secrets, without defaults."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _SIGNATURE in value:
        return plain(json.loads(value["plaintext"]))
    filled = {"__defaults", "__internal", *value.get("__defaults", ())}
    return {name: plain(item) for name, item in value.items() if name not in filled}
