"""Erasing while others write and read, and when something breaks: all of it or nothing, and once."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import sql

from adapters.postgres_erasures import PostgresErasures
from app.door import EventInput
from app.erasures import Erased, Erasures
from app.ledger import Ledger
from app.offline.verify import verify_file
from domain import canonical
from domain.digest import digest_of, parse_digest
from domain.errors import Conflict, DeedbookError, Gone
from domain.events import ArtifactErased, Content
from domain.log import Append, Receipt
from tests.cutting_proxy import How, cutting_proxy
from tests.erasure_samples import MARK, NOTE, PDF, SECRET, Held, assert_well, places_with, silent
from tests.ledger_samples import (
    erase_for_good,
    make_project,
    open_ledger,
    write_export,
)
from tests.log_samples import (
    Opened,
    creation,
    eventually,
    open_log,
    soon,
    tables_of,
    waiters,
    writing,
)


@pytest.fixture
def held(database_url: str) -> Iterator[Held]:
    with open_ledger(database_url) as ledger:
        yield Held(ledger, database_url)


# Others at the same time.


class Between:
    """A log in which something else is recorded just before an append."""

    def __init__(self, ledger: Ledger, *interruptions: Callable[[], object]) -> None:
        self._log = ledger.log
        self._interruptions = list(interruptions)
        self.appends = 0

    def append(self, request: Append) -> Receipt:
        """Let the next one come in between."""
        self.appends += 1
        if self._interruptions:
            self._interruptions.pop(0)()
        return self._log.append(request)

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)


def between(held: Held, *interruptions: Callable[[], object]) -> tuple[Erasures, Between]:
    """The use case, over a log with interruptions."""
    log = Between(held.ledger, *interruptions)
    store = held.ledger.erasures._store
    return Erasures(log, store, held.ledger.new_id, time.monotonic), log  # type: ignore[arg-type]


def test_a_version_that_comes_between_the_search_and_the_lock_is_not_overlooked(
    held: Held,
) -> None:
    held.write()
    erasures, log = between(held, lambda: held.write(key="late"))
    confirm = erasures.preview("alpha", NOTE, None).confirm or ""
    with pytest.raises(Conflict) as caught:
        erasures.erase("alpha", NOTE, None, reason="leaked", confirm=confirm, actor="user:ada")
    assert caught.value.code == "erasure-changed"
    assert log.appends == 1
    assert held.size == 3
    assert held.ledger.blobs.read("alpha", parse_digest(digest_of(SECRET))) == SECRET
    assert [one.stream for one in held.preview().also] == ["artifact/NOTE/late"]


def test_a_mention_that_is_no_content_only_makes_it_look_again(held: Held) -> None:
    held.write()
    names = [{"kind": "NOTE", "key": "secret", "version": 1, "digest": digest_of(SECRET)}]
    mention = EventInput(
        stream="run/r9", type="RunCreated", data={"title": "A run", "artifacts": names}
    )
    erasures, log = between(held, lambda: held.ledger.append("alpha", [mention], actor="user:ada"))
    confirm = erasures.preview("alpha", NOTE, None).confirm or ""
    erased = erasures.erase("alpha", NOTE, None, reason="leaked", confirm=confirm, actor="user:ada")
    assert log.appends == 2
    assert [one.position for one in erased.erasures] == [4]
    held.is_well()


def test_of_two_who_erase_at_once_one_records_it_and_both_are_answered(held: Held) -> None:
    held.write()
    first: list[Erased] = []
    erasures, _ = between(held, lambda: first.append(held.erase()))
    confirm = erasures.preview("alpha", NOTE, None).confirm or ""
    second = erasures.erase("alpha", NOTE, None, reason="leaked", confirm=confirm, actor="user:bob")
    assert second == msgspec.structs.replace(first[0], replayed=True)
    assert held.size == 3
    held.is_well()


def test_within_one_group_of_appends_the_order_decides(database_url: str) -> None:
    with open_log(database_url) as opened:
        opened.log.create(creation("alpha"))
        opened.log.append(writing("alpha", "a", SECRET))
        erasing = erasing_of(opened, "artifact/NOTE/a")
        late = writing("alpha", "late", SECRET)
        # Before it: then one more event names the content, and the erasure is refused.
        refused = opened.log._write_group([late, erasing])
        assert isinstance(refused[0], Receipt)
        assert isinstance(refused[1], Conflict)
        assert refused[1].code == "erasure-changed"
        erasing = erasing_of(opened, "artifact/NOTE/a")
        # Behind it: then the content is gone for good.
        outcomes = opened.log._write_group([erasing, late_again := writing("alpha", "c", SECRET)])
        assert late_again.events[0].stream == "artifact/NOTE/c"
        assert isinstance(outcomes[0], Receipt)
        assert isinstance(outcomes[1], Gone)
        assert opened.log.head("alpha").size == 5
        twice = erasing_of(opened, "artifact/NOTE/a", searched=5)
        again = opened.log._write_group([twice])[0]
        assert isinstance(again, Conflict)
        assert opened.log.append(erasing).replayed  # a repeat with the same ids is one
    assert places_with(database_url, MARK) == []
    assert_well(database_url)


def erasing_of(opened: Opened, stream: str, searched: int | None = None) -> Append:
    """The request that erases an artifact's contents, as the use case makes it."""
    requests: list[Append] = []

    class Caught:
        def append(self, request: Append) -> Receipt:
            requests.append(request)
            raise Conflict("caught", "It is not sent.")

        def __getattr__(self, name: str) -> object:
            return getattr(opened.log, name)

    if searched is not None:
        sha256 = hashlib.sha256(SECRET).digest()
        return msgspec.structs.replace(
            writing("alpha", "z", b"z"), erased=(sha256,), searched=searched
        )
    erasures = Erasures(
        Caught(),  # type: ignore[arg-type]
        PostgresErasures(opened.pool),
        lambda: writing("alpha").events[0].id,
        time.monotonic,
    )
    confirm = erasures.preview("alpha", stream, None).confirm or ""
    with pytest.raises(Conflict):
        erasures.erase("alpha", stream, None, reason="leak", confirm=confirm, actor="user:ada")
    return requests[0]


def test_writers_of_the_same_bytes_and_an_eraser_leave_a_log_that_is_whole(
    database_url: str,
) -> None:
    with open_ledger(database_url) as ledger, open_ledger(database_url, first_id=10_000) as other:
        held = Held(ledger, database_url)
        held.write(key="k0")
        stop = threading.Event()

        def write(which: Ledger, name: str) -> str:
            """Now and then the secret, until it is refused."""
            number = 0
            while True:
                number += 1
                secret = number % 10 == 0 or stop.is_set()
                content = SECRET if secret else f"{name} {number}".encode()
                key = f"{name}{number % 3}" if secret else f"{name}-other"
                try:
                    which.write_artifact("alpha", "NOTE", key, content, actor="user:ada")
                except DeedbookError as error:
                    return error.code

        with ThreadPoolExecutor(4) as threads:
            writing_ = [
                threads.submit(write, which, name)
                for which, name in ((ledger, "a"), (ledger, "b"), (other, "c"))
            ]
            erased: Erased | None = None
            while erased is None:
                shown = held.preview("artifact/NOTE/k0")
                try:
                    erased = ledger.erasures.erase(
                        "alpha", "artifact/NOTE/k0", None,
                        reason="leaked", confirm=shown.confirm or "", actor="user:ada",
                    )  # fmt: skip
                except Conflict as error:
                    assert error.code == "erasure-changed"
            stop.set()
            assert {one.result() for one in writing_} == {"content-erased"}
        versions = [
            one
            for artifact in ledger.views.artifacts("alpha", held.size)
            for one in ledger.views.versions("alpha", "NOTE", artifact.key, held.size)
        ]
        told = {(one.stream, one.version) for one in erased.erasures}
        assert len(told) == len(erased.erasures)
        assert told == {
            (f"artifact/NOTE/{one.key}", one.version)
            for one in versions
            if one.digest == digest_of(SECRET)
        }
        assert {one.erased_position is None for one in versions if "other" in one.key} == {True}
        assert places_with(database_url, MARK) == []
        held.is_well()


def test_an_upload_on_its_way_while_its_content_is_erased_does_not_stay(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload is committed after the erasure looked, and before anybody could tell it."""
    held.write()
    uploads = held.ledger.uploads
    insert = uploads._insert

    def after_the_erasure(*arguments: object) -> None:
        held.erase()
        insert(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(uploads, "_insert", after_the_erasure)
    assert held.code(lambda: uploads.stage("alpha", SECRET)) == "content-erased"
    assert places_with(held.url, MARK) == []


def test_what_is_missing_is_not_restored_while_it_is_erased(held: Held) -> None:
    """A restore that began before waits for the erasure, and then sees it."""
    held.write()
    sha256 = hashlib.sha256(SECRET).digest()
    with psycopg.connect(held.url) as connection:
        connection.execute("DELETE FROM blob")
    held.ledger.uploads._insert("alpha", sha256, SECRET, None)
    store = held.ledger.exports._store
    data = canonical.write(
        ArtifactErased(artifact=NOTE, artifact_version=1, digest=digest_of(SECRET), reason="asked")
    )
    with open_log(held.url) as opened, ThreadPoolExecutor(1) as thread:
        with psycopg.connect(held.url) as eraser:
            eraser.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
            restoring = thread.submit(store.restore, "alpha", [sha256])
            eventually(lambda: waiters(opened) == 1)
            eraser.execute("INSERT INTO erasure VALUES ('alpha', 3, %s, 1, %s)", (NOTE, sha256))
        assert restoring.result() == {}
    assert data


# When something breaks.


@pytest.mark.parametrize("how", ["answer-lost", "request-lost"])
def test_a_connection_lost_while_erasing_leaves_it_done_once(database_url: str, how: How) -> None:
    with (
        cutting_proxy(database_url) as proxy,
        open_log(database_url, writer_url=proxy.url) as opened,
    ):
        opened.log.create(creation("alpha"))
        opened.log.append(writing("alpha", "a", SECRET))
        erasures = Erasures(
            opened.log,
            PostgresErasures(opened.pool),
            lambda: writing("alpha").events[0].id,
            time.monotonic,
        )
        confirm = erasures.preview("alpha", "artifact/NOTE/a", None).confirm or ""
        cut = proxy.cut(b"COMMIT\0", how)
        erased = erasures.erase(
            "alpha", "artifact/NOTE/a", None, reason="leak", confirm=confirm, actor="user:ada"
        )
        assert cut.struck.is_set()
        assert [one.position for one in erased.erasures] == [3]
        assert opened.log.head("alpha").size == 3
    assert places_with(database_url, MARK) == []
    assert_well(database_url)


def test_an_answer_that_never_comes_may_be_asked_for_again(database_url: str) -> None:
    """Failed, but persisted: the repeat finds it done."""
    with (
        cutting_proxy(database_url) as proxy,
        open_log(database_url, writer_url=proxy.url) as opened,
    ):
        opened.log.create(creation("alpha"))
        opened.log.append(writing("alpha", "a", SECRET))
        request = msgspec.structs.replace(erasing_of(opened, "artifact/NOTE/a"), deadline=soon(1.0))
        proxy.cut(b"COMMIT\0", "answer-lost")
        proxy.refusing = True
        with pytest.raises(DeedbookError) as caught:
            opened.log.append(request)
        assert caught.value.code == "outcome-unknown"
        proxy.refusing = False
        erasures = Erasures(
            opened.log, PostgresErasures(opened.pool), lambda: "unused", time.monotonic
        )
        assert erasures.preview("alpha", "artifact/NOTE/a", None).confirm is None
        again = erasures.erase(
            "alpha", "artifact/NOTE/a", None, reason="leak", confirm="", actor="user:ada"
        )
        assert again.replayed
        assert opened.log.head("alpha").size == 3
    assert places_with(database_url, MARK) == []


REFUSING = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER fail {when} ON {table} FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.mark.parametrize("code", ["53100", "23514"])
@pytest.mark.parametrize(
    ("when", "table"),
    [
        ("BEFORE DELETE", "blob"),
        ("BEFORE INSERT", "event"),
        ("BEFORE INSERT", "erasure"),
        ("BEFORE UPDATE", "project_log"),
    ],
)
def test_what_postgres_refuses_leaves_everything_as_it_was(
    held: Held, when: str, table: str, code: str
) -> None:
    held.write()
    with psycopg.connect(held.url) as admin:
        admin.execute(REFUSING.format(code=code, when=when, table=table).encode())
    before = tables_of(held.url, "alpha")
    with pytest.raises(DeedbookError) as caught:
        held.erase()
    assert caught.value.code in {"database-unavailable", "append-refused"}
    assert tables_of(held.url, "alpha") == before
    with psycopg.connect(held.url) as admin:
        admin.execute(sql.SQL("DROP TRIGGER fail ON {}").format(sql.Identifier(table)))
    assert not held.erase().replayed
    held.is_well()


def test_a_crash_between_the_commit_and_its_traces_is_made_good_by_a_repeat(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = held.ledger.stage_blob("alpha", PDF)
    held.write(original=Content(digest=digest, size_bytes=len(PDF), media_type="application/pdf"))
    held.write(SECRET + b"again")
    held.ledger.uploads._insert("alpha", hashlib.sha256(PDF).digest(), PDF, None)
    store = held.ledger.erasures._store

    def crash(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "discard", crash)
        with pytest.raises(KeyboardInterrupt):
            held.erase()
    # One transaction: with the events, all that the database had is gone.
    assert held.size == 6
    assert places_with(held.url, MARK) == []
    held.ledger.uploads._insert("alpha", hashlib.sha256(SECRET).digest(), SECRET, None)
    assert held.erase().replayed
    assert held.size == 6
    assert places_with(held.url, MARK) == []


def test_a_project_with_a_bit_of_everything_loses_all_of_its_artifacts(
    database_url: str, tmp_path: Path
) -> None:
    with open_ledger(database_url) as ledger:
        size = make_project(ledger, database_url)
        for one in ledger.views.artifacts("alpha", size):
            if one.size_bytes:
                erase_for_good(ledger, "alpha", f"artifact/{one.kind}/{one.key}")
        file = tmp_path / "alpha.zip"
        write_export(ledger, file, ledger.position("alpha", None))
        report = verify_file(file, progress=silent)
        assert report.sound
        assert report.summary.erased == sum(
            bool(one.size_bytes) for one in ledger.views.artifacts("alpha", size)
        )
        with psycopg.connect(database_url) as connection:
            left = connection.execute(
                "SELECT count(*) FROM blob WHERE project_id = 'alpha'"
            ).fetchone()
        assert left == (4,)  # the empty one, and what the run recorded
    assert_well(database_url)
