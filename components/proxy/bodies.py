r"""What a request's JSON must not say, as expressions (PCRE) on its text.

An engine reads JSON as Go does: keys in any case, the last of two wins, space anywhere, `\u0050` for `P`, and the long
s (U+017F) for `s`. So the expressions take no account of case, one match anywhere is enough, and what could spell a key
in another way is itself refused. A key in a string's text does not match: its quotes are escaped there.

This is a list of what is known to be dangerous. It is no proof that there is nothing else, and an engine of tomorrow
may know a field that is not in it.
"""

import re
from dataclasses import dataclass
from typing import Final

LONGEST_BYTES: Final = 48 * 1024
"""What fits into the proxy's buffer beside the headers. The docker client sends 3 KiB for `docker run`, and whatever
variables a job adds."""

_STRING: Final = r'"(?:[^"\\]|\\.)*+"'
_IN_LIST: Final = rf'\[(?:[^"\]]|{_STRING})*?'
"""From the beginning of a list of strings to the beginning of any of its elements."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One thing that a body must not say."""

    expression: str
    """Matches a body that says it. In front of the body stand the beginning of the proxy's own id, and a space."""

    words: str
    """What is said to the client, as the end of a sentence that begins with "refused by this CI's proxy:"."""


_NOTHING: Final = r"null|\[\s*\]"


def _only(key: str, harmless: str, words: str) -> Refusal:
    return Refusal(expression=rf'"{key}"\s*+:\s*+(?!{harmless})', words=words)


def refusals(container: str, volume: str) -> tuple[Refusal, ...]:
    """Give all of them; the two names are those of the proxy's own container and of the volume with its socket."""
    return (
        Refusal(
            expression=r"\\u(?:00(?!26|3c|3e)[2-7]|017f|212a)|\xC5\xBF|\xE2\x84\xAA",
            words="it spells plain letters as escapes, behind which a key could hide",
        ),
        Refusal(expression=r'"privileged"\s*+:\s*+t', words="Privileged makes a container root on the host"),
        Refusal(
            expression=rf'"binds"\s*+:\s*+{_IN_LIST}"\\?/',
            words="it mounts a folder of the host (-v /...); a volume is let through by its name, and --volumes-from",
        ),
        Refusal(
            expression=r'"type"\s*+:\s*+"(?:bind|npipe|cluster|image)"',
            words="it mounts what is neither a volume nor a tmpfs (--mount)",
        ),
        _only("driverconfig", r"null|\{\s*\}", "the driver of a volume can mount folders of the host"),
        _only("volumedriver", r'null|""|"local"', "the driver of a volume can mount folders of the host"),
        _only("capadd", _NOTHING, "it adds a capability (--cap-add)"),
        _only("devices", _NOTHING, "it is given a device of the host (--device)"),
        _only("devicerequests", _NOTHING, "it is given a device of the host (--gpus)"),
        _only("devicecgrouprules", _NOTHING, "it is given devices of the host (--device-cgroup-rule)"),
        _only("securityopt", _NOTHING, "it changes how it is confined (--security-opt)"),
        _only("maskedpaths", "null", "it changes how it is confined (--security-opt systempaths)"),
        _only("readonlypaths", "null", "it changes how it is confined (--security-opt systempaths)"),
        _only("sysctls", r"null|\{\s*\}", "it changes settings of the kernel (--sysctl)"),
        _only("annotations", r"null|\{\s*\}", "it speaks to the runtime past the engine (--annotation)"),
        _only("storageopt", r"null|\{\s*\}", "it changes how the engine stores it (--storage-opt)"),
        _only("pidmode", r'null|""', "it shares processes with the host or another container (--pid)"),
        _only("ipcmode", r'null|""|"none"|"private"|"shareable"', "it shares memory with the host (--ipc)"),
        _only("utsmode", r'null|""', "it shares the name of the host (--uts)"),
        _only("usernsmode", r'null|""', "it shares the users of the host (--userns)"),
        _only("cgroupnsmode", r'null|""|"private"', "it sees the control groups of the host (--cgroupns)"),
        _only("cgroupparent", r'null|""', "it leaves its control group (--cgroup-parent)"),
        _only("cgroup", r'null|""', "it leaves its control group"),
        _only("runtime", r'null|""|"runc"', "it chooses another runtime (--runtime)"),
        Refusal(
            # By its id too, and by the key under which a network is joined.
            expression=r'"networkmode"\s*+:\s*+"(?:host|[0-9a-f]{12,64}")|"host"\s*+:\s*+[{n]',
            words="it shares the network of the host (--network host)",
        ),
        Refusal(
            expression=rf'"volumesfrom"\s*+:\s*+{_IN_LIST}"/?{re.escape(container)}[":]',
            words="it takes the mounts of the proxy, and with them the socket of the engine",
        ),
        Refusal(
            # Any beginning of its id names a container.
            expression=r"(?s)^(?P<some>[0-9a-f]+)(?P<rest>[0-9a-f]*) .*"
            rf'"volumesfrom"\s*+:\s*+{_IN_LIST}"/?(?P=some)(?:(?P=rest)[0-9a-f]*)?[":]',
            words="it takes the mounts of the proxy, and with them the socket of the engine",
        ),
        Refusal(
            expression=rf'"{re.escape(volume)}[":]', words="it mounts the volume in which the proxy has its socket"
        ),
    )
