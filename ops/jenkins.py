"""A small client of Jenkins' HTTP API: sign in, start a job, follow its log, learn its result.

It holds one session, because Jenkins binds a crumb (its token against forged requests) to the session that got it.
Addresses that Jenkins gives in its answers are never followed: they name the host that Jenkins believes it has.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import requests
import tenacity
from requests.auth import HTTPBasicAuth

from ops.toolchain.errors import Trouble

if TYPE_CHECKING:
    from pydantic import SecretStr

ANSWER_SECONDS = 30
"""The longest silence that is borne while waiting for an answer."""
HICCUP_SECONDS = 30
"""How long a controller that was there may be gone, as in a restart, before a question to it fails."""
NOT_YET = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""Statuses that pass: 503 is Jenkins starting, the others a reverse proxy in front of it."""
TITLE_CHARS = 4096
"""How much of an unexpected answer is looked at for a reason."""


class NotYetError(Trouble):
    """Nothing answers, or it says that it is starting. Worth another try."""


class LoginRefusedError(Trouble):
    """The user or the password is wrong."""


class NoSuchJobError(Trouble):
    """Jenkins has no job of this name, or the user may not see it."""


@dataclass(frozen=True)
class Build:
    """One build as Jenkins tells of it."""

    number: int
    building: bool
    result: str | None
    """SUCCESS, UNSTABLE, FAILURE, ABORTED or NOT_BUILT; None while it runs."""


@dataclass(frozen=True)
class LogPart:
    """A piece of a build's log."""

    data: bytes
    """UTF-8. A piece can end in the middle of a character."""
    next: int
    """Where the next piece starts, in Jenkins' count; it is not always what was asked for plus the length."""
    more: bool
    """Whether the build still writes."""


class Jenkins:
    """One user's session with one controller."""

    def __init__(self, url: str, user: str, password: SecretStr) -> None:
        """Prepare a session; nothing is sent yet.

        Args:
            url: the controller's address, as `http://127.0.0.1:8080`; a path is kept.
            user: who signs in.
            password: the password or an API token.
        """
        self.url = url.rstrip("/")
        self.user = user
        self._crumb: dict[str, str] = {}
        self._session = requests.Session()
        # As bytes: requests would encode text as Latin-1, and Jenkins reads UTF-8.
        self._session.auth = HTTPBasicAuth(user.encode(), password.get_secret_value().encode())
        # Proxies of the environment are for the world outside; `http_proxy` without `no_proxy` is a common trap.
        self._session.trust_env = not _is_loopback(self.url)

    def __repr__(self) -> str:
        """Name the session without its password."""
        return f"Jenkins({self.url!r}, {self.user!r})"

    def __enter__(self) -> Self:
        """Give the session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._session.close()

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until the login page is served, for at most so many seconds.

        Raises:
            NotYetError: when it is not by then, with what was seen last.
        """
        try:
            tenacity.Retrying(
                wait=tenacity.wait_exponential(multiplier=0.1, max=2),
                stop=tenacity.stop_after_delay(seconds),
                retry=tenacity.retry_if_exception_type(NotYetError),
                reraise=True,
            )(self._probe)
        except NotYetError as last:
            raise NotYetError(
                f"No controller is ready at {self.url} after {seconds:.0f} s: {last.what}",
                "See how it is: make status, and `docker logs` of its container",
            ) from None

    def _probe(self) -> None:
        # Without the password: Jenkins answers 401 even here when one is sent and wrong.
        answer = self._send("GET", "/login", anonymous=True, seconds=5)
        if answer.status_code == HTTPStatus.NOT_FOUND:  # a proxy, or a web server whose application is still loading
            raise NotYetError(f"{self.url} has no login page ({_seen(answer)}).")
        if answer.status_code != HTTPStatus.OK:
            raise Trouble(
                f"{self.url} answers, but not as Jenkins does: its login page gives {_seen(answer)}.",
                "See that the address is the controller's, and what listens there.",
            )

    def sign_in(self) -> None:
        """Check the password and get the crumb that a POST needs.

        Raises:
            LoginRefusedError: when the user or the password is wrong.
        """
        answer = self._get("/crumbIssuer/api/json")
        if answer.status_code == HTTPStatus.NOT_FOUND:  # the protection is off, so no crumb is needed
            self._crumb = {}
            return
        if answer.status_code != HTTPStatus.OK:
            raise self._unexpected("the crumb", answer)
        found = self._json(answer)
        self._crumb = {str(found["crumbRequestField"]): str(found["crumb"])}

    def start(self, job: str) -> int:
        """Ask for a build, without the quiet period. Returns the number of its queue entry.

        Raises:
            NoSuchJobError: when there is no such job.
            Trouble: when Jenkins refuses, as for a disabled job.
        """
        address = f"{_path(job)}/build?delay=0sec"
        answer = self._send("POST", address)
        if answer.status_code == HTTPStatus.FORBIDDEN:
            self.sign_in()  # the session ended, with a restart for example, and its crumb with it
            answer = self._send("POST", address)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise NoSuchJobError(
                f"Jenkins at {self.url} has no job {job!r}, or {self.user} may not see it.",
                "With ci:jenkins setup casc it is seeded unless the stack turns it off; with wizard, make it by hand.",
            )
        item = re.search(r"/queue/item/(\d+)", answer.headers.get("Location", ""))
        if answer.status_code != HTTPStatus.CREATED or not item:
            raise self._unexpected(f"a build of {job}", answer)
        return int(item[1])

    def started(self, job: str, item: int) -> int | None:
        """Give the number of the build that a queue entry became, None while it waits.

        Raises:
            Trouble: when the entry was cancelled, or is gone without a build.
        """
        answer = self._get(f"/queue/item/{item}/api/json")
        if (
            answer.status_code == HTTPStatus.NOT_FOUND
        ):  # Jenkins forgets entries some minutes after their builds started
            listed = self._json(self._get(f"{_path(job)}/api/json?tree=builds[number,queueId]"))
            for build in listed.get("builds") or []:
                if build.get("queueId") == item:
                    return int(build["number"])
            raise Trouble(
                f"The request for a build of {job} is gone from Jenkins' queue and no build came of it.", "Try again."
            )
        found = self._json(answer)
        if found.get("cancelled"):
            raise Trouble(f"The build of {job} was cancelled while it waited in the queue.", "Try again.")
        executable = found.get("executable")
        return int(executable["number"]) if executable else None

    def build(self, job: str, number: int) -> Build:
        """How a build is."""
        found = self._json(self._get(f"{_path(job)}/{number}/api/json?tree=number,building,result"))
        return Build(int(found["number"]), bool(found["building"]), found.get("result"))

    def log(self, job: str, number: int, start: int) -> LogPart:
        """Read what a build has written from a position on; 0 is the beginning."""
        answer = self._get(f"{_path(job)}/{number}/logText/progressiveText?start={start}")
        if answer.status_code != HTTPStatus.OK:
            raise self._unexpected(f"the log of {job} #{number}", answer)
        size = answer.headers.get("X-Text-Size", str(start + len(answer.content)))
        return LogPart(answer.content, int(size), answer.headers.get("X-More-Data") == "true")

    def _get(self, address: str) -> requests.Response:
        """Ask something that may be asked twice: a short absence is waited out."""
        return tenacity.Retrying(
            wait=tenacity.wait_exponential(multiplier=0.2, max=2),
            stop=tenacity.stop_after_delay(HICCUP_SECONDS),
            retry=tenacity.retry_if_exception_type(NotYetError),
            reraise=True,
        )(self._send, "GET", address)

    def _send(
        self, method: str, address: str, *, anonymous: bool = False, seconds: float = ANSWER_SECONDS
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method,
                self.url + address,
                headers=self._crumb if method == "POST" else None,
                auth=_nobody if anonymous else None,
                timeout=seconds,
                allow_redirects=method == "GET",
            )
        except requests.RequestException as failed:
            # Its own text is long and names objects; and it holds the request, so it is not kept as the cause.
            raise NotYetError(f"{self.url} does not answer ({_why(failed)}).") from None
        if answer.status_code in NOT_YET:
            raise NotYetError(f"{self.url} says that it is not ready (status {answer.status_code}).")
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise LoginRefusedError(
                f"Jenkins at {self.url} refuses the password of {self.user!r}.",
                "It is the stack's ci:adminPassword (make password), unless it was changed in Jenkins by hand.",
            )
        return answer

    def _json(self, answer: requests.Response) -> dict[str, Any]:
        if answer.status_code != HTTPStatus.OK:
            raise self._unexpected("an answer", answer)
        try:
            found = answer.json()
        except requests.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise Trouble(f"{self.url} answers, but not as Jenkins does.", "See that the address is the controller's.")
        return found

    def _unexpected(self, wanted: str, answer: requests.Response) -> Trouble:
        if answer.status_code == HTTPStatus.FORBIDDEN:
            return Trouble(
                f"Jenkins does not let {self.user!r} have {wanted} ({_seen(answer)}).", "Give the user that permission."
            )
        return Trouble(f"Jenkins did not give {wanted} ({_seen(answer)}).", "See `docker logs` of its container.")


def _seen(answer: requests.Response) -> str:
    """What came instead of what was wanted: the status, and the page's title if it has one."""
    title = re.search(r"<title>\s*([^<]{1,120}?)\s*</title>", answer.text[:TITLE_CHARS])
    return f"status {answer.status_code}" + (f", {title[1]!r}" if title else "")


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no password, although the session has one."""
    return request


def _path(job: str) -> str:
    """The path of a job: `team/app` is in a folder, so `/job/team/job/app`."""
    return "".join(f"/job/{quote(part, safe='')}" for part in job.split("/"))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _why(failed: requests.RequestException) -> str:
    text = str(failed)
    for sign, words in (("refused", "connection refused"), ("reset", "connection reset"), ("resolve", "unknown host")):
        if sign in text:
            return words
    return "no answer in time" if isinstance(failed, requests.Timeout) else type(failed).__name__
