"""A ledger whose contents are erased, and what must hold of it afterwards: for the tests of erasing."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from adapters.doctor import examine_rows
from adapters.rebuild import rebuild
from app.door import EventInput
from app.erasures import Erased, Preview
from app.ledger import Ledger
from domain import merkle
from domain.errors import DeedbookError
from domain.events import Recorded, parse
from tests.ledger_samples import (
    erase_for_good,
)

MARK = b"PASSWORD-OF-ADA"
SECRET = b"# Notes\n\nThe word is " + MARK + b".\n"
PDF = b"%PDF-1.7 " + MARK
NOTE = "artifact/NOTE/secret"


class Held:
    """A ledger with one project, and what a test asks of it."""

    def __init__(self, ledger: Ledger, url: str) -> None:
        self.ledger = ledger
        self.url = url
        ledger.create_project("alpha", title="Alpha", actor="user:ada")

    def write(self, content: bytes = SECRET, key: str = "secret", **more: object) -> int:
        """Write a version; answers its position."""
        receipt = self.ledger.write_artifact(
            "alpha",
            "NOTE",
            key,
            content,
            actor="user:ada",
            **more,  # type: ignore[arg-type]
        )
        return receipt.entries[0].position

    def run(self, content: bytes = SECRET, run: str = "r1") -> int:
        """A run with one transcript, in version 3 of its stream; answers the newest position."""
        records: list[tuple[str, dict[str, object], bytes | None]] = [
            ("RunCreated", {"title": "A run"}, None),
            ("RunStarted", {}, None),
            (
                "TranscriptRecorded",
                {
                    "command": ["env"],
                    "exit_code": 0,
                    "duration_ms": 1,
                    "content": {"media_type": "text/plain"},
                },
                content,
            ),
        ]
        for kind, data, brought in records:
            given = EventInput(stream=f"run/{run}", type=kind, data=data, content=brought)
            self.ledger.append("alpha", [given], actor="agent:x")
        return self.size

    @property
    def size(self) -> int:
        """The log's."""
        return self.ledger.log.head("alpha").size

    def preview(self, stream: str = NOTE, version: int | None = None) -> Preview:
        """What would go."""
        return self.ledger.erasures.preview("alpha", stream, version)

    def erase(self, stream: str = NOTE, version: int | None = None) -> Erased:
        """Look, and confirm."""
        return erase_for_good(self.ledger, "alpha", stream, version)

    def event(self, position: int) -> Recorded:
        """One event."""
        [entry] = self.ledger.log.read("alpha", position - 1, position)
        return parse(entry.line)

    def code(self, call: Callable[[], object]) -> str:
        """The code of what a call is refused with."""
        with pytest.raises(DeedbookError) as caught:
            call()
        return caught.value.code

    def is_well(self) -> None:
        """Doctor and rebuild agree, and the frontier is that of the events."""
        assert_well(self.url)
        head = self.ledger.log.head("alpha")
        leaves = [entry.leaf for entry in self.ledger.log.read("alpha", 0, head.size)]
        assert merkle.root_of(head.frontier) == merkle.tree_root(leaves)


def silent(done: int, total: int | None = None) -> None:
    """A progress that nobody looks at."""


def assert_well(url: str) -> None:
    """Doctor finds nothing, and a rebuild gives the views in use."""
    with psycopg.connect(url) as connection:
        found = list(examine_rows(connection, project=None, progress=silent))
    assert found == []
    assert rebuild(url, None, repair=False, progress=silent).equal


def places_with(url: str, bytes_: bytes) -> list[str]:
    """Every column of every table in which some bytes stand, as text or in a `bytea`."""
    found = []
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            """
            SELECT table_name, column_name, data_type FROM information_schema.columns
            WHERE table_schema = 'public'
            """
        ).fetchall()
        assert ("blob", "content", "bytea") in columns
        for table, column, kind in columns:
            name = sql.Identifier(column)
            as_bytes = (
                name if kind == "bytea" else sql.SQL("convert_to({}::text, 'UTF8')").format(name)
            )
            row = connection.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE position(%s::bytea IN {}) > 0").format(
                    sql.Identifier(table), as_bytes
                ),
                (bytes_,),
            ).fetchone()
            if row != (0,):
                found.append(f"{table}.{column}")
    return sorted(found)
