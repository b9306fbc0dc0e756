r"""What a request's JSON must not say, as expressions (PCRE) on its text.

An engine reads JSON as Go does: keys in any case, the last of two wins, space anywhere, `\u0050` for `P`, and the long
s (U+017F) for `s`. So the expressions take no account of case, hold each time a key is met, and refuse what could
spell a key in another way. They go from one string to the next, as a reader of JSON does, so what stands inside of a
string is no key.

HAProxy takes an expression that is too much for its engine as one that does not match. So what decides is `clean`,
which has to match, and no repetition in it ever goes back.

This is a list of what is known to be dangerous. It is no proof that there is nothing else, and an engine of tomorrow
may know a field that is not in it.
"""

import re
from dataclasses import dataclass
from typing import Final

LONGEST_BYTES: Final = 48 * 1024
"""What fits into the proxy's buffer beside the headers. The docker client sends 3 KiB for `docker run`, and whatever
variables a job adds."""

_HIDDEN_LETTER: Final = r"\\u(?:00(?!26|3c|3e)[2-7]|017f|212a)|\xC5\xBF|\xE2\x84\xAA"
"""A plain letter that is spelt as an escape, which no client does, and the two that Go takes for `s` and `k`."""

_ID_DIGITS: Final = 12
"""How much of its own id a container has for a host name."""

OWN_ID: Final = "".join(f"(?P<d{place}>[0-9a-f])" for place in range(_ID_DIGITS))
"""Matches the beginning of the proxy's own id, which stands in front of what is judged, and keeps its digits."""


def own(after: str) -> str:
    """Give an expression for any beginning of that id, and for all of it: each is a name of the proxy's container."""
    found = "[0-9a-f]*+"
    for place in reversed(range(1, _ID_DIGITS)):
        found = f"(?:(?P=d{place}){found})?+"
    return f"(?P=d0){found}{after}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One field of a container or a command that only harmless values may have."""

    key: str
    harmless: str
    """An expression for what may stand behind the key."""

    words: str
    """What is said to a client that sends something else, as the end of a sentence that begins with "refused"."""

    @property
    def broken(self) -> str:
        """An expression for a text that breaks the rule. Behind a backslash, a quote is inside of a string."""
        return rf'(?<!\\)"{self.key}"\s*+:\s*+(?!{self.harmless})'


_NO_TEXT: Final = r'null|""'
_NO_LIST: Final = r"null|\[\s*+\]"
_NO_MAP: Final = r"null|\{\s*+\}"
_LOG_OPTION: Final = r'"(?:max-size|max-file|mode|max-buffer-size|compress)"\s*+:\s*+"[0-9a-z-]{1,12}"'
_LOG: Final = (
    r'null|\{\s*+(?:"type"\s*+:\s*+"(?:json-file|local|none)?"\s*+,?\s*+)?+'
    rf'(?:"config"\s*+:\s*+(?:null|\{{\s*+(?:{_LOG_OPTION}\s*+,?\s*+)*+\}})\s*+)?+\}}'
)


def _list_without(strings: str) -> str:
    """Give an expression for a list of strings of which none begins like this, and for no list."""
    return rf'null|\[\s*+(?:(?:null|"(?!{strings})(?:[^"\\]++|\\.)*+")\s*+,?\s*+)*+\]'


def rules(container: str) -> tuple[Rule, ...]:
    """Give all of them; the name is that of the proxy's own container."""
    # A name ends at the quote or at a mode. A hidden `:` is refused before, so no other character can end one.
    itself = rf'(?:\\?/)?(?:{re.escape(container)}|{own("")})[":]'
    return (
        Rule(key="privileged", harmless="false|null", words="Privileged makes a container root on the host"),
        Rule(
            key="binds",
            harmless=_list_without(r"\\?/"),
            words="it mounts a folder of the host (-v /...); a volume is let through by its name, and --volumes-from",
        ),
        Rule(
            key="volumesfrom",
            harmless=_list_without(itself),
            words="it takes the mounts of the proxy, and with them the socket of the engine",
        ),
        Rule(
            key="type",
            harmless='(?!"(?:bind|npipe|cluster|image)")',
            words="it mounts what is neither a volume nor a tmpfs (--mount)",
        ),
        Rule(key="driverconfig", harmless=_NO_MAP, words="the driver of a volume can mount folders of the host"),
        Rule(
            key="volumedriver",
            harmless=rf'{_NO_TEXT}|"local"',
            words="the driver of a volume can mount folders of the host",
        ),
        # A link gives a container a second name, under which the rules about the proxy would not know it.
        Rule(key="links", harmless=_NO_LIST, words="it links another container (--link)"),
        # Of the other drivers, the engine itself is the client, as root and in the network of the host.
        Rule(
            key="logconfig", harmless=_LOG, words="its log leaves the engine, or has options of a driver (--log-driver)"
        ),
        Rule(key="capadd", harmless=_NO_LIST, words="it adds a capability (--cap-add)"),
        Rule(key="devices", harmless=_NO_LIST, words="it is given a device of the host (--device)"),
        Rule(key="devicerequests", harmless=_NO_LIST, words="it is given a device of the host (--gpus)"),
        Rule(key="devicecgrouprules", harmless=_NO_LIST, words="it is given devices (--device-cgroup-rule)"),
        Rule(key="securityopt", harmless=_NO_LIST, words="it changes how it is confined (--security-opt)"),
        Rule(key="maskedpaths", harmless="null", words="it changes how it is confined (systempaths)"),
        Rule(key="readonlypaths", harmless="null", words="it changes how it is confined (systempaths)"),
        Rule(key="sysctls", harmless=_NO_MAP, words="it changes settings of the kernel (--sysctl)"),
        Rule(key="annotations", harmless=_NO_MAP, words="it speaks to the runtime past the engine (--annotation)"),
        Rule(key="storageopt", harmless=_NO_MAP, words="it changes how the engine stores it (--storage-opt)"),
        Rule(key="pidmode", harmless=_NO_TEXT, words="it shares processes with others (--pid)"),
        Rule(
            key="ipcmode",
            harmless=rf'{_NO_TEXT}|"none"|"private"|"shareable"',
            words="it shares memory with others (--ipc)",
        ),
        Rule(key="utsmode", harmless=_NO_TEXT, words="it shares the name of the host (--uts)"),
        Rule(key="usernsmode", harmless=_NO_TEXT, words="it shares the users of the host (--userns)"),
        Rule(
            key="cgroupnsmode",
            harmless=rf'{_NO_TEXT}|"private"',
            words="it sees the control groups of the host (--cgroupns)",
        ),
        Rule(key="cgroupparent", harmless=_NO_TEXT, words="it leaves its control group (--cgroup-parent)"),
        Rule(key="cgroup", harmless=_NO_TEXT, words="it leaves its control group"),
        Rule(key="runtime", harmless=rf'{_NO_TEXT}|"runc"', words="it chooses another runtime (--runtime)"),
        # A network can be named by its id, and is a key where it is joined.
        Rule(
            key="networkmode",
            harmless='(?!"(?:host|[0-9a-f]{12,64})")',
            words="it shares the network of the host (--network host)",
        ),
        Rule(key="host", harmless="(?![{n])", words="it shares the network of the host (--network host)"),
    )


def hidden(volume: str) -> tuple[tuple[str, str], ...]:
    """Give expressions for what no string may have in it or be, and what is said; the name is the proxy's volume's."""
    return (
        # Behind an escaped backslash, `u0041` is text as any other.
        (
            rf"(?<!\\)(?:\\\\)*+(?:{_HIDDEN_LETTER})",
            "it spells plain letters as escapes, behind which a key could hide",
        ),
        (rf'(?<!\\)"{re.escape(volume)}[":]', "it mounts the volume in which the proxy has its socket"),
    )


def clean(container: str, volume: str) -> str:
    """Give the expression that a text has to match, with the proxy's id and a space before it: it breaks no rule."""
    every = rules(container)
    keys = "|".join(rule.key for rule in every)
    kept = "|".join(rf'"{rule.key}"\s*+:\s*+(?={rule.harmless})' for rule in every)
    character = rf'(?:(?!{_HIDDEN_LETTER})(?:[^"\\]|\\.))'
    string = rf'"(?!{re.escape(volume)}[":])(?!(?:{keys})"\s*+:){character}*+"'
    return rf'(?s)^{OWN_ID} (?:[^"]++|{kept}|{string})*+$'
