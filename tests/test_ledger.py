"""The use cases themselves: what they refuse, where they point, and what a repeat is told."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from app.bootstrap import open_ledger
from app.ledger import EventInput, Ledger, RequestKey
from app.settings import Settings
from domain.digest import digest_of
from domain.errors import Conflict, DeedbookError, Invalid, StaleVersion, TooLarge
from domain.events import parse
from domain.log import MAX_BATCH_EVENTS, MAX_BLOB_BYTES

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


def document(**more: object) -> EventInput:
    return EventInput(
        stream="artifact/PRD/main",
        type="ArtifactWritten",
        data={"media_type": "text/markdown", **more},
        content=b"# One\n",
    )


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
        ([document(title="x" * 301)], Invalid, "validation-failed", "/events/0/title"),
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
        ([of_run("RunStarted")], Conflict, "invalid-transition", None),
        ([of_run("RunCreated", title="x"), of_run("RunFinished", outcome="succeeded")],
         Conflict, "invalid-transition", None),
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
    monkeypatch.setattr("app.ledger.MAX_BLOB_BYTES", 5)
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
