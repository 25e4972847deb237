"""A login for the service that is no more than the restricted role, in an embedded Postgres.

In a database of one's own, the operator makes such a login (docs/operations.md); here we do.
"""

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

LOGIN = "deedbook_login"
CONNECT_SECONDS = 10


def service_login(admin_url: str, password: str) -> str:
    """Make sure that the login exists and answer the URL with which the service connects."""
    with psycopg.connect(admin_url, connect_timeout=CONNECT_SECONDS) as connection:
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOGIN,)).fetchone()
        verb = sql.SQL("ALTER ROLE") if found else sql.SQL("CREATE ROLE")
        connection.execute(
            sql.SQL("{} {} LOGIN PASSWORD {}").format(
                verb, sql.Identifier(LOGIN), sql.Literal(password)
            )
        )
        connection.execute(sql.SQL("GRANT deedbook_service TO {}").format(sql.Identifier(LOGIN)))
    return make_conninfo(admin_url, user=LOGIN, password=password)
