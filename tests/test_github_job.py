"""What GitHub says of a job, how it is asked, and what a strange answer does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.github_api import GitHubApi
from app.cli.ci_page import _verified
from app.cli.ci_record import MAX_REPORTS, found_reports
from app.cli.ci_words import write_outputs
from app.remote.github_identity import ask_for_identity, log_in
from app.remote.github_job import Job, find_pull_request, read_job, run_title
from app.remote.sticky_comment import MAX_COMMENT_CHARACTERS, put_comment
from domain.errors import (
    DeedbookError,
    Forbidden,
    Malformed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from projections.run_markdown import Verified
from tests.issuer_double import REQUEST, REQUEST_TOKEN, IssuerDouble, send
from tests.run_commands import Typed

SHA, BASE = "a" * 40, "b" * 40
VARIABLES = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_RUN_ID": "12",
    "GITHUB_RUN_ATTEMPT": "3",
    "GITHUB_SHA": SHA,
    "GITHUB_REF_NAME": "main",
    "GITHUB_WORKFLOW": "ci",
}


@pytest.fixture
def issuer() -> Iterator[IssuerDouble]:
    with IssuerDouble().running() as double:
        yield double


def job_of(tmp_path: Path, event: object, **variables: str) -> Job:
    file = tmp_path / "event.json"
    file.write_text(event if isinstance(event, str) else json.dumps(event))
    return read_job({**VARIABLES, "GITHUB_EVENT_PATH": str(file), **variables})


def test_a_push_is_about_its_commit(tmp_path: Path) -> None:
    job = job_of(tmp_path, {"before": BASE, "after": SHA})
    assert (job.head, job.base, job.pull_request) == (SHA, BASE, None)
    assert job.run == "gh-12-3"
    assert job.url == "https://github.com/o/r/actions/runs/12"
    assert job.pull_request_url is None
    assert job_of(tmp_path, {"before": "0" * 40}).base is None


def test_a_pull_request_is_about_its_head_and_not_the_merge(tmp_path: Path) -> None:
    pull = {
        "number": 7,
        "title": "Add",
        "base": {"sha": BASE, "repo": {"full_name": "o/r"}},
        "head": {"sha": "c" * 40, "repo": {"full_name": "o/r"}},
    }
    job = job_of(tmp_path, {"pull_request": pull})
    assert (job.head, job.base, job.pull_request) == ("c" * 40, BASE, 7)
    assert job.pull_request_url == "https://github.com/o/r/pull/7"
    assert not job.from_fork
    for elsewhere in ({"full_name": "x/r"}, None):
        pull["head"] = {"sha": "c" * 40, "repo": elsewhere}
        assert job_of(tmp_path, {"pull_request": pull}).from_fork


def test_the_run_after_a_push_looks_for_no_pull_request(tmp_path: Path) -> None:
    ran = {
        "head_sha": BASE,
        "head_branch": "main",
        "event": "push",
        "conclusion": "success",
        "head_repository": {"full_name": "o/r", "owner": {"login": "o"}},
    }
    job = job_of(tmp_path, {"workflow_run": ran})
    assert (job.head, job.came_from, job.ended, job.from_fork) == (BASE, None, "success", False)
    assert find_pull_request(job, GitHubApi("/nowhere/gh")) == job
    deleted = job_of(tmp_path, {"workflow_run": {**ran, "head_repository": None}})
    assert deleted.from_fork
    with pytest.raises(Malformed, match="names no commit"):
        job_of(tmp_path, {"workflow_run": {**ran, "head_sha": "main"}})


@pytest.mark.parametrize("event", ["", "[]", "{", '{"pull_request": 7}', "\xff"])
def test_an_event_that_cannot_be_read_says_nothing(tmp_path: Path, event: str) -> None:
    assert job_of(tmp_path, event).head == SHA


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPOSITORY", "o/r/x"),
        ("GITHUB_REPOSITORY", "o/r?x"),
        ("GITHUB_SERVER_URL", "ftp://x"),
        ("GITHUB_RUN_ID", "1; x"),
        ("GITHUB_RUN_ATTEMPT", ""),
        ("GITHUB_SHA", "main"),
    ],
)
def test_a_variable_that_is_not_githubs_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(Malformed, match=name) as caught:
        job_of(tmp_path, {}, **{name: value})
    assert caught.value.code == "invalid-parameter"


def test_only_a_job_is_a_job(tmp_path: Path) -> None:
    with pytest.raises(Malformed) as caught:
        read_job({})
    assert caught.value.code == "not-in-github-actions"
    with pytest.raises(Malformed) as unsafe:
        job_of(tmp_path, {}, GITHUB_EVENT_NAME="pull_request_target")
    assert unsafe.value.code == "unsafe-event"


def test_a_title_is_one_printable_line(tmp_path: Path) -> None:
    def titled(title: str) -> str:
        pull = {"number": 7, "title": title, "base": {"sha": BASE}, "head": {"sha": SHA}}
        return run_title(job_of(tmp_path, {"pull_request": pull}))

    assert titled("Add\n a\t login ") == "Add a login"
    assert titled("a\u202eb\0c") == "a\ufffdb\ufffdc"
    assert titled("") == "ci"
    assert titled("\n") == "CI"
    assert len(titled("x" * 1_000)) == 200


def gh(tmp_path: Path, script: str) -> GitHubApi:
    program = tmp_path / "gh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return GitHubApi(str(program))


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        ("echo 'HTTP 403: no' >&2; exit 1", Forbidden, "github-forbidden"),
        ("echo 'gh: Bad credentials (HTTP 401)' >&2; exit 1", Forbidden, "github-forbidden"),
        ("echo 'HTTP 404' >&2; exit 1", Unavailable, "github-refused"),
        ("exit 4", Unavailable, "github-refused"),
        ("echo '<html>'", Unavailable, "github-refused"),
        ("echo '{}'", Unavailable, "github-refused"),
        ("printf '\\377'", Unavailable, "github-refused"),
    ],
)
def test_what_github_refuses_is_one_problem(
    tmp_path: Path, script: str, kind: type[DeedbookError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        gh(tmp_path, script).get("repos/o/r/pulls", list[int])
    assert caught.value.code == code


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        GitHubApi(str(tmp_path / "gh")).get("x", dict[str, int])
    assert caught.value.code == "gh-missing"


def test_a_comment_that_github_would_not_take_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(TooLarge) as caught:
        put_comment(gh(tmp_path, "exit 9"), "o/r", 7, "alpha", "x" * MAX_COMMENT_CHARACTERS)
    assert caught.value.code == "comment-too-large"


def asking(issuer: IssuerDouble) -> dict[str, str]:
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}{REQUEST}?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
    }


def test_the_identity_token_is_asked_for_with_its_audience(issuer: IssuerDouble) -> None:
    ask_for_identity(asking(issuer), "https://ledger.example/?a=b&c")
    assert issuer.requests == [
        f"{REQUEST}?api-version=2.0&audience=https%3A%2F%2Fledger.example%2F%3Fa%3Db%26c"
    ]
    bare = {**asking(issuer), "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}{REQUEST}"}
    assert ask_for_identity(bare, "x").count(".") == 2


@pytest.mark.parametrize("name", ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
def test_a_job_without_the_permission_is_told(issuer: IssuerDouble, name: str) -> None:
    with pytest.raises(Unauthenticated, match="id-token: write") as caught:
        ask_for_identity({**asking(issuer), name: ""}, "x")
    assert caught.value.code == "identity-token-absent"


def test_no_secret_goes_to_an_address_without_encryption(issuer: IssuerDouble) -> None:
    away = {**asking(issuer), "ACTIONS_ID_TOKEN_REQUEST_URL": "http://issuer.example/x"}
    with pytest.raises(Malformed, match="https"):
        ask_for_identity(away, "x")
    with pytest.raises(Malformed, match="https"):
        log_in(asking(issuer), "http://ledger.example", "alpha", "x", lambda _: None)
    assert issuer.requests == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [({}, 200), (b"x", 200), ({"value": 7}, 200), ({}, 500), ({}, 302), (b"x" * 70_000, 200)],
)
def test_a_strange_answer_is_no_identity(issuer: IssuerDouble, answer: object, status: int) -> None:
    issuer.answers[REQUEST] = lambda request: send(request, answer, status)
    with pytest.raises(Unavailable) as caught:
        ask_for_identity(asking(issuer), "x")
    assert caught.value.code == "identity-token-refused"


def test_a_ledger_that_is_away_is_asked_again_with_a_new_identity(issuer: IssuerDouble) -> None:
    waits: list[float] = []
    with IssuerDouble().running() as gone:
        nowhere = gone.url
    with pytest.raises(Unavailable):
        log_in(asking(issuer), nowhere, "alpha", "x", waits.append)
    assert waits == [0.2, 1.0, 3.0]
    assert len(issuer.requests) == 4


def test_reports_are_files_of_this_folder_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "out/deep").mkdir(parents=True)
    for name in ("out/a.xml", "out/deep/b.xml", "out/c.txt", "-x.xml"):
        (folder / name).write_text("")
    (tmp_path / "secret.xml").write_text("")
    (folder / "out/link.xml").symlink_to(tmp_path / "secret.xml")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "out/inner.xml").symlink_to(folder / "out/a.xml")
    (folder / "out/folder.xml").mkdir()
    assert found_reports(("out/**/*.xml\n\n out/a.xml \n", "none/*", "*.xml"), folder) == (
        "out/a.xml",
        "out/deep/b.xml",
        "-x.xml",
    )
    assert found_reports(("linked/*.xml",), folder) == ()
    for pattern in ("/etc/*", "../*.xml", "out/../../*.xml"):
        with pytest.raises(Malformed, match="leads out"):
            found_reports((pattern,), folder)
    for number in range(MAX_REPORTS + 1):
        (folder / f"out/{number}.json").write_text("")
    with pytest.raises(TooLarge):
        found_reports(("out/*.json",), folder)


def test_an_output_is_never_two(tmp_path: Path) -> None:
    file = tmp_path / "outputs"
    write_outputs({"GITHUB_OUTPUT": str(file)}, {"run": "x", "base": ""})
    write_outputs({"GITHUB_OUTPUT": str(file)}, {"head": "y"})
    assert file.read_text() == "run=x\nbase=\nhead=y\n"
    write_outputs({}, {"run": "x"})
    with pytest.raises(AssertionError):
        write_outputs({"GITHUB_OUTPUT": str(file)}, {"run": "x\nhead=z"})


def test_what_was_said_of_another_file_counts_as_nothing(tmp_path: Path) -> None:
    report = tmp_path / "verify.json"
    checks = [
        {"id": "seal", "ok": True, "detail": "good"},
        {"id": "head", "ok": None, "detail": "not given"},
        {"id": "root", "ok": False, "detail": "wrong"},
    ]
    said = {"state": "FAILED", "checks": checks, "zip_sha256": "a" * 64}
    report.write_text(json.dumps(said))
    assert _verified(report, "a" * 64) == Verified("FAILED", ("not given", "wrong"))
    assert _verified(report, "b" * 64) == Verified()
    report.write_text(json.dumps({**said, "state": "VERIFIED"}))
    assert _verified(report, "a" * 64) == Verified("VERIFIED", ("wrong",))
    for text in ("", "{", "[]", '{"state": 7}'):
        report.write_text(text)
        assert _verified(report, "a" * 64) == Verified()
    assert _verified(tmp_path / "absent", "a" * 64) == Verified()


def test_outside_of_a_job_the_commands_say_so(command_line: None, typed: Typed) -> None:
    assert "not-in-github-actions" in typed("ci", "begin", expected=2)
    assert "not-in-github-actions" in typed("ci", "login", expected=2)
    assert typed("ci", "logout") == ""
