"""A project is opened from an export: the same log, the same bytes, or nothing at all."""

import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from app.bundle_import import Imported, import_bundle
from app.ledger import Ledger
from app.offline.verify import CountedArchive
from domain import merkle
from domain.digest import format_digest
from domain.errors import Conflict, DeedbookError, Invalid, Malformed, NotFound, TooLarge
from domain.events import ArtifactWritten, encode_line, read_line
from projections.verify import verify
from projections.verify_report import Report
from tests.export_samples import MemoryLog, files_of, mended, sample_log, zip_of
from tests.ledger_samples import (
    another_database,
    make_project,
    open_ledger,
    write_export,
)
from tests.log_samples import tables_of


def ignore(done: int, total: int | None) -> None:
    assert total is not None
    assert 0 < done <= total


class Two:
    """A ledger with a project, its export, and a second, empty ledger."""

    def __init__(self, first: Ledger, second: Ledger, urls: Sequence[str], file: Path) -> None:
        self.first = first
        self.second = second
        self.urls = urls
        self.file = file
        self.position = make_project(first, urls[0])
        self.sha256 = write_export(first, file, self.position)

    def opened(self, file: Path | None = None) -> Imported:
        """Import into the second ledger."""
        return import_bundle(self.second, file or self.file, progress=ignore)

    def refused(self, kind: type[DeedbookError], code: str, file: Path | None = None) -> str:
        """Import, see it refused and nothing recorded; answers the sentence."""
        with pytest.raises(kind) as caught:
            self.opened(file)
        assert caught.value.code == code
        assert not any(tables_of(self.urls[1], "alpha").values())
        return caught.value.detail


@pytest.fixture
def two(
    database_url: str, postgres_server: str, template_database: str, tmp_path: Path
) -> Iterator[Two]:
    with (
        another_database(postgres_server, template_database) as other,
        open_ledger(database_url) as first,
        open_ledger(other, host="elsewhere.example", first_id=1_000) as second,
    ):
        yield Two(first, second, (database_url, other), tmp_path / "alpha.zip")


def test_an_imported_project_has_the_same_root_the_same_rows_and_the_same_export(
    two: Two, tmp_path: Path
) -> None:
    imported = two.opened()
    head = two.first.log.head("alpha")
    assert two.second.log.head("alpha") == head
    root = format_digest(merkle.root_of(head.frontier))
    before, after = (tables_of(url, "alpha") for url in two.urls)
    held, copied = before.pop("blob"), after.pop("blob")
    assert imported == Imported("alpha", two.position, root, two.position, len(copied))
    assert set(copied) < set(held)
    assert after == before
    assert write_export(two.second, tmp_path / "again.zip", two.position) == two.sha256
    assert (tmp_path / "again.zip").read_bytes() == two.file.read_bytes()


def test_an_imported_project_goes_on(two: Two, tmp_path: Path) -> None:
    two.opened()
    receipt = two.second.write_artifact("alpha", "PRD", "main", b"# Third\n", actor="user:ada")
    assert receipt.entries[0].version == 3
    assert receipt.entries[0].position == two.position + 1
    assert write_export(two.second, tmp_path / "again.zip", two.position) == two.sha256


def test_an_earlier_position_says_which_content_to_upload(two: Two) -> None:
    two.opened()
    with pytest.raises(NotFound) as caught:
        two.second.exports.layout("alpha", 2)
    assert caught.value.code == "content-missing"
    assert "Upload the same bytes again" in caught.value.detail
    two.second.stage_blob("alpha", b"# Alpha\n\nFirst.\n")
    record = two.second.exports.layout("alpha", 2)
    assert b"".join(two.second.exports.stream(record)) == b"".join(
        two.first.exports.stream(two.first.exports.layout("alpha", 2))
    )


def test_an_existing_project_is_left_alone(two: Two) -> None:
    two.second.create_project("alpha", title="Mine", actor="user:bob")
    before = tables_of(two.urls[1], "alpha")
    with pytest.raises(Conflict) as caught:
        two.opened()
    assert caught.value.code == "project-exists"
    assert tables_of(two.urls[1], "alpha") == before


def test_the_export_of_a_run_opens_no_project(two: Two, tmp_path: Path) -> None:
    write_export(two.first, tmp_path / "run.zip", two.position, "run:r1")
    detail = two.refused(Invalid, "bundle-not-whole", tmp_path / "run.zip")
    assert "run:r1" in detail
    assert "the whole project" in detail


def test_an_export_without_events_opens_no_project(two: Two, tmp_path: Path) -> None:
    (tmp_path / "empty.zip").write_bytes(zip_of(files_of([], {})))
    two.refused(Invalid, "bundle-not-whole", tmp_path / "empty.zip")


def test_a_damaged_cut_or_foreign_file_is_named_and_nothing_is_recorded(
    two: Two, tmp_path: Path
) -> None:
    good = two.file.read_bytes()
    file = tmp_path / "bad.zip"
    body = good.index(b"# Alpha")
    for raw, says in (
        (good[:-1], "step 2"),
        (good[: len(good) // 2], "step 2"),
        (b"", "step 2"),
        (good + b"x", "step 2"),
        (b"PK\x03\x04 hello", "step 2"),
        (good[:body] + b"%" + good[body + 1 :], "step 1, shape"),
    ):
        file.write_bytes(raw)
        detail = two.refused(Invalid, "bundle-not-verified", file)
        assert says in detail
        assert detail.endswith("Nothing was imported.")


def test_what_is_no_file_cannot_be_imported(two: Two, tmp_path: Path) -> None:
    two.refused(Malformed, "archive-unreadable", tmp_path)
    (tmp_path / "link.zip").symlink_to(two.file)
    two.refused(Malformed, "archive-unreadable", tmp_path / "link.zip")


def test_a_file_above_the_limit_is_not_read(two: Two) -> None:
    with pytest.raises(TooLarge):
        import_bundle(two.second, two.file, progress=ignore, max_bytes=10_000)


def test_a_forged_content_with_mended_lists_is_refused(two: Two, tmp_path: Path) -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs)
    path = "alpha-16/data/artifacts/PRD/main.v2.md"
    (tmp_path / "forged.zip").write_bytes(zip_of(mended({**files, path: b"# Forged\n"})))
    assert "step 6, blobs" in two.refused(Invalid, "bundle-not-verified", tmp_path / "forged.zip")


def test_events_that_no_ledger_can_have_recorded_are_refused(two: Two, tmp_path: Path) -> None:
    log = sample_log()
    last = read_line(log.lines[-1])
    log.lines[-1] = encode_line(msgspec.structs.replace(last, id=read_line(log.lines[0]).id))
    (tmp_path / "twice.zip").write_bytes(zip_of(files_of(log.lines, log.blobs)))
    detail = two.refused(Invalid, "bundle-not-verified", tmp_path / "twice.zip")
    assert "an id occurs twice perhaps" in detail


def test_a_content_above_the_limit_is_refused(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.bundle_import.MAX_BLOB_BYTES", 1_000_000)
    assert "NOTE/large" in two.refused(TooLarge, "body-too-large")


@pytest.mark.parametrize(
    "inside", ["data/manifest.json", "data/events.jsonl", "data/artifacts/PRD/main.v2.md"]
)
def test_a_file_that_changes_between_verifying_and_importing_leaves_nothing(
    two: Two, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    def verify_then_change(archive: CountedArchive) -> Report:
        report = verify(archive)
        entry = next(one for one in archive.entries if one.path.endswith(inside))
        with two.file.open("r+b") as opened:
            opened.seek(entry.begin + entry.size_bytes - 1)
            opened.write(b"?")
        return report

    monkeypatch.setattr("app.bundle_import.verify", verify_then_change)
    assert f"{inside} was changed" in two.refused(Invalid, "bundle-not-verified")


def test_an_events_file_that_becomes_another_log_leaves_nothing(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:

    def verify_then_swap(archive: CountedArchive) -> Report:
        report = verify(archive)
        entry = next(one for one in archive.entries if one.path.endswith("data/events.jsonl"))
        raw = two.file.read_bytes()
        first, second, *rest = raw[entry.begin : entry.begin + entry.size_bytes].splitlines(True)
        with two.file.open("r+b") as opened:
            opened.seek(entry.begin)
            opened.write(b"".join((second, first, *rest)))
        return report

    monkeypatch.setattr("app.bundle_import.verify", verify_then_swap)
    two.refused(Invalid, "bundle-not-verified")


def test_memory_holds_one_content_at_a_time(two: Two, tmp_path: Path) -> None:
    log = MemoryLog()
    for number in range(8):
        content = bytes([number]) * 4_000_000
        log.add(f"artifact/NOTE/n{number}", ArtifactWritten(**log.content(content, "image/png")))
    file = tmp_path / "large.zip"
    file.write_bytes(zip_of(files_of(log.lines, log.blobs)))
    log.blobs.clear()
    tracemalloc.start()
    try:
        two.opened(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file.stat().st_size > 32_000_000
    assert peak < 18_000_000
