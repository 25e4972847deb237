"""Contents in the store outside: put there before the append, read with every byte checked, healed, swept."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import httpx2
import psycopg
import pytest

from adapters.doctor import examine_rows
from adapters.postgres_connect import connect
from app import bootstrap
from app.ledger import Ledger, Uploaded
from app.settings import Settings
from domain.digest import digest_of, parse_digest
from domain.errors import Damaged, DeedbookError, Gone, NotFound, Unavailable
from tests.ledger_samples import erase_for_good
from tests.log_samples import eventually
from tests.serving import serve_ledger
from tests.vercel_double import TOKEN, VercelDouble

ABOVE = 1024 * 1024
MEBIBYTE = 1024 * 1024
LARGE = b"0123456789abcdef" * (3 * MEBIBYTE // 16) + b"end"
DIGEST = digest_of(LARGE)
SHA256 = parse_digest(DIGEST)


class Opened:
    """A ledger over a fresh database and a double of the store."""

    def __init__(
        self,
        url: str,
        double: VercelDouble,
        closing: ExitStack,
        projects: tuple[str, ...] = ("alpha", "beta"),
    ) -> None:
        self.url = url
        self.double = double
        self._closing = closing
        self.ledger = self.open()
        for slug in projects:
            self.ledger.create_project(slug, title=slug, actor="user:ada")

    def open(self, token: str | None = TOKEN) -> Ledger:
        """The ledger, with the store or without."""
        from adapters.vercel_blob import VercelBlob

        settings = Settings(
            database_url=self.url,
            blob_read_write_token=token,
            deedbook_blob_store_above_bytes=ABOVE,
        )
        return self._closing.enter_context(
            bootstrap.open_ledger(
                settings,
                self.url,
                clock=lambda: datetime(2026, 12, 1, tzinfo=UTC),
                store=lambda given: VercelBlob(
                    given, client=lambda: self.double.client(5.0), pause=lambda seconds: None
                ),
            )
        )

    def write(self, content: bytes = LARGE, project: str = "alpha", key: str = "main") -> int:
        """Write a version; answers its position."""
        receipt = self.ledger.write_artifact(
            project, "NOTE", key, content, media_type="application/pdf", actor="user:ada"
        )
        return receipt.entries[0].position

    def export(
        self, ledger: Ledger | None = None, start: int = 0, stop: int | None = None
    ) -> bytes:
        """The bytes of the newest export."""
        exports = (ledger or self.ledger).exports
        record = exports.layout("alpha", self.ledger.log.head("alpha").size)
        return b"".join(exports.stream(record, start, stop))

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Ask, or change, the database behind the ledger's back."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def findings(self, ledger: Ledger | None = None) -> list[str]:
        """What doctor --verify says."""
        outside = (ledger or self.ledger).uploads._outside
        with psycopg.connect(self.url) as connection:
            return [
                f"{one.place}: {one.detail}"
                for one in examine_rows(
                    connection,
                    project=None,
                    progress=lambda done, total=None: None,
                    outside=outside,
                )
            ]

    @property
    def address(self) -> str:
        """Of the one object that is there."""
        (address,) = self.double.objects
        return address


@pytest.fixture
def opened(database_url: str, double: VercelDouble) -> Iterator[Opened]:
    with ExitStack() as closing:
        yield Opened(database_url, double, closing)


def code_of(error: pytest.ExceptionInfo[DeedbookError]) -> str:
    return error.value.code


def test_large_contents_lie_outside_and_small_ones_in_the_database(opened: Opened) -> None:
    opened.write()
    opened.write(b"# Small\n", key="small")
    assert opened.double.objects[opened.address].body == LARGE
    assert opened.rows("SELECT content IS NULL, size_bytes FROM blob ORDER BY 2") == [
        (False, 8),
        (True, len(LARGE)),
    ]
    assert opened.ledger.blobs.read("alpha", SHA256) == LARGE
    assert opened.findings() == []


def test_an_address_is_the_projects_own_and_cannot_be_guessed(opened: Opened) -> None:
    opened.write()
    opened.write(project="beta")
    first, second = sorted(opened.double.objects)
    assert first.startswith(f"alpha/{SHA256.hex()}/")
    assert second.startswith(f"beta/{SHA256.hex()}/")
    assert len({one.rpartition("/")[2] for one in (first, second)}) == 2
    assert all(len(one.rpartition("/")[2]) == 32 for one in (first, second))


def test_the_export_has_the_bytes_that_it_has_without_a_store(opened: Opened) -> None:
    position = opened.write()
    whole = opened.export()
    opened.rows("DELETE FROM export_file")
    opened.rows("UPDATE blob SET content = %s, address = NULL", LARGE)
    record = opened.ledger.exports.layout("alpha", position)
    assert record.zip_sha256 == hashlib.sha256(whole).digest()
    assert opened.export() == whole


def test_every_kind_of_range_is_that_slice(opened: Opened) -> None:
    opened.write()
    whole = opened.export()
    at = whole.index(LARGE[:64])
    for start, stop in [(0, 10), (at + 5, at + 9), (at + 2 * MEBIBYTE + 1, len(whole)), (7, None)]:
        assert opened.export(start=start, stop=stop) == whole[start:stop]
    blobs = opened.ledger.blobs
    for start, stop in [(0, 1), (MEBIBYTE - 1, MEBIBYTE + 1), (5, len(LARGE)), (0, len(LARGE))]:
        assert b"".join(blobs.pieces("alpha", SHA256, start, stop)) == LARGE[start:stop]


def test_an_altered_object_is_noticed_by_every_read(opened: Opened) -> None:
    position = opened.write()
    at = opened.export().index(LARGE[:64])
    blobs = opened.ledger.blobs
    for bad in (LARGE[:-1], LARGE + b"x", b"X" + LARGE[1:], b""):
        opened.double.spoil(opened.address, bad)
        for read in (
            lambda: blobs.read("alpha", SHA256),
            lambda: list(blobs.pieces("alpha", SHA256, 0, len(LARGE))),
            lambda: list(blobs.pieces("alpha", SHA256, 100, 110)),
            opened.export,
            lambda: opened.export(start=at + 2 * MEBIBYTE, stop=at + 2 * MEBIBYTE + 9),
        ):
            with pytest.raises(Damaged) as raised:
                read()
            assert code_of(raised) == "content-damaged"
        found = opened.findings()
        assert any("(address)" in one and "upload the same bytes" in one for one in found)
        if len(bad) != len(LARGE):  # then it is known before the first byte
            with pytest.raises(Damaged):
                opened.ledger.exports.layout("alpha", position)


def test_an_export_whose_object_is_gone_fails_before_its_first_byte(opened: Opened) -> None:
    position = opened.write()
    del opened.double.objects[opened.address]
    for _ in range(2):
        with pytest.raises(NotFound) as raised:
            opened.ledger.exports.layout("alpha", position)
        assert code_of(raised) == "content-missing"
        assert f"PUT /v1/projects/alpha/blobs/{DIGEST}" in raised.value.detail
        assert raised.value.members["digest"] == DIGEST
    with pytest.raises(NotFound, match="upload the same bytes again"):
        opened.ledger.blobs.read("alpha", SHA256)
    assert any(DIGEST in one and "gone from the blob store" in one for one in opened.findings())


def test_an_object_that_goes_after_the_layout_cuts_the_export_short(opened: Opened) -> None:
    position = opened.write()
    record = opened.ledger.exports.layout("alpha", position)
    opened.double.objects.clear()
    got = b""
    with pytest.raises(NotFound):
        for piece in opened.ledger.exports.stream(record):
            got += piece
    assert len(got) < record.size_bytes
    with pytest.raises(NotFound):
        opened.ledger.exports.layout("alpha", position)


def test_uploading_the_same_bytes_again_heals(opened: Opened) -> None:
    opened.write()
    whole = opened.export()
    for body in (None, b"altered" + LARGE[7:], LARGE[:100]):
        (place,) = opened.rows("SELECT address FROM blob")
        lost = str(place[0])
        if body is None:
            del opened.double.objects[lost]
        else:
            opened.double.spoil(lost, body)
        assert opened.ledger.stage_blob("alpha", LARGE) == DIGEST
        assert opened.export() == whole
        assert opened.findings() == []
        assert (lost,) in opened.rows("SELECT address FROM loose_object")


def test_a_content_that_is_erased_while_it_is_healed_stays_erased(opened: Opened) -> None:
    opened.write()
    lost = opened.address
    opened.rows("DELETE FROM blob")
    opened.ledger.uploads._replace("alpha", SHA256, LARGE, lost)
    assert opened.rows("SELECT 1 FROM blob") == []
    assert len(opened.rows("SELECT 1 FROM loose_object")) == len(opened.double.objects) == 2


def test_uploading_what_is_whole_already_adds_nothing(opened: Opened) -> None:
    opened.write()
    opened.ledger.stage_blob("alpha", LARGE)
    opened.write(key="other")
    assert len(opened.double.objects) == 1
    assert opened.rows("SELECT 1 FROM upload") == []


def test_a_content_that_is_in_no_row_comes_back_from_an_upload_outside(opened: Opened) -> None:
    opened.write()
    whole = opened.export()
    opened.rows("DELETE FROM blob")  # as a database that was restored without it
    opened.ledger.stage_blob("alpha", LARGE)
    assert opened.export() == whole
    assert opened.findings() == []


def test_many_contents_are_looked_for_in_the_stores_list(opened: Opened) -> None:
    for number in range(10):
        opened.write(LARGE + bytes([number]), key=f"n{number}")
    opened.double.requests.clear()
    position = opened.ledger.log.head("alpha").size
    opened.ledger.exports.layout("alpha", position)
    assert len(opened.double.requests) == 1
    gone = sorted(opened.double.objects)[3]
    del opened.double.objects[gone]
    with pytest.raises(NotFound) as raised:
        opened.ledger.exports.layout("alpha", position)
    assert raised.value.members["digest"] == f"sha256:{gone.split('/')[1]}"


def test_an_upload_that_fails_records_nothing(opened: Opened) -> None:
    opened.double.failures = [(503, "service_unavailable", {})] * 3
    with pytest.raises(Unavailable) as raised:
        opened.write()
    assert code_of(raised) == "blob-store-unavailable"
    assert opened.ledger.log.head("alpha").size == 1
    assert opened.rows("SELECT 1 FROM upload") == []
    assert len(opened.rows("SELECT 1 FROM loose_object")) == 1
    opened.write()
    assert opened.ledger.blobs.read("alpha", SHA256) == LARGE


def test_an_upload_whose_answer_was_lost_is_named_by_the_append(opened: Opened) -> None:
    opened.double.lose_answers = 1
    opened.write()
    assert len(opened.double.objects) == 1
    assert opened.ledger.blobs.read("alpha", SHA256) == LARGE
    assert opened.rows("SELECT 1 FROM loose_object") == []


def test_nothing_is_locked_while_an_upload_waits_for_the_store(opened: Opened) -> None:
    from concurrent.futures import ThreadPoolExecutor

    opened.double.released.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(opened.write)
        assert opened.double.asked.wait(10)
        assert opened.write(b"# Small\n", key="small") == 2  # the same project's log goes on
        opened.double.released.set()
        assert waiting.result(20) == 3


def test_what_an_append_did_not_take_is_swept_after_two_days(opened: Opened) -> None:
    opened.ledger.stage_blob("alpha", LARGE)  # and the process dies here
    left = opened.address
    opened.ledger.stage_blob("alpha", b"another")
    assert opened.address == left  # somebody may still name it
    opened.rows("UPDATE loose_object SET since = now() - interval '3 days'")
    opened.ledger.stage_blob("alpha", b"another")
    assert opened.address == left  # its upload is from today
    opened.rows("UPDATE upload SET uploaded_at = now() - interval '2 days'")
    opened.double.failures = [(503, "service_unavailable", {})] * 3
    opened.ledger.stage_blob("alpha", b"another")
    assert opened.address == left  # the store was away, and that is no reason to fail
    assert opened.rows("SELECT doomed FROM loose_object") == [(True,)]
    opened.ledger.stage_blob("beta", b"another")  # whichever project it is of
    assert opened.double.objects == {}
    assert opened.rows("SELECT 1 FROM loose_object") == []
    assert opened.rows("SELECT 1 FROM upload WHERE address IS NOT NULL") == []


def test_an_object_that_an_event_names_is_never_swept(opened: Opened) -> None:
    opened.write()
    opened.rows("INSERT INTO loose_object VALUES ('alpha', 'alpha/x/y', now() - interval '3 days')")
    opened.ledger.stage_blob("alpha", b"another")
    assert opened.rows("SELECT 1 FROM loose_object") == []
    assert opened.ledger.blobs.read("alpha", SHA256) == LARGE


def test_the_object_of_an_erased_content_is_swept_too(opened: Opened) -> None:
    opened.write()
    with connect(opened.url) as connection:  # with the service's rights, as erasing has
        connection.execute("DELETE FROM blob WHERE sha256 = %s", (SHA256,))
    opened.rows("UPDATE loose_object SET since = now() - interval '3 days'")
    opened.ledger.stage_blob("alpha", b"another")
    assert opened.double.objects == {}


def test_the_objects_of_what_is_erased_are_deleted_at_once(opened: Opened) -> None:
    opened.write()
    opened.ledger.uploads._stage_outside("alpha", SHA256, LARGE)  # and one staged anew
    opened.write(LARGE + b"another", key="other")
    assert len(opened.double.objects) == 3
    erased = erase_for_good(opened.ledger, "alpha", "artifact/NOTE/main")
    assert erased.objects_left == 0
    assert len(opened.double.objects) == 1
    assert opened.rows("SELECT 1 FROM loose_object") == []
    assert opened.findings() == []
    opened.double.requests.clear()
    for refused in (
        lambda: opened.ledger.blobs.read("alpha", SHA256),
        lambda: opened.ledger.stage_blob("alpha", LARGE),
    ):
        with pytest.raises(Gone):
            refused()
    assert opened.double.requests == []  # nothing is sent out that could not stay


def test_objects_that_cannot_be_deleted_now_are_counted_and_deleted_later(opened: Opened) -> None:
    opened.write()
    opened.double.suspended = True
    erased = erase_for_good(opened.ledger, "alpha", "artifact/NOTE/main")
    assert erased.objects_left == 1
    assert opened.rows("SELECT 1 FROM blob") == []
    assert len(opened.double.objects) == 1
    opened.double.suspended = False
    opened.ledger.stage_blob("beta", b"another")  # whatever is uploaded next, wherever
    assert opened.double.objects == {}
    assert erase_for_good(opened.ledger, "alpha", "artifact/NOTE/main").objects_left == 0


def test_a_ledger_without_the_token_says_that_an_object_is_left(opened: Opened) -> None:
    opened.write()
    without = opened.open(token=None)
    assert erase_for_good(without, "alpha", "artifact/NOTE/main").objects_left == 1
    assert len(opened.double.objects) == 1
    assert erase_for_good(opened.ledger, "alpha", "artifact/NOTE/main").objects_left == 0
    assert opened.double.objects == {}


def test_a_content_outside_that_is_erased_while_it_is_read_is_cut_short(opened: Opened) -> None:
    position = opened.write()
    record = opened.ledger.exports.layout("alpha", position)
    whole = b"".join(opened.ledger.exports.stream(record))
    export = opened.ledger.exports.stream(record)
    content = opened.ledger.blobs.pieces("alpha", SHA256, 0, len(LARGE))
    erase_for_good(opened.ledger, "alpha", "artifact/NOTE/main")
    for pieces, right in ((export, whole), (content, LARGE)):
        sent = b""
        with pytest.raises(Gone) as caught:
            for piece in pieces:
                sent += piece
        assert caught.value.code == "content-erased"
        assert right.startswith(sent)
        assert len(sent) < len(right)


def test_what_is_healed_and_erased_at_the_same_time_stays_erased(opened: Opened) -> None:
    """Whoever heals makes a new row, which the one who erases would not see: one waits for the other."""
    opened.write()
    lost = opened.address
    with ThreadPoolExecutor(1) as thread:
        with psycopg.connect(opened.url) as eraser:
            eraser.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
            healing = thread.submit(opened.ledger.uploads._replace, "alpha", SHA256, LARGE, lost)
            waiting = """
                SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
                WHERE NOT granted AND datname = current_database()
            """
            eventually(lambda: opened.rows(waiting) != [])
            eraser.execute("DELETE FROM blob WHERE sha256 = %s", (SHA256,))
        healing.result()
    assert opened.rows("SELECT 1 FROM blob") == []


def test_without_the_token_what_lies_outside_is_a_clear_problem(opened: Opened) -> None:
    position = opened.write()
    opened.write(b"# Small\n", key="small")
    without = opened.open(token=None)
    for read in (
        lambda: without.blobs.read("alpha", SHA256),
        lambda: list(without.blobs.pieces("alpha", SHA256, 0, 10)),
        lambda: without.uploads.read("alpha", SHA256),
        lambda: without.exports.layout("alpha", position),
    ):
        with pytest.raises(Unavailable) as raised:
            read()
        assert code_of(raised) == "blob-store-unavailable"
        assert "BLOB_READ_WRITE_TOKEN" in raised.value.detail
    assert without.blobs.read("alpha", parse_digest(digest_of(b"# Small\n"))) == b"# Small\n"
    assert any("BLOB_READ_WRITE_TOKEN" in one for one in opened.findings(without))
    whole = opened.export()
    without.stage_blob("alpha", LARGE)  # the same bytes again: now they lie in the database
    assert opened.export(without) == whole
    assert opened.findings(without) == []


def test_without_the_token_everything_stays_in_the_database(opened: Opened) -> None:
    without = opened.open(token=None)
    without.write_artifact(
        "alpha", "NOTE", "main", LARGE, media_type="application/pdf", actor="user:ada"
    )
    assert opened.double.objects == {}
    assert opened.ledger.blobs.read("alpha", SHA256) == LARGE


def test_an_upload_left_outside_is_used_when_it_is_named_later(opened: Opened) -> None:
    opened.ledger.stage_blob("alpha", LARGE)
    opened.ledger.stage_blob("alpha", LARGE)
    assert len(opened.double.objects) == 1
    assert opened.ledger.uploads.read("alpha", SHA256) == LARGE
    opened.ledger.write_artifact(
        "alpha",
        "NOTE",
        "main",
        Uploaded(DIGEST, len(LARGE)),
        media_type="application/pdf",
        actor="user:ada",
    )
    assert opened.ledger.blobs.read("alpha", SHA256) == LARGE
    assert len(opened.double.objects) == 1


def test_over_http_what_is_wrong_outside_is_a_problem_or_a_short_answer(opened: Opened) -> None:
    position = opened.write()
    content = "/v1/projects/alpha/artifacts/NOTE/main/versions/1/content"
    export = f"/v1/projects/alpha/exports/{position}.zip"
    with serve_ledger(opened.ledger, opened.url) as served, served.client() as http:
        assert http.get(content).content == LARGE
        assert http.get(content, headers={"Range": "bytes=5-9"}).content == LARGE[5:10]
        whole = http.get(export).content
        opened.double.spoil(opened.address, b"X" + LARGE[1:])
        assert code_over_http(http, content, {"Range": "bytes=5-9"}) == (500, "content-damaged")
        for path in (content, export):
            with pytest.raises(httpx2.RemoteProtocolError):
                http.get(path)
        opened.double.suspended = True
        assert code_over_http(http, export) == (503, "blob-store-unavailable")
        opened.double.suspended = False
        opened.double.objects.clear()
        assert code_over_http(http, content) == (404, "content-missing")
        assert code_over_http(http, export) == (404, "content-missing")
        put = http.put(f"/v1/projects/alpha/blobs/{DIGEST}", content=LARGE)
        assert put.status_code == 201
        assert http.get(export).content == whole


def code_over_http(
    http: httpx2.Client, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    answer = http.get(path, headers=headers)
    return answer.status_code, answer.json()["code"]


def test_reading_64_megabytes_from_outside_takes_a_few(opened: Opened) -> None:
    huge = b"\1" * (64 * MEBIBYTE)
    opened.write(huge)
    sha256 = hashlib.sha256(huge).digest()
    record = opened.ledger.exports.layout("alpha", 2)
    tracemalloc.start()
    try:
        for pieces in (
            opened.ledger.blobs.pieces("alpha", sha256, 0, len(huge)),
            opened.ledger.blobs.pieces("alpha", sha256, 40 * MEBIBYTE, 41 * MEBIBYTE),
            opened.ledger.exports.stream(record),
        ):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            for _ in pieces:
                pass
            assert tracemalloc.get_traced_memory()[1] - before < 16 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_row_has_its_content_or_an_address(database_url: str) -> None:
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("INSERT INTO blob VALUES ('alpha', sha256('x'), 1, 0, 0, 'x', 'a/b/c')")
