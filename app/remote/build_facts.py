"""What a CI service says of the build: which repository, which commits, which pull request.

GitHub Actions and GitLab CI say it by variables; GitHub also by a file with the event that started
the build. Anywhere else nothing is said, and the git checkout has to do.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

MAX_EVENT_BYTES = 8 * 1024 * 1024
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_URL = re.compile(r"https?://[^\s/?#@\\]+/[^\s?#@\\]+")


class BuildFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a build; `service` is None outside of the known ones."""

    service: str | None = None
    repository: str | None = None
    base: str | None = None
    head: str | None = None
    pull_request: str | None = None


class _Commit(msgspec.Struct, frozen=True):
    sha: str = ""


class _PullRequest(msgspec.Struct, frozen=True):
    html_url: str = ""
    base: _Commit = _Commit()
    head: _Commit = _Commit()


class _Event(msgspec.Struct, frozen=True):
    """The members of GitHub's event file that are of use."""

    before: str = ""
    after: str = ""
    pull_request: _PullRequest | None = None


def build_facts(variables: Mapping[str, str]) -> BuildFacts:
    """What the variables say; a value that is not what it should be counts as unsaid."""
    if variables.get("GITHUB_ACTIONS") == "true":
        return _github(variables)
    if variables.get("GITLAB_CI") == "true":
        return _gitlab(variables)
    return BuildFacts()


def how_to_export(service: str | None, run: str) -> str | None:
    """How the following steps of the build are told which run is meant."""
    if service == "github":
        return f'For the following steps: echo "DEEDBOOK_RUN={run}" >> "$GITHUB_ENV"'
    if service == "gitlab":
        return (
            f'For the following jobs: echo "DEEDBOOK_RUN={run}" >> run.env, '
            "and name run.env in artifacts:reports:dotenv."
        )
    return None


def _github(variables: Mapping[str, str]) -> BuildFacts:
    event = _event(variables.get("GITHUB_EVENT_PATH", ""))
    asked = event.pull_request
    name = variables.get("GITHUB_REPOSITORY", "")
    server = variables.get("GITHUB_SERVER_URL", "https://github.com")
    # Of a pull request, GITHUB_SHA is a merge that exists for this build only.
    head = asked.head.sha if asked is not None else variables.get("GITHUB_SHA", "")
    return BuildFacts(
        service="github",
        repository=_url(f"{server}/{name}") if name else None,
        base=_sha(asked.base.sha if asked is not None else event.before),
        head=_sha(head),
        pull_request=_url(asked.html_url) if asked is not None else None,
    )


def _gitlab(variables: Mapping[str, str]) -> BuildFacts:
    number = variables.get("CI_MERGE_REQUEST_IID", "")
    place = variables.get("CI_MERGE_REQUEST_PROJECT_URL", "")
    base = variables.get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or variables.get("CI_COMMIT_BEFORE_SHA")
    head = variables.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or variables.get("CI_COMMIT_SHA")
    return BuildFacts(
        service="gitlab",
        repository=_url(variables.get("CI_PROJECT_URL", "")),
        base=_sha(base or ""),
        head=_sha(head or ""),
        pull_request=_url(f"{place}/-/merge_requests/{number}") if number.isdigit() else None,
    )


def _event(path: str) -> _Event:
    try:
        with Path(path).open("rb") as opened:
            return msgspec.json.decode(opened.read(MAX_EVENT_BYTES), type=_Event)
    except (OSError, ValueError, msgspec.MsgspecError):
        return _Event()


def _sha(text: str) -> str | None:
    """A commit; the zeros that stand for none are none."""
    return text if _SHA.fullmatch(text) and text.strip("0") else None


def _url(text: str) -> str | None:
    return text if _URL.fullmatch(text) else None
