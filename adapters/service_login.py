"""A login for the service that is no more than the restricted role, in an embedded Postgres.

In a database of one's own, the operator makes such a login (docs/operations.md); here we do.
"""

import hashlib
import hmac

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres_connect import connect_once

LOGIN = "deedbook_login"
_LOCK_KEY = 0x6C6F67696E  # any number that nobody else locks


def service_login(admin_url: str) -> str:
    """Make sure that the login exists and answer the URL with which the service connects.

    Its password follows from the superuser's: a command that comes by while a service runs must not
    change it, and it need not be kept anywhere.
    """
    superuser = str(conninfo_to_dict(admin_url).get("password") or "")
    assert superuser
    password = hmac.digest(superuser.encode(), LOGIN.encode(), hashlib.sha256).hex()
    with connect_once(admin_url) as connection, connection.transaction():
        # Two at once would be refused by Postgres: "tuple concurrently updated".
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOGIN,)).fetchone()
        verb = sql.SQL("ALTER ROLE") if found else sql.SQL("CREATE ROLE")
        connection.execute(
            sql.SQL("{} {} LOGIN PASSWORD {}").format(
                verb, sql.Identifier(LOGIN), sql.Literal(password)
            )
        )
        connection.execute(sql.SQL("GRANT deedbook_service TO {}").format(sql.Identifier(LOGIN)))
    return make_conninfo(admin_url, user=LOGIN, password=password)
