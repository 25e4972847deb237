"""Exports out of Postgres: any range of the same bytes, kept layouts, and what is missing."""

import hashlib
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pytest

from adapters.commit_signal import CommitSignal
from adapters.postgres_connect import open_pool
from adapters.postgres_exports import PostgresExports
from adapters.postgres_log import PostgresLog
from adapters.postgres_uploads import PostgresUploads
from app.exports import Exports, first_outside
from domain import canonical
from domain.digest import digest_of
from domain.errors import Damaged, Gone, Invalid, NotFound
from domain.events import ArtifactErased, ArtifactWritten, EventData
from domain.log import Append, Blob, Proposed
from domain.merkle import leaf_hash
from projections.bundle import Scope
from tests.export_samples import ORIGIN, MemoryLog, files_of, sample_log, zip_of

GOLDEN = Path(__file__).parent / "golden" / "sample-16.json"


class Opened:
    """A ledger's log and exports over a fresh database."""

    def __init__(self, url: str, closing: ExitStack) -> None:
        self.url = url
        self.pool = closing.enter_context(open_pool(url, max_size=4))
        signal = closing.enter_context(CommitSignal(url))
        self.log = closing.enter_context(
            PostgresLog(
                url, self.pool, signal=signal, now=lambda: datetime(2026, 12, 1, tzinfo=UTC)
            )
        )
        self.store = PostgresExports(self.pool)
        self.exports = Exports(self.log, self.store)
        self.uploads = PostgresUploads(self.pool)

    def load(self, log: MemoryLog, project: str = "alpha", origin: str = ORIGIN) -> None:
        """Record what a memory log holds."""
        blobs = [
            Blob(sha256, len(content), zlib.crc32(content), content)
            for sha256, content in log.blobs.items()
        ]
        self.log.import_log(project, origin, log.lines, blobs)

    def append(self, stream: str, data: EventData, content: bytes | None = None) -> int:
        """Record one more event; answers its position."""
        blobs: tuple[Blob, ...] = ()
        if content is not None:
            sha256 = hashlib.sha256(content).digest()
            blobs = (Blob(sha256, len(content), zlib.crc32(content), content),)
        raw = canonical.write(data)
        event_id = (
            "019a9f60-0000-7000-8a00-" + hashlib.sha256(raw + stream.encode()).hexdigest()[:12]
        )
        proposed = Proposed(stream, type(data).__name__, raw, event_id, "user:ada")
        receipt = self.log.append(Append(project="alpha", events=(proposed,), blobs=blobs))
        return receipt.entries[0].position

    def write(self, key: str, content: bytes) -> int:
        """One more version of a document."""
        data = ArtifactWritten(
            digest=digest_of(content), size_bytes=len(content), media_type="text/markdown"
        )
        return self.append(f"artifact/NOTE/{key}", data, content)

    def erase(self, key: str, version: int, content: bytes) -> int:
        """What erasing does: the event, and the content's row is gone."""
        data = ArtifactErased(
            artifact=f"artifact/NOTE/{key}",
            artifact_version=version,
            digest=digest_of(content),
            reason="asked",
        )
        position = self.append("erasures", data)
        self.lose(content)
        return position

    def lose(self, content: bytes) -> None:
        """A content's row disappears."""
        self.execute(
            "DELETE FROM blob WHERE project_id = 'alpha' AND sha256 = %s",
            (hashlib.sha256(content).digest(),),
        )

    def execute(self, query: str, values: tuple[object, ...] = ()) -> int:
        """Run a statement as the owner."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), values).rowcount

    def bytes_of(self, position: int, scope: str = "project") -> bytes:
        """A whole export."""
        return b"".join(self.exports.stream(self.exports.layout("alpha", position, scope)))


@pytest.fixture
def opened(database_url: str) -> Iterator[Opened]:
    with ExitStack() as closing:
        yield Opened(database_url, closing)


@pytest.fixture
def sample(opened: Opened) -> Opened:
    opened.load(sample_log())
    return opened


def test_the_sample_comes_out_of_postgres_as_the_golden_file_says(sample: Opened) -> None:
    record = sample.exports.layout("alpha", 16)
    whole = b"".join(sample.exports.stream(record))
    golden = msgspec.json.decode(GOLDEN.read_bytes())
    assert digest_of(whole) == golden["(zip)"]["digest"]
    assert len(whole) == record.size_bytes == golden["(zip)"]["size_bytes"]
    assert record.file_name == "alpha-16.zip"
    assert record.entries == len(golden) - 1


def test_a_runs_export_is_the_same_from_memory_and_from_postgres(sample: Opened) -> None:
    log = sample_log()
    record = sample.exports.layout("alpha", 16, "run:r1")
    assert record.file_name == "alpha-r1-16.zip"
    assert b"".join(sample.exports.stream(record)) == zip_of(
        files_of(log.lines, log.blobs, Scope("r1"))
    )


def test_the_digest_is_known_after_the_first_whole_pass_and_the_tag_stays(sample: Opened) -> None:
    first = sample.exports.layout("alpha", 16)
    assert first.zip_sha256 is None
    whole = b"".join(sample.exports.stream(first))
    second = sample.exports.layout("alpha", 16)
    assert second.zip_sha256 == hashlib.sha256(whole).digest()
    assert second.etag == first.etag
    assert b"".join(sample.exports.stream(second)) == whole


def test_the_kept_manifest_is_the_one_in_the_export(sample: Opened) -> None:
    record = sample.exports.layout("alpha", 16)
    manifest = sample.exports.manifest(record)
    assert hashlib.sha256(manifest).digest() == record.manifest_sha256
    log = sample_log()
    assert manifest == files_of(log.lines, log.blobs)["alpha-16/data/manifest.json"]


def test_every_range_of_a_small_export_is_that_slice(opened: Opened) -> None:
    log = MemoryLog()
    log.add("artifact/PRD/main", ArtifactWritten(**log.content(b"# PRD 1\n")))
    opened.load(log)
    record = opened.exports.layout("alpha", 1)
    whole = b"".join(opened.exports.stream(record))
    size = len(whole)
    borders = sorted({0, 1, size - 1, size} | set(range(0, size, 61)))
    for start in borders:
        for stop in (start + 1, start + 100, size):
            got = b"".join(opened.exports.stream(record, start, stop))
            assert got == whole[start:stop], (start, stop)


def test_ranges_across_large_contents_and_groups_are_those_slices(opened: Opened) -> None:
    log = MemoryLog()
    large = bytes(range(256)) * 12_000  # 3 MB: read in slices
    log.add("artifact/NOTE/large", ArtifactWritten(**log.content(large, "image/png")))
    for number in range(40):
        content = bytes([number]) * 50_000
        log.add(f"artifact/NOTE/n{number}", ArtifactWritten(**log.content(content)))
    opened.load(log)
    record = opened.exports.layout("alpha", 41)
    whole = b"".join(opened.exports.stream(record))
    assert whole == zip_of(files_of(log.lines, log.blobs))
    size = len(whole)
    for start, stop in (
        (1_500_000, 1_500_001),
        (2_000_000, 3_200_000),
        (3_000_000, size),
        (size - 5_000, size),
        (size - 22, size),
        (size, size),
        (size + 5, size + 9),
        (60_000, 70_000),
    ):
        assert b"".join(opened.exports.stream(record, start, stop)) == whole[start:stop]


def test_an_earlier_position_gives_the_same_bytes_after_the_log_has_grown(sample: Opened) -> None:
    before = sample.bytes_of(9)
    sample.write("more", b"# More\n")
    record = sample.exports.layout("alpha", 9)
    assert b"".join(sample.exports.stream(record)) == before
    sample.execute("DELETE FROM export_file")
    sample.execute("DELETE FROM export")
    assert sample.bytes_of(9) == before


def test_a_dropped_cache_is_made_again_and_must_be_the_same(sample: Opened) -> None:
    first = sample.exports.layout("alpha", 16)
    whole = b"".join(sample.exports.stream(first))
    assert sample.execute("DELETE FROM export_file") == first.entries
    again = sample.exports.layout("alpha", 16)
    assert again.layout_id == first.layout_id
    assert again.zip_sha256 == hashlib.sha256(whole).digest()
    assert b"".join(sample.exports.stream(again)) == whole
    sample.execute("DELETE FROM export_file")
    sample.execute("UPDATE export SET layout_id = sha256('x')")
    with pytest.raises(Damaged, match="laid out as"):
        sample.exports.layout("alpha", 16)


def test_many_makers_of_one_layout_agree(sample: Opened) -> None:
    start = threading.Barrier(6)

    def make(_: int) -> bytes:
        start.wait()
        return sample.exports.layout("alpha", 16).layout_id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(make, range(6)))) == 1
    assert sample.execute("DELETE FROM export") == 1


@pytest.mark.parametrize(
    ("position", "code"), [(17, "position-in-the-future"), (0, "position-not-found")]
)
def test_a_position_outside_the_log_is_not_found(sample: Opened, position: int, code: str) -> None:
    with pytest.raises(NotFound) as caught:
        sample.exports.layout("alpha", position)
    assert caught.value.code == code


def test_unknown_projects_runs_and_scopes_are_refused(sample: Opened) -> None:
    with pytest.raises(NotFound) as caught:
        sample.exports.layout("beta", 1)
    assert caught.value.code == "project-not-found"
    with pytest.raises(NotFound) as caught:
        sample.exports.layout("alpha", 7, "run:r1")
    assert caught.value.code == "run-not-found"
    with pytest.raises(Invalid):
        sample.exports.layout("alpha", 7, "all")


def test_a_missing_content_is_named_and_uploading_the_same_bytes_repairs_it(sample: Opened) -> None:
    whole = sample.bytes_of(16)
    sample.lose(b"# One\n")
    for _ in ("laid out before", "laid out anew"):
        with pytest.raises(NotFound) as caught:
            sample.exports.layout("alpha", 16)
        assert caught.value.code == "content-missing"
        assert "artifact/ADR/Readme version 1" in caught.value.detail
        assert digest_of(b"# One\n") in caught.value.detail
        assert "Upload the same bytes again" in caught.value.detail
        sample.execute("DELETE FROM export_file")
    sample.uploads.stage("alpha", b"# Other\n")
    with pytest.raises(NotFound):
        sample.exports.layout("alpha", 16)
    sample.uploads.stage("alpha", b"# One\n")
    assert sample.bytes_of(16) == whole


def test_an_erased_content_sends_one_to_the_first_position_that_can_be_exported(
    opened: Opened,
) -> None:
    log = MemoryLog()
    for text in (b"one", b"two", b"three"):
        log.add("artifact/NOTE/a", ArtifactWritten(**log.content(text)))
    log.add("artifact/NOTE/b", ArtifactWritten(**log.content(b"other")))
    opened.load(log)
    assert opened.bytes_of(2)
    assert opened.erase("a", 2, b"two") == 5
    with pytest.raises(Gone) as caught:
        opened.exports.layout("alpha", 2)
    assert caught.value.code == "content-erased"
    assert caught.value.members == {"first_position": 3}
    with pytest.raises(Gone):
        opened.uploads.stage("alpha", b"two")
    opened.execute(  # staged at the very moment; an erased content must not come back
        """
        INSERT INTO upload (project_id, sha256, size_bytes, crc32, content)
        VALUES ('alpha', sha256('two'), 3, 0, 'two')
        """
    )
    with pytest.raises(Gone):
        opened.exports.layout("alpha", 2)
    assert opened.bytes_of(3)
    assert opened.erase("b", 1, b"other") == 6
    with pytest.raises(Gone) as caught:
        opened.exports.layout("alpha", 5)
    assert caught.value.members == {"first_position": 6}
    with pytest.raises(Gone) as caught:
        opened.exports.layout("alpha", 2)
    assert caught.value.members == {"first_position": 3}
    assert b"alpha-6/data/artifacts/NOTE/b" not in opened.bytes_of(6)


def test_the_first_position_outside_the_gaps() -> None:
    assert first_outside([(5, 9), (2, 4), (3, 6)], 2, 99) == 9
    assert first_outside([(2, 4)], 7, 12) == 12


def test_a_content_that_differs_from_its_digest_cuts_the_export_short(sample: Opened) -> None:
    for name, change in (
        ("other bytes", "UPDATE blob SET content = '\\x2320546f6f0a' WHERE sha256 = %s"),
        ("another length", "UPDATE blob SET content = '\\x00' WHERE sha256 = %s"),
    ):
        record = sample.exports.layout("alpha", 16)
        assert sample.execute(change, (hashlib.sha256(b"# One\n").digest(),)) == 1
        got = b""
        with pytest.raises(Damaged, match="Readme"):
            for piece in sample.exports.stream(record):
                got += piece
        assert len(got) < record.size_bytes, name
        assert sample.exports.layout("alpha", 16).zip_sha256 is None


def test_a_change_after_the_first_pass_is_noticed_before_the_last_piece(sample: Opened) -> None:
    whole = sample.bytes_of(16)
    sample.execute(
        "UPDATE blob SET content = '\\x2320546f650a' WHERE sha256 = %s",
        (hashlib.sha256(b"# One\n").digest(),),
    )
    record = sample.exports.layout("alpha", 16)
    got = b""
    with pytest.raises(Damaged) as caught:
        for piece in sample.exports.stream(record):
            got += piece
    assert caught.value.code == "export-differs"
    assert len(got) < len(whole)
    assert sample.exports.layout("alpha", 16).zip_sha256 == hashlib.sha256(whole).digest()


def test_a_changed_event_is_noticed_when_laying_out(sample: Opened) -> None:
    with psycopg.connect(sample.url) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE event SET line = overlay(line placing 'X'::bytea from 40) WHERE position = 3"
        )
    with pytest.raises(Damaged, match="position 3"):
        sample.exports.layout("alpha", 16)


def test_laying_out_reads_no_contents(sample: Opened) -> None:
    whole = sample.exports.layout("alpha", 15)
    sample.execute("UPDATE blob SET content = %s", (b"",))
    assert sample.exports.layout("alpha", 16).entries >= whole.entries
    with pytest.raises(Damaged):
        b"".join(sample.exports.stream(whole))


def test_streaming_holds_no_connection(sample: Opened) -> None:
    record = sample.exports.layout("alpha", 16)
    pieces = sample.exports.stream(record)
    next(pieces)
    # With the stream open, every connection of the pool is still there for others.
    with ExitStack() as taken:
        for _ in range(4):
            taken.enter_context(sample.pool.connection(timeout=5))


def test_memory_does_not_grow_with_the_size_of_the_contents(opened: Opened) -> None:
    log = MemoryLog()
    for number in range(12):
        content = bytes([number]) * 4_000_000
        log.add(f"artifact/NOTE/n{number}", ArtifactWritten(**log.content(content, "image/png")))
    opened.load(log)
    log.blobs.clear()
    record = opened.exports.layout("alpha", 12)
    tracemalloc.start()
    try:
        for piece in opened.exports.stream(record):
            assert len(piece) <= 2 * 1024 * 1024
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert record.size_bytes > 48_000_000
    assert peak < 8_000_000


def test_a_hole_in_a_kept_layout_cuts_the_export_short(sample: Opened) -> None:
    record = sample.exports.layout("alpha", 16)
    for ordinal in (0, 3, record.entries - 1):
        sample.execute("DELETE FROM export_file")
        record = sample.exports.layout("alpha", 16)
        sample.execute("DELETE FROM export_file WHERE ordinal = %s", (ordinal,))
        for start in (0, record.size_bytes - 30):
            with pytest.raises(Damaged) as caught:
                b"".join(sample.exports.stream(record, start))
            assert caught.value.code == "export-differs"
    sample.execute("DELETE FROM export_file")
    with pytest.raises(Damaged):
        b"".join(sample.exports.stream(record))
    with pytest.raises(Damaged, match="no kept file"):
        sample.exports.manifest(record)


def test_large_contents_that_are_gone_or_differ_cut_the_export_short(opened: Opened) -> None:
    large = bytes(range(256)) * 12_000
    log = MemoryLog()
    log.add("artifact/NOTE/large", ArtifactWritten(**log.content(large, "image/png")))
    opened.load(log)
    record = opened.exports.layout("alpha", 1)
    sha256 = hashlib.sha256(large).digest()
    for change in (
        "UPDATE blob SET content = overlay(content placing 'X'::bytea from 2000000)",
        "UPDATE blob SET content = substring(content for 2000000)",
        "UPDATE blob SET content = content || content",
        "DELETE FROM blob",
    ):
        opened.execute("DELETE FROM blob")
        opened.uploads.stage("alpha", large)
        assert opened.store.restore("alpha", [sha256])
        assert opened.execute(change) == 1
        got = b""
        with pytest.raises(Damaged, match="NOTE/large"):
            for piece in opened.exports.stream(record):
                got += piece
        assert len(got) < record.size_bytes


def test_a_large_manifest_is_sent_in_slices(opened: Opened) -> None:
    log = MemoryLog()
    for number in range(5_000):
        log.add(f"artifact/NOTE/n{number}", ArtifactWritten(**log.content(b"# Same\n")))
    opened.load(log)
    record = opened.exports.layout("alpha", 5_000)
    assert len(opened.exports.manifest(record)) > 1024 * 1024
    whole = b"".join(opened.exports.stream(record))
    assert whole == zip_of(files_of(log.lines, log.blobs))
    begin = whole.index(b'{"files":[')
    middle = begin + 1_100_000
    assert (
        b"".join(opened.exports.stream(record, middle, middle + 500))
        == (whole[middle : middle + 500])
    )


def test_an_export_is_known_by_its_digest_after_a_whole_pass(sample: Opened) -> None:
    record = sample.exports.layout("alpha", 16)
    assert sample.exports.record(record).zip_sha256 is None
    whole = b"".join(sample.exports.stream(record))
    assert sample.exports.record(record).zip_sha256 == hashlib.sha256(whole).digest()
    sample.execute("DELETE FROM export_file")
    assert sample.exports.record(record) == record


def test_two_first_passes_that_differ_are_an_alarm(sample: Opened) -> None:
    record = sample.exports.layout("alpha", 16)
    pieces = sample.exports.stream(record)
    for _ in range(2):
        next(pieces)
    sample.execute("UPDATE export SET zip_sha256 = sha256('x')")
    with pytest.raises(Damaged) as caught:
        b"".join(pieces)
    assert caught.value.code == "export-differs"


def test_events_that_are_missing_or_misplaced_stop_the_layout(sample: Opened) -> None:
    def as_owner(statement: str) -> None:
        with psycopg.connect(sample.url) as connection:
            connection.execute("ALTER TABLE event DISABLE TRIGGER ALL")
            connection.execute(statement.encode())

    line = sample_log().lines[3]
    as_owner(
        f"UPDATE event SET line = '\\x{line.hex()}', leaf = '\\x{leaf_hash(line).hex()}' "
        "WHERE position = 5"
    )
    with pytest.raises(Damaged, match="position 5 says that it is 4"):
        sample.exports.layout("alpha", 16)
    as_owner("DELETE FROM event WHERE position = 3")
    with pytest.raises(Damaged, match="Position 3 of alpha is missing"):
        sample.exports.layout("alpha", 16)
    as_owner("DELETE FROM event WHERE position >= 3")
    with pytest.raises(Damaged, match="Position 3 of alpha is missing"):
        sample.exports.layout("alpha", 16)


def test_a_content_of_another_size_than_its_event_says_stops_the_layout(sample: Opened) -> None:
    sample.execute(
        "UPDATE blob SET size_bytes = 7 WHERE sha256 = %s", (hashlib.sha256(b"# One\n").digest(),)
    )
    with pytest.raises(Damaged, match="its event says 6"):
        sample.exports.layout("alpha", 16)


def test_a_runs_erased_content_names_where_it_was_erased(sample: Opened) -> None:
    sample.exports.layout("alpha", 16, "run:r1")
    data = ArtifactErased(
        artifact="artifact/PRD/main",
        artifact_version=1,
        digest=digest_of(b"# Alpha\n\nFirst.\n"),
        reason="asked",
    )
    assert sample.append("erasures", data) == 17
    sample.lose(b"# Alpha\n\nFirst.\n")
    with pytest.raises(Gone) as caught:
        sample.exports.layout("alpha", 16, "run:r1")
    assert caught.value.members == {"first_position": 17}
    assert sample.bytes_of(17, "run:r1")
