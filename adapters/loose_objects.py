"""Objects in the store outside that no event names any more, or yet: found, and deleted.

Their addresses are on record as loose (migration 0004) before they are made. What becomes a blob's is
loose no longer. The rest is deleted when it has been loose for long, or at once when it was erased.
"""

from collections.abc import Sequence

from psycopg_pool import ConnectionPool

from adapters.append_transaction import erase_contents
from adapters.outside_contents import OutsideContents
from domain.errors import Unavailable

KEPT = "1 day"
"""How long an upload waits to be named."""
LOOSE = "2 days"
"""Longer than an upload is kept, so that what somebody may still name is never deleted."""
SWEPT_OBJECTS = 100
MAX_ROUNDS = 100


def sweep(pool: ConnectionPool, outside: OutsideContents) -> None:
    """Delete a few objects that have been loose for long, or are doomed; those of one project.

    Three steps, so that none is forgotten: doomed, under the lock that an append holds while it
    names uploads; then deleted outside, without any lock; then off the record.
    """
    if not outside.there:
        return
    with pool.connection() as connection:
        old = connection.execute(
            """
            SELECT project_id FROM loose_object WHERE doomed OR since < now() - %s::interval
            ORDER BY doomed DESC, since LIMIT 1
            """,
            (LOOSE,),
        ).fetchone()
        if old is None:
            return
        project = str(old[0])
        values = {"project": project, "loose": LOOSE, "kept": KEPT}
        connection.execute(
            "SELECT FROM project_log WHERE project_id = %(project)s FOR UPDATE", values
        )
        connection.execute(
            """
            UPDATE loose_object o SET doomed = true
            WHERE project_id = %(project)s AND since < now() - %(loose)s::interval
              AND NOT EXISTS (SELECT FROM upload u
                WHERE u.project_id = o.project_id AND u.address = o.address
                  AND u.uploaded_at >= now() - %(kept)s::interval)
            """,
            values,
        )
        connection.execute(
            """
            DELETE FROM upload u USING loose_object o WHERE u.project_id = %(project)s
              AND o.project_id = u.project_id AND o.address = u.address AND o.doomed
            """,
            values,
        )
    _delete_doomed(pool, outside, project)


def discard(
    pool: ConnectionPool, outside: OutsideContents, project: str, digests: Sequence[bytes]
) -> int:
    """See to it that contents whose erasure is recorded are gone, and their objects outside too.

    It ends what the erasing transaction began: an upload that was on its way meanwhile goes, and so do
    the objects, which no transaction can delete. Repeating it is safe.

    Returns:
        How many doomed objects of the project could not be deleted now; a later upload does it.
    """
    with pool.connection() as connection:
        connection.execute("SELECT FROM project_log WHERE project_id = %s FOR UPDATE", (project,))
        erased = connection.execute(
            "SELECT DISTINCT sha256 FROM erasure WHERE project_id = %s AND sha256 = ANY(%s)",
            (project, list(digests)),
        ).fetchall()
        erase_contents(connection.cursor(binary=True), project, [row[0] for row in erased])
    for _ in range(MAX_ROUNDS):
        if not outside.there or not _delete_doomed(pool, outside, project):
            break
    with pool.connection() as connection:
        left = connection.execute(
            "SELECT count(*) FROM loose_object WHERE project_id = %s AND doomed", (project,)
        ).fetchone()
    assert left is not None
    return int(left[0])


def _delete_doomed(pool: ConnectionPool, outside: OutsideContents, project: str) -> bool:
    """Delete some doomed objects; whether there were any and they are gone."""
    with pool.connection() as connection:
        doomed = connection.execute(
            """
            SELECT address FROM loose_object WHERE project_id = %s AND doomed
            ORDER BY address LIMIT %s
            """,
            (project, SWEPT_OBJECTS),
        ).fetchall()
    addresses = [address for (address,) in doomed]
    if not addresses:
        return False
    try:
        outside.store.delete(addresses)
    except Unavailable:
        return False  # they stay doomed, and are deleted by a later upload
    with pool.connection() as connection:
        connection.execute(
            "DELETE FROM loose_object WHERE project_id = %s AND address = ANY(%s) AND doomed",
            (project, addresses),
        )
    return True
