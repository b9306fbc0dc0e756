"""Starts a job of a Jenkins and follows it, on top of api4jenkins.

The library brings the login, the crumb (Jenkins' token against forged requests) and an exception for each refusal. This
module adds what it lacks: it gives up where Jenkins restarts, and it follows the addresses in Jenkins' answers, which
name the host that Jenkins believes it has and not the one that it is reached at.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import api4jenkins
import httpx
import tenacity
from api4jenkins.exceptions import AuthenticationError, ItemNotFoundError
from pydantic import SecretStr

from components.jenkins.hooks import REFUSED
from ops import engine
from ops.finding import Finding
from ops.stack import Stack
from setup.console import OpsError

ANSWER_SECONDS = 30
"""The longest silence while waiting for an answer."""

START_SECONDS = 120
"""How long Jenkins may be away where it may be starting. That takes a minute with all plugins on two cores."""

AWAY_SECONDS = 10
"""How long it may be away where its container is healthy, or an update does not depend on it."""

AWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""Statuses that pass: 503 is Jenkins while it starts, the others come from a reverse proxy in front of it."""


class AwayError(OpsError):
    """Jenkins does not answer, or says that it is starting."""


class Jenkins:
    """One user's way to one Jenkins. Every question waits while Jenkins is away, up to `away_seconds`."""

    def __init__(self, url: str, user: str, password: SecretStr, *, away_seconds: float) -> None:
        """Take an address, whose path is kept, and a user with a password or an API token. Nothing is sent yet."""
        self.url, self.user, self._password = url.rstrip("/"), user, password
        self._away_seconds = away_seconds

    def jobs(self) -> tuple[frozenset[str], list[str]]:
        """Give the names of the jobs, and a line for each thing of the stack that was refused at the last start."""
        found = self._json("api/json", tree="description,jobs[name]")
        lines = str(found.get("description") or "").splitlines()
        return frozenset(job["name"] for job in found["jobs"]), [line for line in lines if line.startswith(REFUSED)]

    def start(self, job: str) -> int:
        """Ask for a build, without the quiet period. Returns the number of its queue item.

        Raises OpsError when there is no such job, or Jenkins refuses.
        """
        answer = self._ask("POST", f"job/{job}/build", delay="0sec")
        item = re.search(r"/queue/item/(\d+)", answer.headers.get("Location", ""))
        if not item:
            raise self._stranger(answer)
        return int(item[1])

    def started(self, job: str, item: int) -> int | str:
        """Give the number of the build that a queue item became, or Jenkins' own reason why it waits.

        Raises OpsError when the item was cancelled, or a restart has made Jenkins forget it.
        """
        found = self._json(f"queue/item/{item}/api/json")
        if found.get("cancelled"):
            raise OpsError(f"The build of {job} was cancelled while it waited in the queue.", "Try again.")
        executable = found.get("executable")
        return int(executable["number"]) if executable else str(found.get("why") or "Jenkins gives no reason")

    def result(self, build: str) -> str | None:
        """SUCCESS, UNSTABLE, FAILURE, ABORTED or NOT_BUILT; None while the build runs."""
        found = self._json(f"{build}/api/json", tree="building,result")
        return None if found["building"] else found["result"]

    def log(self, build: str) -> Iterator[bytes]:
        """Give a build's log in pieces that end anywhere; an empty one means that nothing new is written yet."""
        # The library's own loop never ends where the last piece is empty, and cuts characters in two.
        position, more = "0", True
        while more:
            answer = self._ask("GET", f"{build}/logText/progressiveText", start=position)
            # Not the length of what came: Jenkins counts its own line ends, and sends others.
            position = answer.headers.get("X-Text-Size", position)
            more = answer.headers.get("X-More-Data") == "true"
            yield answer.content

    def _json(self, path: str, **query: str) -> dict[str, Any]:
        answer = self._ask("GET", path, **query)
        try:
            return dict(answer.json())
        except (ValueError, TypeError):
            raise self._stranger(answer) from None

    def _ask(self, method: str, path: str, **query: str) -> httpx.Response:
        return tenacity.Retrying(
            wait=tenacity.wait_exponential(multiplier=0.2, max=2),
            stop=tenacity.stop_after_delay(self._away_seconds),
            retry=tenacity.retry_if_exception_type(AwayError),
            reraise=True,
        )(self._ask_once, method, path, query)

    def _ask_once(self, method: str, path: str, query: dict[str, str]) -> httpx.Response:
        # A crumb ends with Jenkins' session, so each question has its own. No exception of the library is kept as a
        # cause: it holds the request, and that the password.
        login = self.user, self._password.get_secret_value()
        library = api4jenkins.Jenkins(self.url, auth=login, timeout=ANSWER_SECONDS, follow_redirects=False)
        try:
            with library.http_client as http:
                crumb = library.crumb if method == "POST" else {}
                answer: httpx.Response = http.request(method, f"{self.url}/{path}", params=query, headers=crumb)
        except httpx.TransportError as error:
            raise self._away(str(error) or type(error).__name__) from None
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise (self._away(f"status {status}") if status in AWAY else self._stranger(error.response)) from None
        except AuthenticationError:
            if self._is_starting():
                raise self._away("its login page is not there yet") from None
            raise OpsError(
                f"Jenkins at {self.url} refuses the password of {self.user!r}.",
                "It is the stack's ci:adminPassword (make password), unless it was changed in Jenkins by hand.",
            ) from None
        except PermissionError:
            raise OpsError(
                f"Jenkins does not let {self.user!r} {method} {path}.", "Give the user that permission."
            ) from None
        except ItemNotFoundError:
            raise OpsError(
                f"Jenkins at {self.url} has no {path}, or {self.user!r} may not see it.",
                "With ci:jenkins.setup casc Jenkins has the sample unless ci:jenkins.sample is false.",
            ) from None
        return answer

    def _is_starting(self) -> bool:
        """Return whether Jenkins starts: it then refuses the right password too, until it has read its users."""
        try:
            return httpx.get(f"{self.url}/login", timeout=ANSWER_SECONDS).status_code in AWAY
        except httpx.TransportError:
            return True

    def _away(self, seen: str) -> AwayError:
        return AwayError(
            f"No Jenkins is ready at {self.url} after {self._away_seconds:.0f} s ({seen}).",
            "See how it is: make status, and `docker logs` of its container",
        )

    def _stranger(self, answer: httpx.Response) -> OpsError:
        return OpsError(
            f"{self.url} answers, but not as Jenkins does (status {answer.status_code}).",
            "See what listens there (`ss -ltnp`), and `docker logs` of Jenkins' container.",
        )


def of(stack: Stack, away_seconds: float) -> Jenkins | None:
    """A stack's Jenkins; None where none is up, a wizard has set it up, or a stand-in runs in its place."""
    found = stack.outputs("--show-secrets")
    # One that is to move is not on the host of the settings yet.
    stays = found.get("dockerHost") == stack.settings.docker.host
    if found.get("setup") != "casc" or (stays and engine.is_stand_in(stack.settings, found["container"])):
        return None
    account = found.get("verbs") or {"user": found["adminUser"], "password": found["adminPassword"]}
    return Jenkins(found["url"], account["user"], SecretStr(account["password"]), away_seconds=away_seconds)


def examine(stack: Stack, found: Mapping[str, Any]) -> Iterator[Finding]:
    """Find which of the stack's jobs Jenkins refused, or does not have: it starts without those that it refuses.

    found: the outputs of the stack, whose container is healthy.
    """
    try:
        jenkins = of(stack, AWAY_SECONDS)
        if jenkins is None:
            return
        if found.get("login") == "configuration":
            rule = f"{stack.settings.jenkins.configuration} decides; the stack only refuses rights without a login"
            yield Finding("who may do what", rule, "note")
        there, refused = jenkins.jobs()
    except OpsError as failed:
        # The port of a Jenkins on another host may be open on that host alone, and be another program's here.
        is_local = stack.settings.docker.is_local
        yield Finding("jobs", f"unknown. {failed.what}", "BAD" if is_local else "note", failed.remedy)
        return
    wanted, container = found["jobs"], found["container"]
    for line in refused:
        yield Finding("jobs", line, "BAD", f"The whole reason: docker logs {container}")
    missing = [name for name in wanted if name not in there and not any(f" job {name}: " in line for line in refused)]
    if missing:
        seen = f"Jenkins has no {', '.join(missing)}"
        yield Finding("jobs", seen, "BAD", f"docker restart {container} makes it again, or its log says why not")
    if not missing and not refused:
        yield Finding("jobs", f"Jenkins has all {len(wanted)} of the stack")
