"""Jenkins' own grammar of schedules, which is neither cron's nor that of any library.

Source: Jenkins, the package hudson.scheduler (CrontabParser.g4, BaseParser.java, CronTabList.java).
"""

import re
import zoneinfo
from typing import Annotated, Final

from pydantic import AfterValidator

from .problems import NotAcceptedError

_ALIASES: Final = {f"@{name}" for name in ("hourly", "daily", "midnight", "weekly", "monthly", "yearly", "annually")}

_FIELDS: Final = {
    "minute": (0, 59, 59),
    "hour": (0, 23, 23),
    "day of the month": (1, 31, 28),
    "month": (1, 12, 12),
    "day of the week": (0, 7, 6),
}
"""The least and the largest value of each field, and the largest that a plain H stands for."""

_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The most days that each month has."""

_ZONE: Final = re.compile(
    "[^/]+/.+|CET|CST6CDT|Cuba|EET|EST|EST5EDT|Egypt|Eire|GB|GB-Eire|GMT|GMT0|Greenwich|HST|Hongkong|Iceland|Iran|Israel"
    "|Jamaica|Japan|Kwajalein|Libya|MET|MST|MST7MDT|NZ|NZ-CHAT|Navajo|PRC|PST8PDT|Poland|Portugal|ROK|Singapore|Turkey"
    "|UCT|UTC|Universal|W-SU|WET|Zulu"
)
"""The time zones of Java 21, which lacks some that this machine may have, as `localtime` and `ROC`."""

_TERM: Final = re.compile("(N)|(?:[*H]|(N)-(N)|H[(](N)-(N)[)])(?:/(N))?".replace("N", "[0-9]{1,9}"))


def check(value: str) -> str:
    """Accept lines of five fields or of one alias, after a first line `TZ=` if there is one.

    Raises NotAcceptedError for what Jenkins refuses, and for a day that never comes.
    """
    lines = [line.strip(" \t") for line in re.split(r"\r?\n", value)]
    if lines[0].startswith("TZ="):
        _check_zone(lines.pop(0).removeprefix("TZ="))
    if not any(lines):
        raise _refused("is empty")
    for line in lines:
        if line and line not in _ALIASES:
            _check_line(line)
    return value


def _refused(wrong: str) -> NotAcceptedError:
    return NotAcceptedError(
        wrong,
        "give minute, hour, day, month and weekday as numbers, in Jenkins' syntax, for example H 3 * * 1-5; "
        "H is a value that Jenkins chooses",
    )


def _check_zone(name: str) -> None:
    known = zoneinfo.available_timezones()
    # On a machine without a list of time zones, Jenkins alone can tell.
    if not _ZONE.fullmatch(name) or (known and name not in known):
        raise _refused(f"has the time zone {name!r}, which Jenkins does not know; Europe/Berlin is one that it does")


def _check_line(line: str) -> None:
    fields = re.split(r"[ \t]+", line)
    if len(fields) != len(_FIELDS):
        raise _refused("has a line without five fields")
    _, _, days, months, _ = (_values(name, field) for name, field in zip(_FIELDS, fields, strict=True))
    if min(days) > max(_DAYS[month - 1] for month in months):
        raise _refused(f"would never run, since no month that it names has a day {min(days)}")


def _values(name: str, field: str) -> set[int]:
    """Return the values that a field names, with all those of which Jenkins may choose one."""
    least, most, most_chosen = _FIELDS[name]
    values: set[int] = set()
    for term in field.split(","):
        found = _TERM.fullmatch(term)
        if not found:
            raise _refused(f"has {term!r} as its {name}")
        chosen = term.startswith("H")
        *ends, step = (None if number is None else int(number) for number in found.groups())
        given = [end for end in ends if end is not None] or [least, most_chosen if chosen else most]
        first, last, step = given[0], given[-1], 1 if step is None else step
        if not least <= first <= last <= most:
            raise _refused(f"has {term!r} as its {name}, which is from {least} to {most}")
        if step < 1 or (chosen and step > last - first + 1):
            raise _refused(f"has a step in {term!r} that is not from 1 to {last - first + 1}")
        values |= set(range(first, last + 1, 1 if chosen else step))
    return values


JenkinsCron = Annotated[str, AfterValidator(check)]
