"""Erasing: what goes, what stays, who else is told, and that nothing comes back."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from app.bundle_import import import_bundle
from app.door import EventInput
from app.erasures import Erased
from app.offline.signatures import SIGNATURES
from app.offline.verify import verify_file
from domain import canonical, merkle
from domain.citation import Citation
from domain.digest import digest_of, parse_digest
from domain.errors import Conflict, DeedbookError, Gone, Invalid, NotFound, TooLarge
from domain.events import ArtifactErased, Content, RecordErased, read_line
from projections.verify_evidence import Evidence
from projections.verify_report import Report
from tests.erasure_samples import MARK, NOTE, PDF, SECRET, Held, assert_well, places_with, silent
from tests.ledger_samples import (
    another_database,
    erase_for_good,
    open_ledger,
    write_export,
)


@pytest.fixture
def held(database_url: str) -> Iterator[Held]:
    with open_ledger(database_url) as ledger:
        yield Held(ledger, database_url)


def test_an_erased_version_is_gone_and_the_log_says_who_and_why(held: Held) -> None:
    held.write()
    shown = held.preview(NOTE, 1)
    assert [(one.what, one.stream, one.version, one.size_bytes) for one in shown.contents] == [
        ("artifact", NOTE, 1, len(SECRET))
    ]
    assert (shown.also, shown.already, shown.exports) == ((), (), ())
    assert (shown.position, shown.first_position, shown.size_bytes) == (2, 3, len(SECRET))
    assert held.size == 2
    assert held.ledger.blobs.read("alpha", parse_digest(digest_of(SECRET))) == SECRET

    erased = held.erase(NOTE, 1)

    assert not erased.replayed
    assert (erased.first_position, erased.objects_left) == (3, 0)
    [one] = erased.erasures
    assert (one.position, one.actor, one.stream, one.version, one.reason, one.digest) == (
        3, "user:ada", NOTE, 1, "asked", digest_of(SECRET),
    )  # fmt: skip
    event = held.event(3)
    assert (event.stream, event.version) == ("erasures", 1)
    assert isinstance(event.data, ArtifactErased)
    version = held.ledger.views.version("alpha", "NOTE", "secret", 1, 3)
    assert version.erased_position == 3
    assert held.ledger.views.version("alpha", "NOTE", "secret", 1, 2).erased_position is None
    sha256 = parse_digest(digest_of(SECRET))
    for read in (
        lambda: held.ledger.blobs.read("alpha", sha256),
        lambda: held.ledger.blobs.size("alpha", sha256),
        lambda: list(held.ledger.blobs.pieces("alpha", sha256, 0, 3)),
    ):
        assert held.code(read) == "content-erased"
    held.is_well()


def test_no_table_holds_a_byte_of_it_afterwards(held: Held) -> None:
    """Not the blobs, the uploads, the layouts of exports with their derived files, or any view."""
    digest = held.ledger.stage_blob("alpha", PDF)
    original = Content(digest=digest, size_bytes=len(PDF), media_type="application/pdf")
    cited = Citation(index=1, url="https://example.com/", title="T")
    held.write(SECRET + b"[1](citation:1)", citations=(cited,), original=original)
    position = held.run()
    for scope in ("project", "project+originals", "run:r1"):
        for _ in held.ledger.exports.stream(held.ledger.exports.layout("alpha", position, scope)):
            pass
    held.ledger.uploads._insert("alpha", hashlib.sha256(PDF).digest(), PDF, None)
    held.ledger.checkpoints.latest("alpha")
    assert places_with(held.url, MARK) == ["blob.content", "upload.content"]

    shown = held.preview()
    assert shown.exports == (
        f"alpha-{position}.zip", f"alpha-{position}-originals.zip",
    )  # fmt: skip
    held.erase()
    held.erase("run/r1")

    assert places_with(held.url, MARK) == []
    held.is_well()


def test_the_original_of_a_version_goes_with_it(held: Held) -> None:
    digest = held.ledger.stage_blob("alpha", PDF)
    original = Content(digest=digest, size_bytes=len(PDF), media_type="application/pdf")
    held.write(original=original)
    held.write(b"# Harmless\n")

    erased = held.erase(NOTE, 1)

    assert {(one.version, one.digest) for one in erased.erasures} == {
        (1, digest),
        (1, digest_of(SECRET)),
    }
    assert [one.position for one in erased.erasures] == [4, 5]
    assert held.code(lambda: held.ledger.blobs.read("alpha", parse_digest(digest))) == (
        "content-erased"
    )
    assert held.ledger.blobs.read("alpha", parse_digest(digest_of(b"# Harmless\n")))
    held.is_well()


def test_a_version_that_is_its_own_original_is_told_once(held: Held) -> None:
    original = Content(digest=digest_of(SECRET), size_bytes=len(SECRET), media_type="text/markdown")
    held.write(original=original)
    assert [one.what for one in held.preview().contents] == ["artifact"]
    assert len(held.erase().erasures) == 1
    held.is_well()


def test_whoever_else_names_the_bytes_is_shown_first_and_told_too(held: Held) -> None:
    held.write()
    held.write(b"# Other\n")
    held.write()  # version 3 of the same
    held.write(key="copy")
    size = held.run()
    held.ledger.create_project("beta", title="Beta", actor="user:ada")
    held.ledger.write_artifact("beta", "NOTE", "secret", SECRET, actor="user:ada")

    shown = held.preview(NOTE, 1)
    assert [(one.stream, one.version) for one in shown.contents] == [(NOTE, 1)]
    assert [(one.what, one.stream, one.version) for one in shown.also] == [
        ("artifact", NOTE, 3),
        ("artifact", "artifact/NOTE/copy", 1),
        ("record", "run/r1", 3),
    ]
    erased = held.erase(NOTE, 1)

    assert [(one.position, one.stream, one.version) for one in erased.erasures] == [
        (size + 1, NOTE, 1),
        (size + 2, NOTE, 3),
        (size + 3, "artifact/NOTE/copy", 1),
        (size + 4, "run/r1", 3),
    ]
    # From the first of them on: what is named twice is gone at once.
    assert erased.first_position == shown.first_position == size + 1
    history = held.ledger.views.versions("alpha", "NOTE", "secret", held.size)
    assert [one.erased_position for one in history] == [size + 1, None, size + 1]
    assert held.ledger.views.artifact("alpha", "NOTE", "copy", held.size).erased_position
    # Another project is another matter.
    assert held.ledger.blobs.read("beta", parse_digest(digest_of(SECRET))) == SECRET
    held.is_well()


def test_a_whole_artifact_goes_at_once_and_can_be_written_again(held: Held) -> None:
    for number in range(3):
        held.write(SECRET + bytes([65 + number]))
    erased = held.erase()
    assert [(one.version, one.position) for one in erased.erasures] == [(1, 5), (2, 6), (3, 7)]
    assert erased.first_position == 7
    assert held.write(b"# Clean\n") == 8
    again = held.preview()
    assert [one.version for one in again.contents] == [4]
    assert [(one.version, one.erased_position) for one in again.already] == [(1, 5), (2, 6), (3, 7)]
    held.is_well()


def test_a_runs_transcript_is_erased_and_its_record_stays(held: Held) -> None:
    size = held.run()
    assert [(one.what, one.version) for one in held.preview("run/r1").contents] == [("record", 3)]
    [one] = held.erase("run/r1", 3).erasures
    assert (one.stream, one.version, one.position) == ("run/r1", 3, size + 1)
    assert isinstance(held.event(size + 1).data, RecordErased)
    with psycopg.connect(held.url) as connection:
        rows = connection.execute("SELECT position, artifact, artifact_version FROM erasure")
        assert rows.fetchall() == [(size + 1, "run/r1", 3)]
    record = held.ledger.exports.layout("alpha", size + 1, "run:r1")
    zipped = b"".join(held.ledger.exports.stream(record))
    assert MARK not in zipped
    assert f'"digest":"{digest_of(SECRET)}","erased_at":{size + 1},'.encode() in zipped
    assert held.code(lambda: held.ledger.exports.layout("alpha", size, "run:r1")) == (
        "content-erased"
    )
    held.is_well()


@pytest.mark.parametrize("scope", ["project", "run:r1"])
def test_exports_before_and_after_an_erasure_are_what_the_page_promises(
    held: Held, tmp_path: Path, scope: str
) -> None:
    """T15: listed as erased, no file, verified; earlier positions refused; earlier copies still good."""
    held.write()
    before = held.run()
    seals = held.ledger.seals
    old = tmp_path / "old.zip"
    write_export(held.ledger, old, before, scope)
    old_seal = seals.seal("alpha", before, scope, None).sidecar
    shown = held.preview("run/r1")
    erased = held.erase("run/r1")
    after = erased.first_position
    assert after == shown.first_position == before + 1

    with pytest.raises(Gone) as caught:
        held.ledger.exports.layout("alpha", before, scope)
    assert caught.value.code == "content-erased"
    assert caught.value.members == {"first_position": after}
    # What was sealed stays sealed, and is not sealed for anybody anew.
    assert seals.find("alpha", before, scope, None).sidecar == old_seal
    with pytest.raises(Gone):
        seals.seal("alpha", before, scope, None)

    def verified(file: Path, sidecar: bytes, since: Path | None = None) -> Report:
        brought = Evidence(signatures=SIGNATURES, trust=seals.trust(), sidecar=sidecar)
        return verify_file(
            file, progress=silent, evidence=brought, since=since, since_sidecar=old_seal
        )

    for position in range(after, held.size + 1):
        new = tmp_path / f"{position}.zip"
        write_export(held.ledger, new, position, scope)
        # The older export's events are the first of this one's: no leaf has changed.
        report = verified(new, seals.seal("alpha", position, scope, None).sidecar, since=old)
        assert report.state == "VERIFIED-UNANCHORED"
        assert report.summary.erased == (2 if scope == "project" else 1)
        assert MARK not in new.read_bytes()
    assert verified(old, old_seal).state == "VERIFIED-UNANCHORED"
    assert MARK in old.read_bytes()


def test_superseded_versions_leave_the_positions_after_them_exportable(held: Held) -> None:
    held.write()  # 2
    held.write(b"# Clean\n")  # 3
    held.erase(NOTE, 1)  # 4
    assert held.code(lambda: held.ledger.exports.layout("alpha", 2)) == "content-erased"
    for position in (1, 3, 4):
        assert held.ledger.exports.layout("alpha", position).position == position


def test_an_export_with_erased_contents_opens_a_project_in_another_ledger(
    held: Held, tmp_path: Path, postgres_server: str, template_database: str
) -> None:
    held.write()
    held.run()
    held.erase()
    file = tmp_path / "alpha.zip"
    write_export(held.ledger, file, held.size)
    with (
        another_database(postgres_server, template_database) as url,
        open_ledger(url, host="other.example") as other,
    ):
        import_bundle(other, file, progress=silent)
        version = other.views.artifact("alpha", "NOTE", "secret", held.size)
        assert version.erased_position is not None
        sha256 = parse_digest(digest_of(SECRET))
        assert held.code(lambda: other.blobs.read("alpha", sha256)) == "content-erased"
        assert held.code(lambda: other.stage_blob("alpha", SECRET)) == "content-erased"
        # It answers there as here: nothing is left to erase.
        assert erase_for_good(other, "alpha", NOTE).replayed
        assert_well(url)


def test_an_erasure_that_is_repeated_answers_the_first_and_records_nothing(held: Held) -> None:
    held.write()
    shown = held.preview()
    erasures = held.ledger.erasures
    assert shown.confirm is not None

    def erase(confirm: str) -> Erased:
        return erasures.erase(
            "alpha", NOTE, None, reason="leaked", confirm=confirm, actor="user:bob"
        )

    first = erase(shown.confirm)
    size = held.size
    for confirm in (shown.confirm, "", "anything"):
        again = erase(confirm)
        assert again == msgspec.structs.replace(first, replayed=True)
    assert held.size == size
    assert held.preview().confirm is None
    assert held.preview().contents == ()
    assert held.preview().first_position == first.first_position


def test_what_changed_since_the_preview_is_not_erased(held: Held) -> None:
    held.write()
    shown = held.preview()
    held.write(key="elsewhere")
    size = held.size

    def erase() -> Erased:
        return held.ledger.erasures.erase(
            "alpha", NOTE, None, reason="leaked", confirm=shown.confirm or "", actor="user:ada"
        )

    with pytest.raises(Conflict) as caught:
        erase()
    assert caught.value.code == "erasure-changed"
    assert held.size == size
    assert held.ledger.blobs.read("alpha", parse_digest(digest_of(SECRET))) == SECRET
    # An event that has nothing to do with it does not matter.
    fresh = held.preview()
    held.write(b"# Unrelated\n", key="unrelated")
    assert held.ledger.erasures.erase(
        "alpha", NOTE, None, reason="leaked", confirm=fresh.confirm or "", actor="user:ada"
    ).erasures


@pytest.mark.parametrize(
    ("stream", "version", "error", "code"),
    [
        ("artifact/NOTE/absent", None, NotFound, "artifact-not-found"),
        (NOTE, 7, NotFound, "version-not-found"),
        ("run/absent", None, NotFound, "run-not-found"),
        ("run/r1", 1, Invalid, "nothing-to-erase"),
        ("run/r1", 99, NotFound, "version-not-found"),
        ("artifact/NOTE/empty", None, Invalid, "nothing-to-erase"),
    ],
)
def test_what_is_not_there_is_a_clear_problem(
    held: Held, stream: str, version: int | None, error: type[DeedbookError], code: str
) -> None:
    held.write()
    held.write(b"", key="empty", media_type="text/plain")
    held.run(b"harmless\n")
    size = held.size
    with pytest.raises(error) as caught:
        held.erase(stream, version)
    assert caught.value.code == code
    assert held.size == size
    assert held.code(lambda: held.ledger.erasures.preview("absent", NOTE, None)) == (
        "project-not-found"
    )


def test_the_empty_content_is_never_erased_since_nothing_could_be_empty_then(held: Held) -> None:
    held.write(b"", media_type="text/plain")
    held.write()
    [one] = held.erase().erasures
    assert one.version == 2
    held.write(b"", media_type="text/plain")
    held.is_well()


@pytest.mark.parametrize(
    ("reason", "actor", "code"),
    [
        ("", "user:ada", "validation-failed"),
        ("  \n", "user:ada", "validation-failed"),
        ("x" * 1_001, "user:ada", "validation-failed"),
        ("nul \0", "user:ada", "nul-character"),
        ("the key AKIA" + "QWERTYUIOPASDFGH", "user:ada", "secret-detected"),
        ("leaked", "", "validation-failed"),
    ],
)
def test_a_reason_is_for_ever_and_held_to_rules(
    held: Held, reason: str, actor: str, code: str
) -> None:
    held.write()
    confirm = held.preview().confirm or ""
    found = held.code(
        lambda: held.ledger.erasures.erase(
            "alpha", NOTE, None, reason=reason, confirm=confirm, actor=actor
        )
    )
    assert found == code
    assert held.size == 2
    assert held.ledger.blobs.read("alpha", parse_digest(digest_of(SECRET))) == SECRET


def test_more_events_than_can_be_told_at_once_are_refused_whole(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.erasures.MAX_ERASURES", 2)
    for key in "abc":
        held.write(key=key)
    with pytest.raises(TooLarge) as caught:
        held.preview("artifact/NOTE/a")
    assert caught.value.code == "batch-too-large"
    assert held.size == 4


def test_erased_bytes_never_come_back_by_any_door(held: Held) -> None:
    held.write()
    held.erase()
    size = held.size
    sha256 = hashlib.sha256(SECRET).digest()
    named = {"digest": digest_of(SECRET), "size_bytes": len(SECRET), "media_type": "text/plain"}
    for come_back in (
        lambda: held.write(),  # noqa: PLW0108 - one of several calls
        lambda: held.write(key="other"),
        lambda: held.ledger.stage_blob("alpha", SECRET),
        lambda: held.ledger.uploads.stage("alpha", SECRET),
        lambda: held.ledger.append(
            "alpha",
            [EventInput(stream="artifact/NOTE/x", type="ArtifactWritten", data=named)],
            actor="user:ada",
        ),
        lambda: held.run(run="r2"),
    ):
        assert held.code(come_back) == "content-erased"
    assert held.size == size + 2  # of the run, whose transcript was refused
    # An upload that was on its way goes when it arrives, or with the next one.
    held.ledger.uploads._insert("alpha", sha256, SECRET, None)
    assert places_with(held.url, MARK) == ["upload.content"]
    held.ledger.stage_blob("alpha", b"another")
    assert places_with(held.url, MARK) == []
    # And one that is there when somebody erases once more goes with that.
    held.ledger.uploads._insert("alpha", sha256, SECRET, None)
    assert held.erase().replayed
    assert places_with(held.url, MARK) == []
    held.is_well()


def test_a_content_is_erased_that_was_missing_already(held: Held) -> None:
    """An upload must not restore it afterwards."""
    held.write()
    with psycopg.connect(held.url) as connection:
        connection.execute("DELETE FROM blob")
    held.ledger.stage_blob("alpha", SECRET)
    held.erase()
    assert places_with(held.url, MARK) == []
    assert held.code(lambda: held.ledger.exports.layout("alpha", 2)) == "content-erased"
    held.is_well()


LONG = bytes(range(256)) * 4_096 * 4 + MARK  # more than the slices in which it is sent


def test_an_export_that_is_being_sent_is_cut_short_and_never_wrong(held: Held) -> None:
    held.write(LONG, media_type="application/octet-stream")
    record = held.ledger.exports.layout("alpha", held.size)
    whole = b"".join(held.ledger.exports.stream(record))
    pieces = held.ledger.exports.stream(held.ledger.exports.record(record))
    sent = next(pieces) + next(pieces)
    held.erase()
    with pytest.raises(Gone) as caught:
        for piece in pieces:
            sent += piece
    assert caught.value.code == "content-erased"
    assert whole.startswith(sent)
    assert len(sent) < len(whole) - len(MARK)
    # A small content, in a group with others.
    held.write(key="small")
    record = held.ledger.exports.layout("alpha", held.size)
    held.erase("artifact/NOTE/small")
    with pytest.raises(Gone):
        b"".join(held.ledger.exports.stream(record))


def test_a_content_that_is_being_read_is_cut_short_and_never_wrong(held: Held) -> None:
    held.write(LONG, media_type="application/octet-stream")
    pieces = held.ledger.blobs.pieces("alpha", parse_digest(digest_of(LONG)), 0, len(LONG))
    sent = next(pieces)
    held.erase()
    with pytest.raises(Gone) as caught:
        for piece in pieces:
            sent += piece
    assert caught.value.code == "content-erased"
    assert LONG.startswith(sent)
    assert len(sent) < len(LONG)


def test_the_published_erasure_is_what_is_recorded() -> None:
    """The golden line, leaf and root; the tree before it is that of the published events."""
    line = (
        b'{"actor":"user:ada","data":{"artifact":"artifact/PRD/main","artifact_version":1,"digest":'
        b'"sha256:b2ff6d2fd87d90514ef85ae89f892c12538ae92fc70d655b2991eb69107ceb83","reason":'
        b'"subject request"},"id":"019a9f60-7c00-7000-8a00-000000000004","position":4,"stream":'
        b'"erasures","time":"2026-11-21T09:00:00.000000Z","type":"ArtifactErased","version":1}'
    )
    from domain.erasure import erasure_of
    from tests.export_samples import PUBLISHED_LINES

    data = erasure_of("artifact/PRD/main", 1, digest_of(b"# PRD 1\n"), "subject request")
    assert canonical.write(data) == bytes(read_line(line).data)
    assert merkle.leaf_hash(line).hex() == (
        "985b561d89897ec3c59ff5f4e6eb48a07f7bf86bcd317c73322acd8bdff12045"
    )
    leaves = [merkle.leaf_hash(one) for one in (*PUBLISHED_LINES, line)]
    assert merkle.tree_root(leaves).hex() == (
        "9b623c20106bfaaa942042f1c9679d7389415d7328a512b71768c6a2d1f54ba8"
    )
