"""Searching from the command line, and working at the index."""

import json
from collections.abc import Callable

import httpx2
import pytest

from app.cli import failure
from app.cli.root import run
from app.cli.search import search_command
from tests.serving import Served

pytestmark = pytest.mark.usefixtures("command_line")
Typed = Callable[..., str]


@pytest.fixture
def written(served: Served, http: httpx2.Client, project: str) -> str:
    for key, text in (
        ("retries", "# Client\n\n## Retrying\n\nA failed upload is tried again.\n"),
        ("colours", "# Design\n\nThe page is \x1b[31mred.\n"),
    ):
        made = http.post(
            f"/v1/projects/{project}/artifacts/PRD/{key}/versions", json={"content": text}
        )
        assert made.status_code == 201, made.text
    while served.ledger.index_jobs.catch_up():
        pass
    return project


def test_words_are_searched_for(typed: Typed, written: str) -> None:
    said = typed("search", "failed", "upload", "--project", written)
    assert " 1  Client\n    artifact/PRD/retries  version 1\n    Retrying\n" in said
    assert "A failed upload is tried again." in said


def test_an_answer_is_handed_on_as_json(typed: Typed, written: str) -> None:
    found = json.loads(typed("--json", "search", "--mode", "lexical", "upload", "--limit", "1"))
    assert [hit["stream"] for hit in found["hits"]] == ["artifact/PRD/retries"]
    assert found["degraded"] is False
    assert written in {hit["project"] for hit in found["hits"]}


def test_what_a_terminal_would_obey_is_shown_as_text(typed: Typed, written: str) -> None:
    said = typed(
        "search", "find", "page", "--mode", "lexical", "--kind", "PRD", "--project", written
    )
    assert "\x1b" not in said
    assert "\\u001b[31mred." in said


def test_all_projects_can_be_searched(typed: Typed, written: str) -> None:
    found = json.loads(typed("--json", "search", "--all", "--limit", "50", "upload"))
    assert written in {hit["project"] for hit in found["hits"]}


@pytest.mark.usefixtures("written")
def test_nothing_found_is_said_and_what_is_missing_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "walrus"]) == failure.OK
    told = capfd.readouterr()
    assert told.out == ""
    assert "Nothing fits." in told.err
    assert "no model for meanings, so it was searched by words only" in told.err


@pytest.mark.usefixtures("written")
def test_a_bad_query_is_a_complaint_with_an_exit_code(typed: Typed) -> None:
    assert "no word" in typed("search", "the", expected=failure.USAGE)
    assert "WORDS" in typed("search", "find", expected=failure.USAGE)


def test_the_index_is_shown_and_worked_at(typed: Typed, served: Served, written: str) -> None:
    said = typed("search", "status")
    assert said.splitlines()[0].split() == [
        *("BACKEND", "INDEXED", "BEHIND", "SOURCES", "CHUNKS"),
        *("PENDING", "FAILED", "NO", "VECTORS", "CUT", "COMPARED"),
    ]
    assert said.splitlines()[1].split() == [
        *("local", "3", "of", "3", "0", "s", "2", "2", "0", "0", "2", "0", "never"),
    ]
    assert json.loads(typed("--json", "search", "status", written))["semantic"] is False
    assert "2 sources are indexed anew" in typed("search", "reindex")
    while served.ledger.index_jobs.catch_up():
        pass
    assert "0 sources are tried again" in typed("search", "retry")
    assert "2 sources looked at: 0 were missing, 0 should not" in typed("search", "reconcile")
    assert "never" not in typed("search", "status")
    assert json.loads(typed("--json", "search", "reconcile")) == {
        "sources": 2,
        "missing": 0,
        "stale": 0,
    }


def test_every_command_says_what_it_is_for(typed: Typed) -> None:
    said = typed("search", "--help")
    for name in search_command.commands:
        assert name in said
