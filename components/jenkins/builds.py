"""Asks a Jenkins for its running builds, and holds new ones back. Imports nothing of the project.

As a script it is the guard of a quiet Jenkins: it lets builds start again once the process that started it has ended.
"""

import base64
import contextlib
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

_ANSWER_SECONDS: Final = 10
"""The longest silence while waiting for an answer."""

_ANSWER_BYTES: Final = 2**24
"""How much of an answer is read. A thread dump of a hundred branches has 100 KB."""

_BUILD: Final = re.compile(r"/((?:job/[^/]+/)+\d+)/$")
"""How a build's address ends: with its path below Jenkins' own, as `job/team/job/app/7`, by which it is called here."""

_BRANCH: Final = re.compile(r"Thread #\d+\s+at (?:DSL\.(\w+)\()?")
"""A branch in a thread dump, with the step that it is in; a paused branch is in none.

Source: jenkinsci/workflow-cps-plugin, CpsThreadDump.java.
"""

_RESUMED: Final = frozenset({"", "build", "input", "node", "parallel", "sleep", "waitUntil"})
"""The steps that only wait, and do so again after a restart. A `node` in this place waits for an executor."""


class NoJenkinsError(Exception):
    """Something answers at the address that is no Jenkins, for example a stand-in."""


class StartingError(OSError):
    """Jenkins starts. For a second or two it refuses the right log-in too, until it has read its users."""


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow nothing: the address names the host that Jenkins believes it has, and the log-in would go there."""


class Builds:
    """The builds of one Jenkins.

    Every question raises OSError or ValueError where Jenkins does not answer well, and StartingError while it starts.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        """Take an address, whose path is kept, and an administrator's log-in. Nothing is sent yet."""
        self.url, self._user, self._password = url.rstrip("/"), user, password

    def quiet(self, *, on: bool) -> None:
        """Let no build start and pause each pipeline before its next step, or let them go on."""
        # A crumb, Jenkins' token against forged requests, ends with the session, which the cookie names.
        session = self._session()
        crumb = json.loads(self._ask("crumbIssuer/api/json", session))
        self._ask("quietDown" if on else "cancelQuietDown", session, {crumb["crumbRequestField"]: crumb["crumb"]})

    def at_work(self) -> list[str]:
        """Return the names of the builds that a restart could harm, as `team/app #7`. Raise NoJenkinsError."""
        running = "[currentExecutable[url]]"
        try:
            page = self._ask(f"computer/api/json?tree=computer[executors{running},oneOffExecutors{running}]")
        except urllib.error.HTTPError as error:
            raise (NoJenkinsError(self.url) if error.code == HTTPStatus.NOT_FOUND else error) from None
        executors = [each for node in json.loads(page)["computer"] for kind in node.values() for each in kind or ()]
        urls = [str((each["currentExecutable"] or {}).get("url")) for each in executors if "currentExecutable" in each]
        builds = sorted({match[1] for match in map(_BUILD.search, urls) if match})
        return [_name(build) for build in builds if self.is_at_work(build)]

    def is_at_work(self, build: str) -> bool:
        """Return whether a running build is in a step that a restart could end; True where Jenkins can't tell.

        The build's log does not say it: Jenkins writes there once that it pauses, for the first branch that does.
        """
        try:
            page = self._ask(f"{build}/threadDump/")
        except urllib.error.HTTPError:  # no pipeline, or it has just ended
            return True
        branches: list[str] = _BRANCH.findall(page)
        return not branches or any(step not in _RESUMED for step in branches)

    def guard(self) -> None:
        """Let builds start again once this process has ended, however it does. Raise OSError."""
        guard = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        if guard.stdin is None:
            raise OSError
        guard.stdin.write(json.dumps([self.url, self._user, self._password]).encode() + b"\n")
        guard.stdin.flush()
        _GUARDS.append(guard)  # its input is closed when this process ends

    def _session(self) -> urllib.request.OpenerDirector:
        return urllib.request.build_opener(_Unfollowed, urllib.request.HTTPCookieProcessor())

    def _ask(
        self, path: str, session: urllib.request.OpenerDirector | None = None, crumb: Mapping[str, str] | None = None
    ) -> str:
        request = urllib.request.Request(  # noqa: S310 - the settings take http and https alone
            f"{self.url}/{path}", headers=dict(crumb or {}), data=None if crumb is None else b""
        )
        login = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            with (session or self._session()).open(request, timeout=_ANSWER_SECONDS) as answer:
                return str(answer.read(_ANSWER_BYTES).decode(errors="replace"))
        except urllib.error.HTTPError as error:
            if crumb is not None and error.code in {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}:  # where to go after it
                return ""
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE or (
                error.code == HTTPStatus.UNAUTHORIZED and self._is_starting()
            ):
                raise StartingError(f"it is starting, status {error.code}") from None
            raise

    def _is_starting(self) -> bool:
        try:
            with self._session().open(f"{self.url}/login", timeout=_ANSWER_SECONDS):
                return False
        except urllib.error.HTTPError as error:
            return error.code == HTTPStatus.SERVICE_UNAVAILABLE


_GUARDS: Final[list[subprocess.Popen[bytes]]] = []


def _name(build: str) -> str:
    path = build.split("/")
    return f"{unquote('/'.join(path[1:-1:2]))} #{path[-1]}"


def _wait_and_let_go() -> None:
    url, user, password = json.loads(sys.stdin.readline())
    sys.stdin.read()
    with contextlib.suppress(OSError, ValueError, KeyError):  # a Jenkins that was replaced begins builds by itself
        Builds(url, user, password).quiet(on=False)


if __name__ == "__main__":
    _wait_and_let_go()
