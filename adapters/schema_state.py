"""Whether the schema is up to date, asked through the pool of a running service."""

from psycopg_pool import ConnectionPool

from adapters.migrate import pending_in

WAIT_SECONDS = 2.0
"""Who asks whether all is well should not wait long to hear that it is not."""


class SchemaState:
    """Looks at the table of applied migrations."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def pending(self) -> list[str]:
        """The names of the migrations that the database lacks.

        Raises:
            Conflict: `migration-changed`.
        """
        with self._pool.connection(timeout=WAIT_SECONDS) as connection:
            return [one.name for one in pending_in(connection)]
