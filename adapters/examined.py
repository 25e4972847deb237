"""What an examination finds, and how its checks are run: damage is a finding, never an exception."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec
import psycopg
from psycopg.rows import TupleRow

from domain.errors import Damaged, Invalid

MAX_FINDINGS = 100
"""Named by one check of one project; then it stops."""


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it must be.

    Attributes:
        place: Table, project, position or digest or key, and the column in brackets, such as
            `event alpha/3 (actor)`.
        detail: What is wrong there, as a sentence.
    """

    place: str
    detail: str


class Progress(Protocol):
    """Is told how far the work has come."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """`done` of `total` rows."""


def guarded(
    connection: psycopg.Connection,
    place: str,
    findings: Iterable[Finding],
    limit: int | None = MAX_FINDINGS,
) -> Iterator[Finding]:
    """The findings of one check, the first `limit` of them; what breaks it is one more.

    Raises:
        psycopg.Error: The connection is lost, so that nothing more can be said.
    """
    found = 0
    try:
        for finding in findings:
            if found == limit:
                yield Finding(place, f"There is more; this check stopped after {limit}.")
                return
            found += 1
            yield finding
    except (Damaged, Invalid) as error:
        yield Finding(place, error.detail)
    except psycopg.Error as error:
        if connection.closed:
            raise
        sentence = str(error).partition("\n")[0]
        yield Finding(place, f"It cannot be read: {sentence} ({type(error).__name__}).")


def rows_in_order(
    connection: psycopg.Connection, statement: str, values: dict[str, object]
) -> list[TupleRow]:
    """A page by its key; planned by the index also where there are no statistics yet."""
    with connection.transaction():
        connection.execute("SELECT set_config('enable_sort', 'off', true)")
        return connection.cursor(binary=True).execute(statement.encode(), values).fetchall()
