"""Runs in the browser: the list, a run at a glance, transcripts in their colours, at any position."""

import re

import httpx2
import msgspec
import pytest

from app import run_overview
from app.web import runs, transcripts
from domain.digest import digest_of
from domain.patchset import Commit, FileChange, Signature, range_document
from domain.plan import Task, plan_document
from domain.verification import (
    Check,
    Counts,
    Finding,
    summary_of,
    verification_document,
    verification_report,
)
from tests.ledger_samples import erase_for_good
from tests.serving import Served
from tests.test_http_runs import SHIPPED, Step, append
from tests.test_http_runs import run as shipped
from tests.web_reader import WebReader

HOSTILE = "<script>alert(1)</script>"
JSON = {"media_type": "application/json"}
TEXT = {"media_type": "text/plain"}
ADA = Signature(name="Ada", email="ada@alpha.example")
SHA = "c0ffee" + "0" * 34
PATCHSET = range_document(
    [Commit(sha=SHA, tree="d" * 40, author=ADA, committer=ADA, message=f"Add {HOSTILE}\n\nBody")],
    (
        FileChange(path="app/login.py", change="added", lines_added=1_200, lines_deleted=0),
        FileChange(path="logo.png", change="modified"),
        FileChange(path="old.py", change="deleted", lines_added=0, lines_deleted=30),
    ),
    base="e" * 40,
)
PLAN = plan_document(
    (
        Task(id="build", title="Build the login", requirements=("FR-1",)),
        Task(id="ship", title=f"Ship {HOSTILE}", depends_on=("build",)),
    ),
    "The plan of the login",
)
CHECKS = (
    Check(name="lint", category="lint", result="PASSED", counts=Counts(errors=0)),
    Check(
        name="tests",
        category="test",
        result="FAILED",
        tool="pytest",
        counts=Counts(total=1_003, passed=1_000, failed=1, errors=0, skipped=2),
        findings=(
            Finding(level="error", test="test_login", message=f"assert {HOSTILE}", path="t.py", line=7),
        ),
        findings_total=1,
    ),
)  # fmt: skip
REPORT = verification_document(verification_report(CHECKS, SHA))
CREATED: tuple[Step, ...] = (
    ("RunCreated", {"title": f"Login {HOSTILE}", "pull_request": "javascript:alert(1)"}, None),
    ("RunStarted", {}, None),
)
FAILING: tuple[Step, ...] = (
    *CREATED,
    ("PlanRecorded", {"content": JSON}, PLAN),
    ("StepStarted", {"step": "build"}, None),
    ("StepStarted", {"step": "review", "title": "Read it"}, None),
    ("PatchSetRecorded", {"commits": [SHA], "content": JSON}, PATCHSET),
    (
        "VerificationRecorded",
        {
            "result": "FAILED",
            "commit": SHA,
            "content": JSON,
            "checks": msgspec.to_builtins([summary_of(one) for one in CHECKS]),
        },
        REPORT,
    ),
    ("StepFinished", {"step": "build", "outcome": "failed", "error": "one test fails"}, None),
)


@pytest.fixture(scope="module")
def reader(served: Served) -> WebReader:
    return WebReader(served, served.token)


run = shipped
"""The fixture of a run in which everything has happened but its end."""


def read(reader: WebReader, path: str, status: int = 200) -> str:
    answer = reader.get(path)
    assert answer.status_code == status, answer.text
    assert HOSTILE not in answer.text
    return answer.text


def words(page: str) -> str:
    """The text of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2]).split())


def stages(page: str) -> dict[str, str]:
    """The state of each stage by its title."""
    track = page.partition('<ol class="run-track"')[2].partition("</ol>")[0]
    return {
        title: state
        for state, title in re.findall(
            r'<li class="([a-z]+)">.*?<b>([A-Za-z]+)</b>', track, re.DOTALL
        )
    }


def position(http: httpx2.Client, project: str) -> int:
    found: int = http.get(f"/v1/projects/{project}").json()["position"]
    return found


def transcript(http: httpx2.Client, project: str, content: bytes, **data: object) -> int:
    """Record a transcript in a run of its own; answers its position."""
    digest = digest_of(content)
    sent = http.put(f"/v1/projects/{project}/blobs/{digest}", content=content)
    assert sent.status_code == 201, sent.text
    named = {"digest": digest, "size_bytes": len(content), **TEXT}
    given = {"command": ["make", HOSTILE], "exit_code": 2, "duration_ms": 1_500, "content": named}
    append(http, project, "t", (*CREATED, ("TranscriptRecorded", {**given, **data}, None)))
    return position(http, project)


def test_runs_are_listed_with_their_phase_the_one_that_changed_last_first(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    append(http, project, "a", CREATED)
    append(http, project, "b", CREATED)
    before = position(http, project)
    append(http, project, "a", (("RunFinished", {"outcome": "canceled"}, None),))
    page = read(reader, f"/p/{project}/runs")
    assert re.findall(rf'href="/p/{project}/runs/(\w)"', page) == ["a", "b"]
    assert re.findall(r'<span class="chip \w*">(\w+)</span>', page) == ["canceled", "running"]
    earlier = read(reader, f"/p/{project}/runs?at={before}")
    assert re.findall(rf'href="/p/{project}/runs/(\w)\?at={before}"', earlier) == ["b", "a"]
    assert "canceled" not in words(earlier)


def test_a_project_without_runs_says_how_one_begins(project: str, reader: WebReader) -> None:
    assert "deedbook run start" in words(read(reader, f"/p/{project}/runs"))


def test_many_runs_stand_on_several_pages_each_run_once(
    http: httpx2.Client, project: str, reader: WebReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUNS", 2)
    for name in ("e", "a", "d", "b", "c"):
        append(http, project, name, CREATED[:1])
    found, path = [], f"/p/{project}/runs"
    while path:
        page = read(reader, path)
        found.append(re.findall(rf'href="/p/{project}/runs/(\w)"', page))
        following = re.search(r'rel="next" href="(/p/[^"]+before=[^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert found == [["c", "b"], ["d", "a"], ["e"]]


def test_a_run_at_a_glance_says_what_was_planned_changed_allowed_and_deployed(
    http: httpx2.Client, project: str, run: str, reader: WebReader
) -> None:
    page = read(reader, f"/p/{project}/runs/r1")
    text = words(page)
    assert stages(page) == {
        "Plan": "good",
        "Patches": "good",
        "Checks": "good",
        "Approvals": "good",
        "Deployments": "good",
        "Done": "now",
    }
    assert "all hold" in text
    assert "t1 Build it" in text
    assert "succeeded attempt 2" in text
    assert "1 commit, 1 file +0" in text
    assert "1 check that a later one took the place of" in text
    assert "granted by token:admin in the name of Ada, " in text
    assert "asked by token:admin" in text
    assert "recorded by the ledger" in text
    assert '<a href="https://alpha.example" rel="noopener noreferrer nofollow">' in page
    assert "production here d1" in re.sub(" +", " ", text)
    assert "by e1" in text
    assert f'href="/p/{project}/artifacts/PRD/main?version=1"' in page
    for event in http.get(f"{run}/timeline").json()["items"]:
        assert f'href="/p/{project}/events/{event["position"]}"' in page
        for content in event["contents"]:
            assert f'href="/v1/projects/{project}/blobs/{content["digest"]}"' in page
    assert reader.get(
        f"/v1/projects/{project}/exports/{position(http, project)}.zip?run=r1"
    ).is_success
    assert f"exports/{position(http, project)}.zip?run=r1" in page


def test_a_failing_run_shows_what_fails_first(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    append(http, project, "r1", FAILING)
    page = read(reader, f"/p/{project}/runs/r1")
    text = words(page)
    assert stages(page)["Checks"] == "bad"
    assert "2 of 7 do not hold" in text
    assert "Check tests FAILED." in text
    assert text.index("failed tests") < text.index("passed lint")
    assert "1,000 passed, 1 failed, 2 skipped" in text
    assert "test_login t.py:7 assert &lt;script&gt;" in text
    bars = re.findall(r'<rect class="(\w+)" x="(\d+)" y="0" width="(\d+)"', page)
    assert bars[0] == ("bad", "0", "15")  # one of a thousand is still to be seen
    assert sum(int(width) for _, _, width in bars[:3]) == 1_000


def test_the_plan_stands_with_the_state_of_its_tasks_and_other_steps_after_it(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    append(http, project, "r1", FAILING)
    text = words(read(reader, f"/p/{project}/runs/r1"))
    assert "Plan: The plan of the login" in text
    assert "build Build the login FR-1 failed one test fails" in text
    assert "ship Ship &lt;script&gt;alert(1)&lt;/script&gt; after build Recorded" in text
    assert "Steps besides the plan review Read it under way" in text


def test_a_patch_set_shows_its_commits_and_files_and_leads_to_its_artifact(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    append(http, project, "r1", FAILING)
    path = f"/p/{project}/runs/r1"
    page = read(reader, path)
    text = words(page)
    assert "1 commit, 3 files +1,200 −30" in text
    assert "Add &lt;script&gt;alert(1)&lt;/script&gt; Ada" in text
    assert "app/login.py added +1,200 −0" in text
    assert "logo.png modified binary" in text
    assert "3 files, +1,200 −30" in text
    assert "as an artifact" not in text
    written = http.post(
        f"/v1/projects/{project}/artifacts/PATCHSET/{SHA}/versions",
        json={"content": PATCHSET.decode(), "media_type": "application/json"},
    )
    assert written.status_code == 201
    assert f'href="/p/{project}/artifacts/PATCHSET/{SHA}?version=1"' in read(reader, path)


def test_an_earlier_position_shows_the_run_as_it_was(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    append(http, project, "r1", FAILING)
    page = read(reader, f"/p/{project}/runs/r1?at=4")
    assert stages(page) == {
        "Plan": "good",
        "Patches": "none",
        "Checks": "none",
        "Approvals": "none",
        "Deployments": "none",
        "Done": "now",
    }
    assert f'href="/p/{project}/events/4?at=4"' in page
    assert f'action="/p/{project}/runs/r1"' in page  # the slider stays on this page
    assert f"/p/{project}/events/5" not in page
    assert "exports/4.zip?run=r1" in page
    assert reader.get(f"/p/{project}/runs/r1?at=1").status_code == 404
    assert reader.get(f"/p/{project}/runs/r1?at=10000").status_code == 404


def test_an_address_that_is_none_of_the_web_is_no_link(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    append(http, project, "r1", CREATED)
    page = read(reader, f"/p/{project}/runs/r1")
    assert "javascript:alert(1)" in words(page)
    assert 'href="javascript:' not in page


def test_the_audit_bundle_is_written_by_a_button_and_then_linked(
    http: httpx2.Client, project: str, run: str, served: Served, reader: WebReader
) -> None:
    path = f"/p/{project}/runs/r1"
    assert "No audit bundle is written." in words(read(reader, path))
    made = reader.post(f"{path}/audit-bundle")
    assert (made.status_code, made.headers["location"]) == (303, f"{path}#take-away")
    page = read(reader, path)
    assert f'href="/p/{project}/artifacts/IMPLEMENTATION_AUDIT_BUNDLE/r1?version=1"' in page
    assert "No audit bundle" not in words(page)
    only_reads = WebReader(served, served.limited("events:read"))
    page = read(only_reads, path)
    assert "audit-bundle" not in page
    assert ".zip?run=" not in page
    assert only_reads.post(f"{path}/audit-bundle").status_code == 403


def test_a_long_run_shows_its_events_page_by_page(
    http: httpx2.Client, project: str, reader: WebReader, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "EVENTS", 7)
    seen: list[int] = []
    path = f"/p/{project}/runs/r1"
    while path:
        page = read(reader, path)
        events = page.partition('id="events"')[2]
        seen += map(int, re.findall(rf'<a href="/p/{project}/events/(\d+)"', events))
        following = re.search(r'rel="next" href="(/p/[^"#]+)#events"', events)
        path = following[1].replace("&amp;", "&") if following else ""
    assert seen == list(range(3, 3 + len(SHIPPED)))


def test_a_document_that_was_erased_is_missed_in_a_sentence(
    http: httpx2.Client, project: str, served: Served, reader: WebReader
) -> None:
    append(http, project, "r1", FAILING)
    erase_for_good(served.ledger, project, "run/r1", 3)
    text = words(read(reader, f"/p/{project}/runs/r1"))
    assert "The plan cannot be shown. The content sha256:" in text
    assert "was erased at position" in text
    assert "recorded the plan erased" in text


def test_a_document_that_is_too_long_is_left_to_be_fetched(
    http: httpx2.Client, project: str, reader: WebReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_overview, "MAX_DOCUMENT_BYTES", 10)
    append(http, project, "r1", FAILING)
    page = read(reader, f"/p/{project}/runs/r1")
    assert "The plan cannot be shown. It is too long to be shown here." in words(page)
    assert "The patch set cannot be shown. It is too long to be shown here." in words(page)
    assert f"/v1/projects/{project}/blobs/{digest_of(PLAN)}" in page
    assert stages(page)["Patches"] == "good"


def test_what_is_no_run_is_not_found(
    http: httpx2.Client, project: str, served: Served, reader: WebReader
) -> None:
    append(http, project, "r1", CREATED)
    for path in ("r2", "NO%20RUN", "con", "r1/transcripts/3", "r1/transcripts/99"):
        assert reader.get(f"/p/{project}/runs/{path}").status_code == 404, path
    assert reader.get(f"/p/{project}/runs/r1/transcripts/x").status_code == 400
    elsewhere = WebReader(served, served.limited("events:read", projects=("other",)))
    nobody = WebReader(served)
    for path in ("runs", "runs/r1", "runs/r1/transcripts/3"):
        assert elsewhere.get(f"/p/{project}/{path}").status_code == 403
        sent = nobody.get(f"/p/{project}/{path}")
        assert (sent.status_code, sent.headers["location"][:9]) == (303, "/sign-in?")


def test_a_transcript_shows_colours_and_line_numbers_and_obeys_nothing(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    written = (
        f"plain {HOSTILE}\n\x1b[31mFAILED\x1b[0m t.py\n10%\r100%\n\x1b]0;title\x07\x1b[2Jend\n"
    )
    at = transcript(http, project, written.encode() + b"\xff\n", truncated=True)
    page = read(reader, f"/p/{project}/runs/t/transcripts/{at}")
    assert '<span class="ansi-red">FAILED</span> t.py' in page
    lines = re.findall(r'id="L(\d+)"><a class="number" href="#L\1">\1</a>(.*?)\n</span>', page)
    assert [(number, re.sub("<[^>]+>", "", line)) for number, line in lines] == [
        ("1", "plain &lt;script&gt;alert(1)&lt;/script&gt;"),
        ("2", "FAILED t.py"),
        ("3", "100%"),
        ("4", "end"),
        ("5", "\ufffd"),
    ]
    assert "\x1b" not in page
    text = words(page)
    assert "exit 2 ran 1.5 s" in text
    assert "wrote more than was kept" in text
    raw = re.search(rf'href="(/v1/projects/{project}/blobs/sha256:[0-9a-f]+)"', page)
    assert raw is not None
    assert reader.get(raw[1]).content == written.encode() + b"\xff\n"
    assert f'href="/p/{project}/runs/t/transcripts/{at}"' in read(reader, f"/p/{project}/runs/t")


def test_a_long_transcript_is_shown_in_parts_and_keeps_its_colours(
    http: httpx2.Client, project: str, reader: WebReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "LINES", 10)
    at = transcript(
        http, project, b"\x1b[32m" + b"".join(b"line %d\n" % one for one in range(1, 26))
    )
    path = f"/p/{project}/runs/t/transcripts/{at}"
    first = read(reader, path)
    assert re.findall(r'id="L(\d+)"', first) == [str(one) for one in range(1, 11)]
    assert f'rel="next" href="{path}?line=11"' in first
    assert f'href="{path}?line=16#L25"' in first
    last = read(reader, f"{path}?line=21&at={at}")
    assert "Lines 21 to 25 of 25" in words(last)
    assert '<span class="ansi-green">line 25</span>' in last
    assert 'rel="next" href="' + path not in last
    assert f'rel="prev" href="{path}?at={at}&amp;line=11"' in last
    assert "ends at line 25" in words(read(reader, f"{path}?line=26"))
    assert reader.get(f"{path}?line=0").status_code == 400


def test_a_transcript_that_is_too_large_is_cut_and_says_so(
    http: httpx2.Client, project: str, reader: WebReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "MAX_SHOWN_BYTES", 8)
    at = transcript(http, project, b"12345678rest")
    text = words(read(reader, f"/p/{project}/runs/t/transcripts/{at}"))
    assert "Only the first 8 bytes of 12 bytes are shown" in text
    assert "rest" not in text


def test_a_transcript_that_was_erased_is_missed_in_a_sentence(
    http: httpx2.Client, project: str, served: Served, reader: WebReader
) -> None:
    at = transcript(http, project, b"secret")
    path = f"/p/{project}/runs/t/transcripts/{at}"
    assert reader.get(f"{path}?at={at - 1}").status_code == 404
    append(http, project, "other", CREATED)
    assert reader.get(f"/p/{project}/runs/other/transcripts/{at}").status_code == 404
    erase_for_good(served.ledger, project, "run/t", 3)
    text = words(read(reader, path))
    assert "The transcript cannot be shown. The content sha256:" in text
    assert "secret" not in text


def test_a_command_that_wrote_nothing_has_an_empty_transcript(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    at = transcript(http, project, b"")
    text = words(read(reader, f"/p/{project}/runs/t/transcripts/{at}"))
    assert "The command wrote nothing." in text
