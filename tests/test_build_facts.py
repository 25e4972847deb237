"""What CI services say of a build, and what a checkout knows where they say nothing."""

import json
from pathlib import Path

import pytest

from app.remote.build_facts import BuildFacts, build_facts, how_to_export
from app.remote.checkout import with_checkout
from tests.git_samples import Repository

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "ada/engine",
    "GITHUB_SHA": C,
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.example/ada/engine",
    "CI_COMMIT_SHA": C,
    "CI_COMMIT_BEFORE_SHA": A,
}


def test_outside_of_ci_nothing_is_said() -> None:
    assert build_facts({"GITHUB_SHA": A, "CI": "true"}) == BuildFacts()
    assert how_to_export(None, "r") is None


def test_a_push_at_github_says_where_it_came_from(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"before": A, "after": C, "commits": [1.5]}))
    assert build_facts({**GITHUB, "GITHUB_EVENT_PATH": str(event)}) == BuildFacts(
        service="github", repository="https://github.example/ada/engine", base=A, head=C
    )


def test_of_a_pull_request_the_branch_counts_and_not_the_merge_made_for_the_build(
    tmp_path: Path,
) -> None:
    event = tmp_path / "event.json"
    url = "https://github.example/ada/engine/pull/7"
    pull = {"html_url": url, "base": {"sha": A}, "head": {"sha": B}, "number": 7}
    event.write_text(json.dumps({"pull_request": pull}))
    found = build_facts({**GITHUB, "GITHUB_EVENT_PATH": str(event)})
    assert (found.base, found.head, found.pull_request) == (A, B, url)


def test_a_merge_request_at_gitlab_is_named() -> None:
    assert build_facts(GITLAB).base == A
    found = build_facts(
        {
            **GITLAB,
            "CI_MERGE_REQUEST_IID": "7",
            "CI_MERGE_REQUEST_PROJECT_URL": "https://gitlab.example/ada/engine",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": B,
            "CI_COMMIT_BEFORE_SHA": "0" * 40,
        }
    )
    assert found == BuildFacts(
        service="gitlab",
        repository="https://gitlab.example/ada/engine",
        base=B,
        head=C,
        pull_request="https://gitlab.example/ada/engine/-/merge_requests/7",
    )


def test_what_is_not_as_it_should_be_counts_as_unsaid(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text("{")
    odd = {**GITHUB, "GITHUB_SHA": "HEAD; rm", "GITHUB_EVENT_PATH": str(event)}
    assert build_facts({**odd, "GITHUB_REPOSITORY": "a b"}) == BuildFacts(service="github")
    zeros = {**GITLAB, "CI_COMMIT_BEFORE_SHA": "0" * 40, "CI_PROJECT_URL": "https://a:b@c/d"}
    assert build_facts(zeros) == BuildFacts(service="gitlab", head=C)


@pytest.mark.parametrize(("service", "said"), [("github", "GITHUB_ENV"), ("gitlab", "dotenv")])
def test_the_way_to_the_next_step_is_said(service: str, said: str) -> None:
    text = how_to_export(service, "r1")
    assert text is not None
    assert said in text
    assert "DEEDBOOK_RUN=r1" in text


def test_a_checkout_knows_its_head_its_remote_and_where_it_left_the_trunk(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "work")
    first = repository.commit(one="1")
    folder = str(repository.folder)
    assert with_checkout(BuildFacts(), folder) == BuildFacts(head=first)
    repository.git("remote", "add", "origin", "https://ada:secret@code.example/it.git")
    repository.git("update-ref", "refs/remotes/origin/main", first)
    repository.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    assert with_checkout(BuildFacts(), folder).base is None
    second = repository.commit(two="2")
    found = with_checkout(BuildFacts(), folder)
    assert found == BuildFacts(repository="https://code.example/it.git", base=first, head=second)
    said = BuildFacts(service="github", repository="https://x.example/y", base=A, head=B)
    assert with_checkout(said, folder) == said


def test_without_a_checkout_nothing_is_added(tmp_path: Path) -> None:
    assert with_checkout(BuildFacts(), str(tmp_path)) == BuildFacts()
