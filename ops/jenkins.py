"""Starts a job of a Jenkins and follows it, on top of api4jenkins.

The library brings the login, the crumb (Jenkins' token against forged requests) and an exception for each refusal. This
module adds what it lacks: it gives up where Jenkins restarts, and it follows the addresses in Jenkins' answers, which
name the host that Jenkins believes it has and not the one that it is reached at.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, unquote

import api4jenkins
import httpx
import tenacity
from api4jenkins.exceptions import AuthenticationError, ItemNotFoundError
from pydantic import SecretStr

from components.jenkins.hooks import REFUSED
from ops.toolchain.console import OpsError

ANSWER_SECONDS = 30
"""The longest silence while waiting for an answer."""

AWAY_SECONDS = 120
"""How long Jenkins may usually be away before a question to it fails. A start with all plugins takes a minute on two
cores."""

AWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""Statuses that pass: 503 is Jenkins while it starts, the others come from a reverse proxy in front of it."""

Build = tuple[str, int]
"""A job's name with its folders, as `team/app`, and a build's number."""

_BUILD = re.compile(r"/((?:job/[^/]+/)+)(\d+)/$")
"""How a build's address ends."""


class AwayError(OpsError):
    """Jenkins does not answer, or says that it is starting."""


class Jenkins:
    """One user's way to one Jenkins. Every question waits while Jenkins is away, up to `away_seconds`."""

    def __init__(self, url: str, user: str, password: SecretStr, *, away_seconds: float = AWAY_SECONDS) -> None:
        """Take an address, whose path is kept, and a user with a password or an API token. Nothing is sent yet."""
        self._away_seconds = away_seconds
        self.url = url.rstrip("/")
        self.user = user
        self._password = password
        self._client = self._connect()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._client.http_client.close()

    def _renew(self) -> None:
        self._client.http_client.close()
        self._client = self._connect()

    def _connect(self) -> Any:  # noqa: ANN401 - the library has no types
        return api4jenkins.Jenkins(
            self.url,
            auth=(self.user, self._password.get_secret_value()),
            timeout=ANSWER_SECONDS,
            follow_redirects=False,
        )

    def jobs(self) -> tuple[frozenset[str], list[str]]:
        """Give the names of the jobs, and a line for each thing of the stack that was refused at the last start."""
        found = self._json("api/json", tree="description,jobs[name]")
        lines = str(found.get("description") or "").splitlines()
        return frozenset(job["name"] for job in found["jobs"]), [line for line in lines if line.startswith(REFUSED)]

    def start(self, job: str) -> int:
        """Ask for a build, without the quiet period. Returns the number of its queue item.

        Raises:
            OpsError: when there is no such job, or Jenkins refuses.
        """
        answer = self._ask("POST", f"{_path(job)}/build", delay="0sec")
        item = re.search(r"/queue/item/(\d+)", answer.headers.get("Location", ""))
        if not item:
            raise self._stranger(answer)
        return int(item[1])

    def started(self, job: str, item: int) -> tuple[int | None, str]:
        """Give the number of the build that a queue item became, or None and Jenkins' own reason why it waits.

        Raises:
            OpsError: when the item was cancelled, or is gone without a build.
        """
        try:
            found = self._json(f"queue/item/{item}/api/json")
        except _MissingError:  # Jenkins forgets items some minutes after their builds started
            builds = self._json(f"{_path(job)}/api/json", tree="builds[number,queueId]")["builds"]
            found = {"executable": next((build for build in builds if build["queueId"] == item), None)}
            if not found["executable"]:
                raise OpsError(f"The request for a build of {job} is gone from Jenkins' queue.", "Try again.") from None
        if found.get("cancelled"):
            raise OpsError(f"The build of {job} was cancelled while it waited in the queue.", "Try again.")
        executable = found.get("executable")
        return (int(executable["number"]), "") if executable else (None, str(found.get("why") or ""))

    def result(self, job: str, number: int) -> str | None:
        """SUCCESS, UNSTABLE, FAILURE, ABORTED or NOT_BUILT; None while the build runs."""
        found = self._json(f"{_path(job)}/{number}/api/json", tree="building,result")
        return None if found["building"] else found["result"]

    def log(self, job: str, number: int) -> Iterator[bytes]:
        """Give a build's log in pieces that end anywhere; an empty one means that nothing new is written yet."""
        # The library's own loop never ends where the last piece is empty, and cuts characters in two.
        position, more = "0", True
        while more:
            answer = self._ask("GET", f"{_path(job)}/{number}/logText/progressiveText", start=position)
            # Not the length of what came: Jenkins counts its own line ends, and sends others.
            position = answer.headers.get("X-Text-Size", position)
            more = answer.headers.get("X-More-Data") == "true"
            yield answer.content

    def quiet(self, *, on: bool) -> None:
        """Let no build start and pause each pipeline before its next step, or let them go on."""
        self._ask("POST", "quietDown" if on else "cancelQuietDown")

    def running(self) -> list[Build]:
        """Give the builds that run or are paused, also those that wait for an executor in the middle."""
        running = "[currentExecutable[url]]"
        found = self._json("computer/api/json", tree=f"computer[executors{running},oneOffExecutors{running}]")
        executors = [each for node in found["computer"] for each in [*node["executors"], *node["oneOffExecutors"]]]
        urls = [str((each["currentExecutable"] or {}).get("url")) for each in executors]
        builds = {(match[1], int(match[2])) for match in map(_BUILD.search, urls) if match}
        return sorted(("/".join(map(unquote, path.split("/")[1::2])), number) for path, number in builds)

    def _json(self, path: str, **query: str) -> dict[str, Any]:
        answer = self._ask("GET", path, **query)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._stranger(answer)
        return found

    def _ask(self, method: str, path: str, **query: str) -> httpx.Response:
        try:
            return tenacity.Retrying(
                wait=tenacity.wait_exponential(multiplier=0.2, max=2),
                stop=tenacity.stop_after_delay(self._away_seconds),
                retry=tenacity.retry_if_exception_type(AwayError),
                reraise=True,
            )(self._ask_once, method, path, query)
        except AwayError as last:
            raise AwayError(
                f"No Jenkins is ready at {self.url} after {self._away_seconds:.0f} s: {last.what}",
                "See how it is: make status, and `docker logs` of its container",
            ) from None

    def _ask_once(self, method: str, path: str, query: dict[str, str], *, again: bool = True) -> httpx.Response:
        # No exception of the library is kept as a cause: it holds the request, and that the password.
        try:
            answer: httpx.Response = self._client.handle_req(method, path, params=query)
        except httpx.TransportError as error:
            self._renew()
            raise AwayError(f"{self.url} does not answer ({str(error) or type(error).__name__}).") from None
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status in AWAY:
                self._renew()  # the library would remember that it has no crumb
                raise AwayError(f"{self.url} says that it is not ready (status {status}).") from None
            raise self._stranger(error.response) from None
        except AuthenticationError:
            raise OpsError(
                f"Jenkins at {self.url} refuses the password of {self.user!r}.",
                "It is the stack's ci:adminPassword (make password), unless it was changed in Jenkins by hand.",
            ) from None
        except PermissionError:
            if again:  # the session ended, by a restart for example, and its crumb with it
                self._renew()
                return self._ask_once(method, path, query, again=False)
            raise OpsError(
                f"Jenkins does not let {self.user!r} {method} {path}.", "Give the user that permission."
            ) from None
        except ItemNotFoundError:
            raise _MissingError(
                f"Jenkins at {self.url} has no {path}, or {self.user!r} may not see it.",
                "With ci:jenkins.setup casc Jenkins has the sample unless ci:jenkins.sample is false.",
            ) from None
        return answer

    def _stranger(self, answer: httpx.Response) -> OpsError:
        return OpsError(
            f"{self.url} answers, but not as Jenkins does (status {answer.status_code}).",
            "See what listens there, and `docker logs` of Jenkins' container.",
        )


class _MissingError(OpsError):
    """Jenkins answers 404."""


def _path(job: str) -> str:
    """The path of a job: `team/app` is in a folder, so `job/team/job/app`."""
    return "/".join(f"job/{quote(part, safe='')}" for part in job.split("/"))
