"""BuildKit's client: what it is told of a build, and the pod that runs only it, for a daemon that stays."""

from pathlib import Path
from typing import Final

from ..restricted import USER
from .pod import LOGINS, SCRATCH, PodSpec, pod_spec, scratch_volume, scripted
from .source import Source, source
from .spec import SECRETS_FOLDER, BuildSpec, literal

CLIENT_SECRET: Final = "buildkit-client"  # noqa: S105 - a name
"""The Secret in the builds' namespace with a client's certificate and key, and the authority's certificate."""

CLIENT: Final = "buildctl"
"""The name of the client's container."""

SERVER: Final = "buildkit"
"""The name in the certificates of all daemons."""

UNUSABLE: Final = "can't use the BuildKit daemon"
"""What the log says when the daemon is away, or refuses the certificate."""

CERTIFICATES: Final = f"{SECRETS_FOLDER}/buildkit"
"""Where that Secret is in a client's pod."""

FLAGS: Final = f"--tlsdir={CERTIFICATES} --tlsservername={SERVER}"
"""What makes buildctl use it."""

_CACHE_TAG: Final = "buildkit"

_PATIENCE_SECONDS: Final = 180
"""How long the client waits for a daemon: one that is replaced gives running builds two minutes to end."""

UNPACK: Final = Path(__file__).with_name("unpack.sh").read_text(encoding="utf-8")
_BUILDING: Final = Path(__file__).with_name("buildctl.sh").read_text(encoding="utf-8")


def building(flags: str, losses: int) -> str:
    """Return what builds, in a shell script. losses: how often a build that loses its daemon is begun again."""
    return _BUILDING.replace("@flags@", flags).replace("@losses@", str(losses))


_REACH: Final = Path(__file__).with_name("reach.sh").read_text(encoding="utf-8")
_WAITING: Final = _REACH.replace("@buildctl@", f"buildctl {FLAGS}").replace("@unusable@", UNUSABLE)
_SCRIPT: Final = UNPACK + _WAITING + building(FLAGS, 2)


def client(spec: BuildSpec, daemon: str) -> PodSpec:
    """Return the pod that has a daemon build. It passes Pod Security `restricted`, unless it clones over ssh."""
    context = source(spec)
    # A Job that ends at its deadline loses its pod, and with it the reason in the log.
    patience = min(_PATIENCE_SECONDS, spec.build.deadline_seconds // 2)
    environment = {"BUILDKIT_HOST": daemon, "DOCKER_CONFIG": LOGINS, "PATIENCE": f"{patience}"}
    container = {
        "name": CLIENT,
        **scripted(spec, context, _SCRIPT, arguments(spec, context), environment),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    container["volumeMounts"] += [{"name": "buildkit", "mountPath": CERTIFICATES, "readOnly": True}]
    certificates = {"name": "buildkit", "secret": {"secretName": CLIENT_SECRET, "defaultMode": 0o440}}
    user = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER}
    git = spec.build.context.git
    if git is not None and git.credentials == "gitSshKey":
        # ssh knows no user but those in the image, and only its owner, root, can read the key.
        container["securityContext"] |= user
        user = {}
    return pod_spec(
        spec,
        context,
        container,
        volumes=[scratch_volume(spec), certificates],
        # The Secrets' files belong to root and its group.
        securityContext={**user, "supplementalGroups": [0], "seccompProfile": {"type": "RuntimeDefault"}},
    )


def arguments(spec: BuildSpec, context: Source) -> list[str]:
    """Return what `buildctl build` is told of a build."""
    return [*_context(spec, context), *_what(spec), *_registries(spec)]


def _context(spec: BuildSpec, context: Source) -> list[str]:
    filename = f"--opt=filename={spec.build.dockerfile}"
    if context.address is not None:
        return [f"--opt=context={context.address}", filename]
    folder = context.folder or f"{SCRATCH}/context"
    return [f"--local=context={folder}", f"--local=dockerfile={folder}", filename]


def _what(spec: BuildSpec) -> list[str]:
    build = spec.build
    options = {f"build-arg:{name}": literal(value) for name, value in build.args.items()}
    options |= {f"label:{key}": literal(value) for key, value in build.labels.items()}
    options |= {"target": build.target} if build.target is not None else {}
    options |= {"platform": build.platform} if build.platform is not None else {}
    return [f"--opt={name}={value}" for name, value in sorted(options.items())]


def _registries(spec: BuildSpec) -> list[str]:
    arguments = [f'--output=type=image,"name={",".join(spec.destinations)}",push=true']
    if not spec.build.cache.enabled:
        # The daemon has a cache of its own.
        arguments += ["--no-cache"] if spec.daemon is not None else []
    else:
        layers = f"type=registry,ref={spec.cache_repository}:{_CACHE_TAG}"
        # A failed cache export does not fail a build that is pushed.
        arguments += [f"--import-cache={layers}", f"--export-cache={layers},mode=max,ignore-error=true"]
    return arguments
