"""Whether the schema in use is what the migrations give: tables, keys, triggers, functions, grants.

The migrations are run once more, in a schema of their own and in a transaction that is rolled back,
and the two are compared by the catalogue. So whatever a migration makes is checked from then on.
"""

from collections.abc import Iterator
from typing import LiteralString

import psycopg
from psycopg import sql

from adapters.examined import Finding
from adapters.migrate import migrations
from adapters.postgres_connect import SERVICE_ROLE

LEDGER_WIDE = frozenset(
    {
        "ledger",
        "log_key",
        "schema_migration",
        "seal_key",
        "sign_in_link",
        "search_job",
        "token",
        "token_exchange",
        "trusted_issuer",
        "used_identity",
        "web_session",
    }
)
"""Tables of which a ledger has one, not one for each project."""

_SCRATCH = "deedbook_scratch"
_FACTS: LiteralString = """
WITH tables AS (
  SELECT c.* FROM pg_class c WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'p')
)
SELECT 'table', relname::text, '', concat_ws(' ', relpersistence::text,
  CASE WHEN relrowsecurity THEN 'ROW SECURITY' END)
FROM tables
UNION ALL
SELECT 'column', c.relname, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
  CASE WHEN a.attnotnull THEN 'NOT NULL' END, 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
  'COLLATE ' || o.collname, 'STORAGE ' || a.attstorage::text)
FROM tables c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation o ON o.oid = a.attcollation
UNION ALL
SELECT 'constraint', c.relname, k.conname, pg_get_constraintdef(k.oid, true)
FROM tables c JOIN pg_constraint k ON k.conrelid = c.oid WHERE k.contype <> 'n'
UNION ALL
SELECT CASE WHEN x.indisunique THEN 'unique index' ELSE 'index' END, c.relname, i.relname,
  pg_get_indexdef(i.oid, 0, true) || CASE WHEN x.indisvalid THEN '' ELSE ' INVALID' END
FROM tables c JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid
UNION ALL
SELECT 'trigger', c.relname, t.tgname, CASE t.tgenabled WHEN 'A' THEN 'ALWAYS ' WHEN 'O' THEN ''
  WHEN 'D' THEN 'DISABLED ' ELSE 'REPLICA ' END || pg_get_triggerdef(t.oid, true)
FROM tables c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'rule', c.relname, r.rulename, pg_get_ruledef(r.oid, true)
FROM tables c JOIN pg_rewrite r ON r.ev_class = c.oid
UNION ALL
SELECT 'grant', c.relname, coalesce(r.rolname, 'PUBLIC'),
  string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ', '
    ORDER BY privilege_type)
FROM tables c CROSS JOIN LATERAL aclexplode(coalesce(relacl, acldefault('r', relowner)))
LEFT JOIN pg_roles r ON r.oid = grantee
WHERE grantee = 0 OR r.rolname = %(role)s GROUP BY 2, 3
UNION ALL
SELECT 'grant', c.relname, coalesce(r.rolname, 'PUBLIC') || ' ' || a.attname,
  string_agg(privilege_type, ', ' ORDER BY privilege_type)
FROM tables c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN LATERAL aclexplode(a.attacl)
LEFT JOIN pg_roles r ON r.oid = grantee
WHERE grantee = 0 OR r.rolname = %(role)s GROUP BY 2, 3
UNION ALL
SELECT 'function', p.proname, '', concat_ws(' ', pg_get_function_identity_arguments(p.oid),
  l.lanname, p.provolatile::text, p.prosecdef, p.proconfig::text, md5(p.prosrc),
  (SELECT string_agg(coalesce(r.rolname, 'PUBLIC'), ', ' ORDER BY r.rolname)
   FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
   LEFT JOIN pg_roles r ON r.oid = grantee WHERE grantee = 0 OR r.rolname = %(role)s))
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = %(schema)s::regnamespace
"""

_Facts = dict[tuple[str, str, str], str]


def examine_migrations(connection: psycopg.Connection) -> Iterator[Finding]:
    """Each migration that this program has was applied, with the same text."""
    rows = connection.execute("SELECT version, name, sha256 FROM schema_migration").fetchall()
    applied = {version: (name, bytes(sha256)) for version, name, sha256 in rows}
    for one in migrations():
        found = applied.get(one.version)
        if found is None:
            yield Finding(f"schema_migration {one.version}", f"{one.name} was not applied.")
        elif found != (one.name, one.sha256):
            yield Finding(
                f"schema_migration {one.version}",
                f"It was applied as {found[0]} with another text or name than {one.name} has here.",
            )


def examine_schema(connection: psycopg.Connection) -> Iterator[Finding]:
    """The schema in use against the migrations', both ways; an index more does no harm."""
    row = connection.execute(
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'project_log'::regclass"
    ).fetchone()
    assert row is not None
    used = _facts(connection, row[0])
    meant = _meant(connection)
    ours = {(kind == "function", table) for kind, table, _ in meant}
    for kind, table, name in sorted(meant.keys() | used.keys()):
        expected, found = meant.get((kind, table, name)), used.get((kind, table, name))
        if expected == found or (kind == "function", table) not in ours:
            continue
        place = f"{kind} {table}" + (f" ({name})" if name else "")
        if found is None:
            yield Finding(place, f"It is not there; the migrations give: {expected}.")
        elif expected is not None:
            yield Finding(place, f"It is {found!r}, the migrations give {expected!r}.")
        elif kind != "index":
            yield Finding(place, f"No migration gives it: {found}.")


def examine_role(connection: psycopg.Connection) -> Iterator[Finding]:
    """The service's role has no rights but those granted by the migrations."""
    row = connection.execute(
        """
        SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
          ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                WHERE m.member = r.oid),
          ARRAY(SELECT c.oid::regclass::text FROM pg_class c WHERE c.relowner = r.oid)
        FROM pg_roles r WHERE rolname = %s
        """,
        (SERVICE_ROLE,),
    ).fetchone()
    place = f"role {SERVICE_ROLE}"
    if row is None:
        yield Finding(place, "It is not there.")
        return
    powerful, groups, owned = row
    if powerful:
        yield Finding(place, "It may do more than the migrations grant: see its attributes.")
    if groups:
        yield Finding(place, f"It is a member of {', '.join(groups)}, and may do what they may.")
    if owned:
        yield Finding(place, f"It owns {', '.join(owned)}, and may do anything with it.")


def examine_keys(connection: psycopg.Connection) -> Iterator[Finding]:
    """Every primary and unique key holds the project, so that projects share nothing."""
    rows = connection.execute(
        """
        SELECT c.relname, i.indexrelid::regclass::text FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid
        WHERE i.indisunique AND NOT c.relname = ANY(%s) AND c.relnamespace = (
            SELECT relnamespace FROM pg_class WHERE oid = 'project_log'::regclass)
          AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
            AND a.attnum = ANY(i.indkey) AND a.attname = 'project_id')
          AND c.relkind IN ('r', 'p')
        ORDER BY 2
        """,
        (list(LEDGER_WIDE),),
    )
    for table, index in rows.fetchall():
        yield Finding(f"unique index {table} ({index})", "It does not hold project_id.")


def _meant(connection: psycopg.Connection) -> _Facts:
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_SCRATCH)))
        connection.execute("SELECT set_config('search_path', %s, true)", (_SCRATCH,))
        for one in migrations():
            connection.execute(sql.SQL(one.text))
        return _facts(connection, _SCRATCH)


def _facts(connection: psycopg.Connection, schema: str) -> _Facts:
    with connection.transaction():
        # Names in this schema are then written without it, and the two can be compared.
        connection.execute("SELECT set_config('search_path', %s, true)", (schema,))
        rows = connection.execute(_FACTS, {"schema": schema, "role": SERVICE_ROLE})
        return {(kind, table, name): fact for kind, table, name, fact in rows.fetchall()}
