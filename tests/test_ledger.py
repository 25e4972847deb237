"""The use cases themselves: what they refuse, where they point, and what a repeat is told."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.bootstrap import open_ledger
from app.door import EventInput
from app.ledger import Ledger, RequestKey, Uploaded
from app.settings import Settings
from domain.citation import Citation
from domain.digest import digest_of
from domain.errors import (
    Conflict,
    DeedbookError,
    Invalid,
    Malformed,
    NotFound,
    StaleVersion,
    TooLarge,
)
from domain.events import parse
from domain.log import MAX_BATCH_EVENTS, MAX_BLOB_BYTES, STAGED_ABOVE_BYTES, Entry, Receipt
from tests.log_samples import check_rows

ADA = "user:ada"


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """With the project `alpha` at position 1."""
    settings = Settings(database_url=database_url, deedbook_host="ledger.example")
    with open_ledger(settings, database_url) as opened:
        opened.create_project("alpha", title="Alpha", actor=ADA)
        yield opened


def of_run(name: str, /, **data: object) -> EventInput:
    return EventInput(stream="run/r1", type=name, data=data)


def document(
    stream: str = "artifact/PRD/main",
    text: bytes = b"# One\n",
    id: str | None = None,  # noqa: A002
    **more: object,
) -> EventInput:
    return EventInput(
        stream=stream,
        type="ArtifactWritten",
        data={"media_type": "text/markdown", **more},
        content=text,
        id=id,
    )


def typed(content: bytes) -> EventInput:
    return EventInput(
        stream="artifact/PATCHSET/p1",
        type="ArtifactWritten",
        data={"media_type": "application/json"},
        content=content,
    )


UPLOAD = b"# Uploaded\n"
NAMED = {"digest": digest_of(UPLOAD), "size_bytes": len(UPLOAD), "media_type": "text/markdown"}
ID = "019a9f60-7c00-7000-8a00-00000000000a"


@pytest.mark.parametrize(
    ("events", "kind", "code", "pointer"),
    [
        ([], TooLarge, "batch-too-large", None),
        ([of_run("RunStarted")] * (MAX_BATCH_EVENTS + 1), TooLarge, "batch-too-large", None),
        ([of_run("Nothing")], Invalid, "unknown-event-type", "/events/0/type"),
        ([of_run("RunCreated")], Invalid, "validation-failed", "/events/0/data"),
        ([of_run("RunCreated", title=1)], Invalid, "validation-failed", "/events/0/data/title"),
        ([of_run("RunCreated", title="a\0")], Invalid, "nul-character", "/events/0/data/title"),
        ([document(), document(x=1.5)], Invalid, "float-not-allowed", "/events/1/data/x"),
        ([document(digest="sha256:0")], Invalid, "digest-mismatch", "/events/0/data/digest"),
        ([document(size_bytes=7)], Invalid, "digest-mismatch", "/events/0/data/size_bytes"),
        ([document(title="x" * 301)], Invalid, "validation-failed", "/events/0/data/title"),
        (
            [EventInput(stream="run/r1", type="ArtifactWritten", data={"media_type": "a/b"}, content=b"")],
            Invalid,
            "validation-failed",
            "/events/0/stream",
        ),
        (
            [EventInput(stream="artifact/PRD/main", type="RunStarted", data={})],
            Invalid,
            "validation-failed",
            "/events/0/stream",
        ),
        (
            [EventInput(stream="project", type="ProjectCreated", data={"title": "Again"})],
            Invalid,
            "validation-failed",
            "/events/0/type",
        ),
        (
            [
                EventInput(
                    stream="erasures",
                    type="ArtifactErased",
                    data={"artifact": "artifact/PRD/main", "artifact_version": 1,
                          "digest": digest_of(b""), "reason": "x"},
                )
            ],
            Invalid,
            "validation-failed",
            "/events/0/type",
        ),
        (
            [EventInput(stream="run/r1", type="RunStarted", data={}, id="not-a-uuid")],
            Invalid,
            "validation-failed",
            "/events/0/id",
        ),
        ([of_run("RunStarted")], Conflict, "invalid-transition", "/events/0"),
        ([of_run("RunCreated", title="x"), of_run("RunFinished", outcome="succeeded")],
         Conflict, "invalid-transition", "/events/1"),
        ([of_run("PlanRecorded", content={"digest": "sha256:0", "size_bytes": 1, "media_type": "a/b"})],
         Invalid, "validation-failed", "/events/0/data/content/digest"),
        ([of_run("PlanRecorded", content={**NAMED, "media_type": "A/B; x=1"})],
         Invalid, "validation-failed", "/events/0/data/content/media_type"),
        ([document(), document(media_type="markdown")],
         Invalid, "validation-failed", "/events/1/data/media_type"),
        ([document(citations=[{"index": 1, "url": "ftp://example.com/"}])],
         Invalid, "validation-failed", "/events/0/data/citations/0/url"),
        ([document(text=b"[x](citation:1)\n")], Invalid, "citation-unresolved", "/events/0/content"),
        ([document(text=b"\xff")], Invalid, "validation-failed", "/events/0/content"),
        ([document(text=b"a\0b")], Invalid, "nul-character", "/events/0/content"),
        ([document("artifact/PRD/..")], Invalid, "validation-failed", "/events/0/stream"),
        ([document("artifact/PRD/a/b")], Invalid, "validation-failed", "/events/0/stream"),
        ([document("artifact/prd/main")], Invalid, "validation-failed", "/events/0/stream"),
        ([document("artifact/PRD/" + "x" * 91)], Invalid, "validation-failed", "/events/0/stream"),
        ([document("artifact/CON/main")], Invalid, "validation-failed", "/events/0/stream"),
        ([document("artifact/PATCHSET/p1")], Invalid, "validation-failed", "/events/0/data/media_type"),
        ([typed(b"{")], Malformed, "malformed-json", "/events/0/content"),
        ([typed(b'{"a":1,"a":2}')], Malformed, "malformed-json", "/events/0/content"),
        ([typed(b'{"a":1.5}')], Invalid, "float-not-allowed", "/events/0/content"),
        ([typed(b"[" * 65 + b"]" * 65)], Malformed, "json-too-deep", "/events/0/content"),
        ([EventInput(stream="artifact/PRD/main", type="ArtifactWritten", data=NAMED)],
         Invalid, "blob-not-found", None),
        ([of_run("RunCreated", title="x", repository="r" * 65_536)], TooLarge, "event-too-large", None),
    ],
)  # fmt: skip
def test_a_batch_that_breaks_a_rule_is_refused_whole(
    ledger: Ledger,
    events: Sequence[EventInput],
    kind: type[DeedbookError],
    code: str,
    pointer: str | None,
) -> None:
    with pytest.raises(kind) as caught:
        ledger.append("alpha", events, actor=ADA)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)
    assert ledger.log.head("alpha").size == 1


def test_an_actor_has_a_name(ledger: Ledger) -> None:
    for actor in ("", "x" * 257, "a\0b"):
        with pytest.raises(Invalid):
            ledger.append("alpha", [document()], actor=actor)
    with pytest.raises(Invalid):
        ledger.append("alpha", [document()], actor=ADA, key=RequestKey("", b""))
    assert ledger.log.head("alpha").size == 1


def test_a_change_of_a_project_changes_something(ledger: Ledger) -> None:
    with pytest.raises(Invalid):
        ledger.change_project("alpha", actor=ADA)
    with pytest.raises(Invalid) as caught:
        ledger.change_project("alpha", title="", actor=ADA)
    assert caught.value.pointer == "/title"


def test_a_content_above_the_limit_is_refused(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.door.MAX_BLOB_BYTES", 5)
    with pytest.raises(TooLarge) as caught:
        ledger.append("alpha", [document()], actor=ADA)
    assert caught.value.code == "body-too-large"
    assert MAX_BLOB_BYTES > 5


def test_a_run_that_several_feed_at_once_takes_each_record_once(ledger: Ledger) -> None:
    ledger.append("alpha", [of_run("RunCreated", title="x"), of_run("RunStarted")], actor=ADA)

    def feed(number: int) -> None:
        ledger.append(
            "alpha",
            [of_run("VerificationRecorded", result="PASSED", name=f"check {number}")],
            actor=f"build:{number}",
        )

    threads = [threading.Thread(target=feed, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = ledger.log.stream("alpha", "run/r1", 0, 100, 10**6)
    assert [entry.version for entry in entries] == list(range(1, 2 + 16 + 1))
    actors = {parse(entry.line).actor for entry in entries[2:]}
    assert actors == {f"build:{number}" for number in range(16)}


def test_a_repeat_to_a_run_that_has_ended_since_gets_its_first_answer(ledger: Ledger) -> None:
    ledger.append("alpha", [of_run("RunCreated", title="x"), of_run("RunStarted")], actor=ADA)
    event = EventInput(
        stream="run/r1",
        type="VerificationRecorded",
        data={"result": "PASSED"},
        id="019a9f60-7c00-7000-8a00-00000000000a",
    )
    first = ledger.append("alpha", [event], actor=ADA)
    ledger.append("alpha", [of_run("RunFinished", outcome="succeeded")], actor=ADA)
    again = ledger.append("alpha", [event], actor=ADA)
    assert again.replayed
    assert again.entries == first.entries
    with pytest.raises(Conflict) as caught:
        ledger.append("alpha", [of_run("VerificationRecorded", result="PASSED")], actor=ADA)
    assert caught.value.code == "invalid-transition"


def test_a_named_version_of_a_run_is_not_tried_again_at_another(ledger: Ledger) -> None:
    ledger.append("alpha", [of_run("RunCreated", title="x")], actor=ADA)
    with pytest.raises(StaleVersion):
        ledger.append("alpha", [of_run("RunStarted")], actor=ADA, preconditions={"run/r1": 0})
    assert ledger.log.head("alpha").size == 2


def test_a_precondition_names_a_stream(ledger: Ledger) -> None:
    with pytest.raises(Invalid) as caught:
        ledger.append("alpha", [document()], actor=ADA, preconditions={"artifact/x": 0})
    assert caught.value.pointer == "/preconditions"
    assert ledger.log.head("alpha").size == 1


def test_a_project_is_created_once_and_a_repeat_is_told_so(ledger: Ledger) -> None:
    key = RequestKey("k", b"1" * 32)
    first = ledger.create_project("beta", title="Beta", actor=ADA, key=key)
    again = ledger.create_project("beta", title="Beta", actor=ADA, key=key)
    with pytest.raises(Conflict) as caught:
        ledger.create_project("beta", title="Beta", actor=ADA)

    assert again == Receipt(first.entries, replayed=True)
    assert caught.value.code == "project-exists"
    assert ledger.log.head("beta").size == 1


@pytest.mark.parametrize(("slug", "title"), [("Beta", "Beta"), ("a" * 33, "A"), ("beta", "")])
def test_a_project_that_is_refused_is_not_there(ledger: Ledger, slug: str, title: str) -> None:
    with pytest.raises(Invalid):
        ledger.create_project(slug, title=title, actor=ADA)
    with pytest.raises(NotFound):
        ledger.position(slug, None)


def test_a_change_of_a_project_may_expect_a_version(ledger: Ledger) -> None:
    ledger.change_project("alpha", title="New", actor=ADA, expected=1)
    with pytest.raises(StaleVersion) as caught:
        ledger.change_project("alpha", title="Newer", actor=ADA, expected=1)
    assert caught.value.members["current_version"] == 2
    assert ledger.log.head("alpha").size == 2


def test_a_position_to_come_is_refused(ledger: Ledger) -> None:
    assert (ledger.position("alpha", None), ledger.position("alpha", 1)) == (1, 1)
    with pytest.raises(NotFound) as caught:
        ledger.position("alpha", 2)
    assert caught.value.code == "position-in-the-future"


def test_a_link_that_its_citations_resolve_is_taken(ledger: Ledger) -> None:
    cited = [{"index": 1, "url": "https://example.com/"}]
    receipt = ledger.append(
        "alpha", [document(text=b"[x](citation:1)\n", citations=cited)], actor=ADA
    )
    data = parse(receipt.entries[0].line).data
    assert getattr(data, "citations", None) == (Citation(index=1, url="https://example.com/"),)


def test_digest_and_size_are_filled_in_wherever_a_content_belongs(ledger: Ledger) -> None:
    ledger.append("alpha", [of_run("RunCreated", title="x"), of_run("RunStarted")], actor=ADA)
    plan = EventInput(
        stream="run/r1",
        type="InfrastructureRecorded",
        data={"provider": "here", "content": {"media_type": "text/markdown"}},
        content=UPLOAD,
    )
    receipt = ledger.append("alpha", [plan], actor=ADA)
    assert f'"digest":"{digest_of(UPLOAD)}"'.encode() in receipt.entries[0].line

    wrong = {"media_type": "text/markdown", "size_bytes": 1}
    with pytest.raises(Invalid) as caught:
        ledger.append(
            "alpha",
            [EventInput(stream="run/r1", type="InfrastructureRecorded",
                        data={"provider": "here", "content": wrong}, content=UPLOAD)],
            actor=ADA,
        )  # fmt: skip
    assert (caught.value.code, caught.value.pointer) == (
        "digest-mismatch",
        "/events/0/data/content/size_bytes",
    )


def test_content_that_was_uploaded_is_named_then(ledger: Ledger) -> None:
    assert ledger.stage_blob("alpha", UPLOAD) == NAMED["digest"]
    with pytest.raises(Invalid) as caught:
        ledger.append(
            "alpha",
            [EventInput(stream="artifact/PRD/main", type="ArtifactWritten",
                        data={**NAMED, "size_bytes": 5})],
            actor=ADA,
        )  # fmt: skip
    assert caught.value.code == "digest-mismatch"
    assert ledger.log.head("alpha").size == 1

    named = Uploaded(digest_of(UPLOAD), len(UPLOAD))
    ledger.write_artifact("alpha", "PRD", "main", named, actor=ADA)
    ledger.write_artifact("alpha", "PRD", "other", named, actor=ADA)  # it is kept by now

    assert ledger.log.head("alpha").size == 3
    assert ledger.uploads.read("alpha", bytes.fromhex(digest_of(UPLOAD)[7:])) == UPLOAD


def test_an_upload_for_no_project_is_refused(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.stage_blob("beta", UPLOAD)


def test_a_large_content_is_staged_and_recorded(ledger: Ledger) -> None:
    content = b"x" * (STAGED_ABOVE_BYTES + 1)
    media_type = "application/octet-stream"
    ledger.write_artifact("alpha", "DATA", "a", content, media_type=media_type, actor=ADA)
    ledger.write_artifact("alpha", "DATA", "b", content, media_type=media_type, actor=ADA)
    sha256 = bytes.fromhex(digest_of(content)[7:])
    held = ledger.uploads.held("alpha", (sha256,))
    assert (held[sha256].size_bytes, held[sha256].staged) == (len(content), False)


def test_a_key_that_stood_for_another_request_is_refused(ledger: Ledger) -> None:
    first = ledger.append("alpha", [document()], actor=ADA, key=RequestKey("k", b"1" * 32))
    again = ledger.append("alpha", [document()], actor=ADA, key=RequestKey("k", b"1" * 32))
    with pytest.raises(Invalid) as caught:
        ledger.append("alpha", [document()], actor=ADA, key=RequestKey("k", b"2" * 32))

    assert again == Receipt(first.entries, replayed=True)
    assert caught.value.code == "idempotency-key-reused"
    assert ledger.log.head("alpha").size == 2


def test_an_event_id_stands_for_one_event(ledger: Ledger) -> None:
    first = ledger.append("alpha", [document(id=ID)], actor=ADA)
    assert ledger.append("alpha", [document(id=ID)], actor=ADA).entries == first.entries
    for other, actor in (
        (document(id=ID, text=b"# Two\n"), ADA),
        (document("artifact/PRD/other", id=ID), ADA),
        (document(id=ID), "user:bob"),
    ):
        with pytest.raises(Conflict) as caught:
            ledger.append("alpha", [other], actor=actor)
        assert caught.value.code == "event-id-conflict"
    with pytest.raises(Conflict):
        ledger.append("alpha", [document(id=ID), document()], actor=ADA)
    assert ledger.log.head("alpha").size == 2


def test_writing_the_same_again_may_write_nothing(ledger: Ledger) -> None:
    ledger.write_artifact("alpha", "PRD", "main", UPLOAD, actor=ADA, unless_same=True)
    same = ledger.write_artifact("alpha", "PRD", "main", UPLOAD, actor=ADA, unless_same=True)
    assert same.entries == ()
    assert ledger.log.head("alpha").size == 2


@pytest.mark.parametrize(
    ("write", "code", "pointer"),
    [
        (lambda to: to.write_artifact("alpha", "prd", "main", UPLOAD, actor=ADA),
         "validation-failed", "/kind"),
        (lambda to: to.write_artifact("alpha", "PRD", "..", UPLOAD, actor=ADA),
         "validation-failed", "/key"),
        (lambda to: to.write_artifact("alpha", "PRD", "main", UPLOAD, title="x" * 301, actor=ADA),
         "validation-failed", "/title"),
        (lambda to: to.write_artifact("alpha", "PRD", "main", UPLOAD, media_type="x", actor=ADA),
         "validation-failed", "/media_type"),
        (lambda to: to.write_artifact("alpha", "PRD", "main", b"[a](citation:2)", actor=ADA),
         "citation-unresolved", "/content"),
        (lambda to: to.write_artifact("alpha", "PRD", "main", UPLOAD, actor=ADA, expected=1),
         "version-conflict", None),
    ],
)  # fmt: skip
def test_a_write_that_breaks_a_rule_points_to_what_its_caller_gave(
    ledger: Ledger, write: Callable[[Ledger], Receipt], code: str, pointer: str | None
) -> None:
    with pytest.raises(DeedbookError) as caught:
        write(ledger)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)
    assert ledger.log.head("alpha").size == 1


def test_of_many_who_start_a_run_at_once_one_does(ledger: Ledger) -> None:
    ledger.append("alpha", [of_run("RunCreated", title="x")], actor=ADA)

    def start(number: int) -> str:
        try:
            ledger.append("alpha", [of_run("RunStarted")], actor=f"agent:{number}")
        except Conflict as conflict:
            return conflict.code
        return "started"

    with ThreadPoolExecutor(16) as threads:
        outcomes = sorted(threads.map(start, range(16)))

    assert outcomes == ["invalid-transition"] * 15 + ["started"]
    assert ledger.log.head("alpha").size == 3


def test_sixteen_callers_over_four_projects_are_each_answered_truly(ledger: Ledger) -> None:
    projects = ("alpha", "beta", "delta", "gamma")
    for project in projects[1:]:
        ledger.create_project(project, title=project, actor=ADA)

    def work(number: int) -> list[tuple[str, Entry]]:
        """Shared keys and runs, preconditions and repeats; every answer is checked and kept."""
        chosen = random.Random(number)
        made: list[tuple[Callable[[], Receipt], Receipt]] = []
        answered: list[tuple[str, Entry]] = []
        for index in range(25):
            if made and chosen.random() < 0.25:
                repeat, first = chosen.choice(made)
                assert repeat() == Receipt(first.entries, replayed=True)
                continue
            project = chosen.choice(projects)
            append = _one_of_many(ledger, project, number, index, chosen)
            try:
                receipt = append()
            except (StaleVersion, Conflict):
                continue
            assert not receipt.replayed
            made.append((append, receipt))
            answered += [(project, entry) for entry in receipt.entries]
        return answered

    with ThreadPoolExecutor(16) as threads:
        answered = [one for found in threads.map(work, range(16)) for one in found]

    assert len(set(answered)) == len(answered)
    for project in projects:
        size = ledger.log.head(project).size
        entries = list(ledger.log.read(project, 0, size))
        check_rows(ledger.log.head(project), entries)
        assert {entry for name, entry in answered if name == project} == set(entries[1:])


def _one_of_many(
    ledger: Ledger, project: str, number: int, index: int, chosen: random.Random
) -> Callable[[], Receipt]:
    """An append that can be repeated: by its key, or by the ids of its events."""
    name = f"{number:04x}{index:04x}"
    artifact = f"artifact/PRD/shared-{chosen.randrange(4)}"
    if chosen.random() < 0.3:
        run = f"run/{name}"
        events = [
            EventInput(stream=run, type="RunCreated", data={"title": "x"}, id=_id(name, 1)),
            EventInput(stream=run, type="RunStarted", data={}, id=_id(name, 2)),
        ]
        return lambda: ledger.append(project, events, actor=ADA)
    expected = {artifact: chosen.randrange(20)} if chosen.random() < 0.4 else {}
    events = [document(artifact, text=f"{number}.{index % 5}".encode())]
    key = RequestKey(name, bytes(32))
    return lambda: ledger.append(project, events, actor=ADA, preconditions=expected, key=key)


def _id(name: str, number: int) -> str:
    return f"{name}-0000-7000-8000-{number:012x}"
