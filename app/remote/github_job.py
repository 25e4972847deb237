"""What GitHub Actions says of the job that runs: by its variables, and by the file with its event.

Both are GitHub's own word, also when the run was begun by somebody's fork: commit and pull request are
taken from here and from GitHub's API, never from files that the fork has made.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.github_api import GitHubApi
from domain.errors import Malformed

MAX_EVENT_BYTES = 8 * 1024 * 1024
MAX_TITLE_CHARACTERS = 200
OUTCOMES = {"success": "succeeded", "cancelled": "canceled", "canceled": "canceled"}
"""GitHub's word for how a job ended → ours; any other is a failure."""

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_SERVER = re.compile(r"https?://[A-Za-z0-9.:-]{1,200}")
_DIGITS = re.compile(r"[0-9]{1,18}")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job.

    Attributes:
        repository: `owner/name`, in which the job runs.
        base: Where the work starts, if the event says it.
        head: The commit that the job is about: never the merge that exists for a build only.
        pull_request: Its number, if it is about one.
        from_fork: The work comes from another repository.
        came_from: Owner and branch of the run that this one follows (`workflow_run`).
        ended: How that run ended, in GitHub's word.
    """

    repository: str
    server: str
    run_id: str
    attempt: str
    workflow: str
    event: str
    head: str
    base: str | None = None
    pull_request: int | None = None
    title: str = ""
    from_fork: bool = False
    came_from: tuple[str, str] | None = None
    ended: str | None = None

    @property
    def repository_url(self) -> str:
        """Where the repository is."""
        return f"{self.server}/{self.repository}"

    @property
    def url(self) -> str:
        """Where this job's run is shown."""
        return f"{self.repository_url}/actions/runs/{self.run_id}"

    @property
    def pull_request_url(self) -> str | None:
        """Where the pull request is."""
        return f"{self.repository_url}/pull/{self.pull_request}" if self.pull_request else None

    @property
    def run(self) -> str:
        """The id of the ledger's run for it: another one for each attempt."""
        return f"gh-{self.run_id}-{self.attempt}"


class _Repository(msgspec.Struct, frozen=True):
    full_name: str = ""
    owner: dict[str, object] = {}


class _End(msgspec.Struct, frozen=True):
    """A commit, with the branch and the repository it is in; null where a fork was deleted."""

    sha: str = ""
    repo: _Repository | None = None


class _PullRequest(msgspec.Struct, frozen=True):
    number: int = 0
    title: str = ""
    base: _End = _End()
    head: _End = _End()


class _WorkflowRun(msgspec.Struct, frozen=True):
    head_sha: str = ""
    head_branch: str | None = None
    event: str = ""
    conclusion: str | None = None
    display_title: str = ""
    head_repository: _Repository | None = None


class _Event(msgspec.Struct, frozen=True):
    before: str = ""
    after: str = ""
    pull_request: _PullRequest | None = None
    workflow_run: _WorkflowRun | None = None


def read_job(variables: Mapping[str, str]) -> Job:
    """The job in which this process runs.

    Raises:
        Malformed: `not-in-github-actions`, `unsafe-event`.
    """
    if variables.get("GITHUB_ACTIONS") != "true":
        raise Malformed("not-in-github-actions", "This command works in a job of GitHub Actions.")
    name = variables.get("GITHUB_EVENT_NAME", "")
    if name == "pull_request_target":
        raise Malformed(
            "unsafe-event",
            "pull_request_target gives a fork's work this repository's rights: use pull_request, and "
            "workflow_run for forks (docs/github-action.md).",
        )
    event = _event(variables.get("GITHUB_EVENT_PATH", ""))
    job = Job(
        repository=_variable(variables, "GITHUB_REPOSITORY", _NAME),
        server=_variable(variables, "GITHUB_SERVER_URL", _SERVER),
        run_id=_variable(variables, "GITHUB_RUN_ID", _DIGITS),
        attempt=_variable(variables, "GITHUB_RUN_ATTEMPT", _DIGITS),
        workflow=variables.get("GITHUB_WORKFLOW", ""),
        event=name,
        head=_variable(variables, "GITHUB_SHA", _SHA),
        title=variables.get("GITHUB_REF_NAME", ""),
    )
    if event.workflow_run is not None:
        return _after(job, event.workflow_run)
    if event.pull_request is not None:
        return _with(job, event.pull_request)
    return msgspec.structs.replace(job, base=_sha(event.before))


def find_pull_request(job: Job, api: GitHubApi) -> Job:
    """The job with the pull request that the run before it was about, by GitHub's own word.

    GitHub names it in no event when it comes from a fork. One that has moved on meanwhile is not named:
    what was checked is not what it holds now.

    Raises:
        Unavailable: `github-refused`, `gh-missing`.
    """
    if job.came_from is None:
        return job
    owner, branch = job.came_from
    found = api.get(
        f"repos/{job.repository}/pulls",
        list[_PullRequest],
        {"state": "open", "head": f"{owner}:{branch}", "per_page": "100"},
    )
    for one in found:
        in_here = one.base.repo is not None and one.base.repo.full_name == job.repository
        if one.head.sha == job.head and in_here:
            return _with(job, one)
    return job


def run_title(job: Job) -> str:
    """A title for the run, on one line."""
    text = " ".join((job.title or job.workflow or "CI")[: 4 * MAX_TITLE_CHARACTERS].split())
    plain = "".join(one if one.isprintable() else "\ufffd" for one in text)
    return plain[:MAX_TITLE_CHARACTERS] or "CI"


def _with(job: Job, asked: _PullRequest) -> Job:
    source = asked.head.repo
    return msgspec.structs.replace(
        job,
        head=_sha(asked.head.sha) or job.head,
        base=_sha(asked.base.sha),
        pull_request=asked.number if asked.number > 0 else None,
        title=asked.title,
        from_fork=source is None or source.full_name != job.repository,
    )


def _after(job: Job, ran: _WorkflowRun) -> Job:
    head = _sha(ran.head_sha)
    if head is None:
        raise Malformed("invalid-parameter", "The event of workflow_run names no commit.")
    source = ran.head_repository
    came_from = None
    if ran.event == "pull_request" and source is not None and ran.head_branch:
        came_from = (str(source.owner.get("login", "")), ran.head_branch)
    return msgspec.structs.replace(
        job,
        head=head,
        title=ran.display_title,
        from_fork=source is None or source.full_name != job.repository,
        came_from=came_from,
        ended=ran.conclusion,
    )


def _event(path: str) -> _Event:
    try:
        with Path(path).open("rb") as opened:
            return msgspec.json.decode(opened.read(MAX_EVENT_BYTES), type=_Event)
    except (OSError, ValueError, msgspec.MsgspecError):
        return _Event()


def _variable(variables: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = variables.get(name, "")
    if form.fullmatch(value) is None:
        raise Malformed("invalid-parameter", f"{name} is not as GitHub Actions sets it.")
    return value


def _sha(text: str) -> str | None:
    """A commit; the zeros that stand for none are none."""
    return text if _SHA.fullmatch(text) and text.strip("0") else None
