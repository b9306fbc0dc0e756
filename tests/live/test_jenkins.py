"""What only a real Jenkins shows: jobs, builds, triggers and settings, as the README and the how-to promise them."""

from collections.abc import Iterator
from pathlib import Path
from string import Template

import docker
import pytest
import requests
import yaml

from tests.support import push_registry, servers
from tests.support.containers import inside
from tests.support.git import git
from tests.support.jenkins import Remote
from tests.support.names import PREFIX
from tests.support.verbs import Verbs, clone
from tests.support.waiting import eventually

NAME = f"{PREFIX}-real"
JOBS = Path(__file__).with_name("jenkins_jobs.yaml")
REPOSITORY = "https://git.example.org/team/app.git"
VIEWS = [{"all": {"name": "all"}}, {"list": {"name": "images", "includeRegex": "arguments|registry"}}]
TEAMS = {"views": VIEWS, "systemMessage": "The team's."}
"""What the tests add to the example of configuration as code."""
TOKEN, FIRST, SECOND = "canary-git-token", "canary-first-password", "canary-second-password"


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """Serve the registry whose log-in is the credential of the example."""
    with push_registry.serve("ci", "canary-registry") as (address, _):
        yield address


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make three repositories with one commit each, and give the one named app."""
    team = tmp_path_factory.mktemp("git") / "team"
    for name in ("app.git", "timed.git", "private.git"):
        (team / name).mkdir(parents=True)
        git(team / name, "init", "-q")
        commit(team / name, "first")
    return team / "app.git"


@pytest.fixture(scope="module")
def verbs(
    real_jenkins: str,
    registry: str,
    repository: Path,
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Verbs]:
    """Deploy a stack with every kind of job and with configuration of its own; then lead git to the test's server."""
    made = clone(tmp_path_factory.mktemp("real"), "offline")
    own = made.root / "own.yaml"
    content = yaml.safe_load((made.root / "examples/jenkins.yaml").read_text())
    own.write_text(yaml.safe_dump({**content, "jenkins": TEAMS}))
    for secret in ("mailPassword", "registryPassword"):
        made.run("set", f"ci:jenkinsSecrets.{secret}", stdin=f"canary-{secret.removesuffix('Password')}")
    made.run("set", "ci:gitToken", stdin=TOKEN)
    made.run("set", "ci:adminPassword", stdin=FIRST)
    jobs = yaml.safe_load(Template(JOBS.read_text()).safe_substitute(REGISTRY=registry, IMAGE=NAME))
    try:
        with made.deployed(NAME, f"{NAME}-wizard", jenkins={"configuration": "own.yaml", "executors": 4}, jobs=jobs):
            host = engine.containers.get(NAME).attrs["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
            team = repository.parents[1]
            with servers.git(team, host) as url, servers.git(team, host, login=("git", TOKEN)) as private:
                lead("https://git.example.org/", url)
                for name in ("git", "elsewhere"):
                    lead(f"https://{name}.example.org/team/private.git", f"{private}/team/private.git")
                yield made
    finally:
        for image in engine.images.list():
            if any(NAME in tag for tag in image.tags):
                engine.images.remove(str(image.id), force=True)


@pytest.fixture
def jenkins(verbs: Verbs) -> Remote:
    """Give Jenkins as it is now."""
    return Remote.of(verbs)


def lead(address: str, url: str) -> None:
    """Let git in Jenkins ask another server for what begins with an address."""
    url = url if url.endswith(".git") else f"{url}/"
    inside(NAME, "git", "config", "--global", "--add", f"url.{url}.insteadOf", address)


def commit(folder: Path, word: str) -> None:
    (folder / "Jenkinsfile").write_text(f"node {{ echo 'this is {word}' }}\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", word)


def finished(jenkins: Remote, job: str) -> str:
    """Wait until the last build of a job has ended; give its log."""
    eventually(lambda: "Finished: " in jenkins.log(job), seconds=120, every=1)
    return jenkins.log(job)


def notify(verbs: Verbs, jenkins: Remote) -> str:
    """Tell Jenkins of a push, as a Git host does, without a log-in."""
    token = verbs.plain("stack output --show-secrets notifyToken").strip()
    return requests.get(f"{jenkins.url}/git/notifyCommit?url={REPOSITORY}&token={token}", timeout=30).text


def built(jenkins: Remote, **counts: int) -> bool:
    """Say whether these jobs or branches have had just so many builds."""
    numbers = jenkins.numbers()
    return all(numbers.get(name, numbers.get(f"branches/{name}")) == count for name, count in counts.items())


def test_the_first_update_ends_with_a_healthy_jenkins_that_has_all_jobs_and_the_second_changes_nothing(
    verbs: Verbs, jenkins: Remote
) -> None:
    assert {each["name"] for each in verbs.keys["ci:jobs"]} <= set(jenkins.numbers()) | {"branches"}
    assert "Nothing changed" in verbs.run("up")
    assert "Jenkins has all 11 of the stack" in verbs.run("status")
    for path, anonymous in {"api/json": 403, "login": 200, "signup": 404}.items():
        assert requests.get(f"{jenkins.url}/{path}", timeout=30).status_code == anonymous


def test_the_sample_is_green_and_its_log_is_readable(verbs: Verbs, sample_image: str) -> None:
    text = verbs.run("sample")
    assert "This is a simple file." in text
    assert "Finished: SUCCESS" in text
    assert "\x1b[8m" not in text


def test_a_pipeline_builds_with_arguments_and_runs_inside_of_the_image_in_its_workspace(jenkins: Remote) -> None:
    text = jenkins.build("arguments")
    assert "got given" in text
    assert "SEEN is yes in /var/jenkins_home/workspace/arguments" in text
    assert "the workspace has written" in text
    assert text.endswith("Finished: SUCCESS")


def test_a_pipeline_pushes_to_a_registry_with_a_credential_and_pulls_only_with_it(jenkins: Remote) -> None:
    text = jenkins.build("registry")
    assert "\npushed\n" in text, text
    assert text.endswith("Finished: SUCCESS"), text
    assert "canary" not in text


def test_the_teams_configuration_is_merged_and_the_stacks_own_stays(jenkins: Remote) -> None:
    shown = jenkins.script("""
        println(jenkins.systemMessage + '|' + jenkins.views*.name + '|' + jenkins.numExecutors)
        println(hudson.tasks.Mailer.descriptor().with { smtpHost + '|' + authentication.password.plainText })
        println(hudson.plugins.git.GitTool.defaultInstallation.gitExe)
        println(jenkins.securityRealm.allowsSignup().toString() + jenkins.crumbIssuer.class.simpleName)
    """)
    assert shown.splitlines() == [
        "The team's.|[all, images]|4",
        "mail.example.org|canary-mail",
        "/usr/bin/git",
        "falseDefaultCrumbIssuer",
    ]


def test_a_push_is_built_once_the_git_host_calls_with_the_token_and_not_without(
    verbs: Verbs, jenkins: Remote, repository: Path
) -> None:
    path = f"{jenkins.url}/git/notifyCommit?url={REPOSITORY}"
    assert [requests.get(f"{path}{rest}", timeout=30).status_code for rest in ("", "&token=x")] == [401, 403]
    text = notify(verbs, jenkins)
    assert "Scheduled polling of polled" in text
    assert "Scheduled indexing of branches" in text
    eventually(lambda: built(jenkins, polled=1, main=1), seconds=120, every=1)
    # A build that has not looked yet would take the second commit too.
    eventually(
        lambda: all("this is first" in jenkins.log(job) for job in ("polled", "branches/main")), seconds=60, every=1
    )
    commit(repository, "second")
    notify(verbs, jenkins)
    eventually(lambda: built(jenkins, polled=2, main=2), seconds=120, every=1)
    assert "this is second" in jenkins.log("polled")


def test_a_job_that_polls_by_time_builds_a_commit_that_nobody_told_it_of(jenkins: Remote, repository: Path) -> None:
    eventually(lambda: "this is first" in jenkins.log("polled-by-time", "getBuildByNumber(1)"), seconds=120, every=1)
    commit(repository.with_name("timed.git"), "second")
    eventually(lambda: "this is second" in jenkins.log("polled-by-time"), seconds=120, every=1)
    assert "Started by an SCM change" in jenkins.log("polled-by-time")


def test_a_private_repository_is_read_with_the_token_which_no_host_gets_that_no_job_of_the_stack_names(
    jenkins: Remote,
) -> None:
    assert jenkins.build("private").endswith("Finished: SUCCESS")
    text = jenkins.build("elsewhere")
    assert 'CredentialId "gitToken" could not be found' in text
    assert text.endswith("Finished: FAILURE")


def test_each_branch_is_built_and_not_after_its_deletion_and_a_restart_builds_nothing(
    verbs: Verbs, jenkins: Remote, repository: Path, engine: docker.DockerClient
) -> None:
    git(repository, "checkout", "-q", "-b", "next")
    commit(repository, "next")
    notify(verbs, jenkins)
    eventually(lambda: built(jenkins, next=1), seconds=120, every=1)
    git(repository, "checkout", "-q", "main")
    git(repository, "branch", "-q", "-D", "next")
    notify(verbs, jenkins)
    buildable = "print(jenkins.getItemByFullName('branches/next')?.isBuildable())"
    eventually(lambda: jenkins.script(buildable) != "true", seconds=120, every=1)

    before = jenkins.numbers()
    engine.containers.get(NAME).restart(timeout=60)
    eventually(lambda: jenkins.status() == requests.codes.ok, seconds=180, every=1)
    begun = jenkins.script("print(System.currentTimeMillis())")
    notify(verbs, jenkins)
    indexed = f"jenkins.getItem('branches').computation.with {{ it.timestamp.timeInMillis > {begun} && it.result }}"
    eventually(lambda: jenkins.script(f"print({indexed} && jenkins.queue.isEmpty())") == "true", seconds=120, every=1)
    assert jenkins.numbers() == before


@pytest.fixture(scope="module")
def changed(verbs: Verbs) -> str:
    """Update the stack in many ways at one time, while three builds run; give what that printed."""
    before = Remote.of(verbs)
    before.script("jenkins.createProject(com.cloudbees.hudson.plugins.folder.Folder, 'taken')")
    before.script("hudson.model.User.getById('ann', true).save()")
    for job in ("step", "parallel", "asks"):
        before.start(job)
    eventually(lambda: all("+ sleep" in before.log(job) for job in ("step", "parallel")), seconds=60, every=1)
    eventually(lambda: "go on?" in before.log("asks"), seconds=60, every=1)
    script = "node { echo 'is there' }"
    kept = [job for job in verbs.keys["ci:jobs"] if job["name"] != "private"]
    verbs.edit(jobs=[{"name": "taken", "script": script}, {"name": "zebra", "script": script}, *kept])
    verbs.edit(jenkins={"adminUser": "operator", "drainSeconds": 120})
    verbs.run("set", "ci:adminPassword", stdin=SECOND)
    verbs.plain("config rm ci:gitToken")
    return verbs.run("up", status=1)


def test_an_update_waits_for_a_plain_step_in_each_branch_and_for_no_question_and_all_go_on_after_it(
    verbs: Verbs, changed: str
) -> None:
    assert "waiting for Jenkins' builds parallel #1, step #1: at most 120 s" in changed
    assert "may lose" not in changed
    jenkins = Remote.of(verbs)
    jenkins.answer("asks")
    ends = {"step": ("went on",), "parallel": ("first went on", "second went on"), "asks": ("went on",)}
    for job, texts in ends.items():
        log = finished(jenkins, job)
        assert all(f"\n{text}\n" in log for text in texts), log
        assert log.endswith("Finished: SUCCESS"), log


def test_a_refused_job_is_named_with_its_reason_and_the_others_exist(verbs: Verbs, changed: str) -> None:
    assert "Refused: job taken: " in changed
    assert "type" in changed.partition("Refused: job taken: ")[2].splitlines()[0]
    assert Remote.of(verbs).build("zebra").endswith("Finished: SUCCESS")
    assert "Refused: job taken" in verbs.run("status", status=1)


def test_a_renamed_administrator_and_a_removed_token_end_and_a_new_password_takes_the_place_of_the_old(
    verbs: Verbs, jenkins: Remote, changed: str
) -> None:
    port = verbs.keys["ci:jenkins"]["httpPort"]
    logins = ("admin", FIRST), ("operator", FIRST), ("admin", SECOND), ("operator", SECOND)
    assert [Remote(port, password, user).status() for user, password in logins] == [401, 401, 401, 200]
    shown = jenkins.script("""
        println(hudson.model.User.all*.id.findAll { it in ['admin', 'ann', 'operator'] }.sort())
        def stored = com.cloudbees.plugins.credentials.SystemCredentialsProvider.instance.domainCredentialsMap.values()
        println(stored.flatten()*.id)
    """)
    assert shown.splitlines() == ["[ann, operator]", "[registry]"]


def test_a_limit_that_is_too_small_is_kept_and_the_builds_are_named(verbs: Verbs, changed: str) -> None:
    verbs.edit(jenkins={"drainSeconds": 2}, jobs=[job for job in verbs.keys["ci:jobs"] if job["name"] != "taken"])
    jenkins = Remote.of(verbs)
    jenkins.start("step")
    eventually(lambda: "+ sleep" in jenkins.log("step"), seconds=60, every=1)
    text = verbs.run("up")
    assert "These builds may lose a plain `sh` step: step #2" in text
    assert "Jenkins has all 11 of the stack" in verbs.run("status")
    jenkins.script("jenkins.getItem('step').lastBuild.doKill()")


def test_with_the_wizard_jenkins_has_nothing_of_the_stack_and_its_own_first_password(verbs: Verbs) -> None:
    verbs.run("set", "ci:jenkins.setup", stdin="wizard")
    verbs.run("set", "ci:jenkins.homeVolume", stdin=f"{NAME}-wizard")
    keys = ("jenkins.adminUser", "jenkins.configuration", "jenkins.drainSeconds", "jenkins.executors")
    for key in ("ci:adminPassword", "ci:jenkinsSecrets", "ci:jobs", *(f"ci:{key}" for key in keys)):
        verbs.plain(f"config rm --path {key}")
    text = verbs.run("up")
    assert "initialAdminPassword" in text
    password = inside(NAME, "cat", "/var/jenkins_home/secrets/initialAdminPassword").strip()
    url = f"http://127.0.0.1:{verbs.keys['ci:jenkins']['httpPort']}/api/json"
    assert requests.get(url, timeout=30).status_code == requests.codes.forbidden
    assert requests.get(url, auth=("admin", password), timeout=30).json()["jobs"] == []
    assert "Nothing changed" in verbs.run("up")
