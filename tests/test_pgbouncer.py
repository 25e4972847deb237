"""The log through a real PgBouncer in transaction mode: nothing per session, nothing prepared."""

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres_checkpoints import PostgresCheckpoints
from adapters.postgres_keys import register_key
from adapters.postgres_ledger_row import fix_host
from adapters.postgres_seals import PostgresSeals, Subject, open_seal_log
from adapters.postgres_uploads import PostgresUploads
from app.checkpoints import Checkpoints
from domain.dsse import pae
from domain.errors import StaleVersion
from domain.log import Receipt
from domain.seal_log import SignedStatement
from domain.sigstore_bundle import encode_bundle
from tests.cutting_proxy import cutting_proxy
from tests.log_samples import (
    Opened,
    check_log,
    checking,
    creation,
    entries_of,
    eventually,
    open_log,
    writing,
)
from tests.note_samples import published_signer
from tests.seal_samples import STATEMENT, published_seal_signer, published_sidecar

PROGRAM = shutil.which("pgbouncer")
PORT = 6432
LOGIN = "pooled_login"
PASSWORD = "pooled"

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
]

CONFIGURATION = """
[databases]
{database} = host=127.0.0.1 port={port} dbname={database} user={login} password={password}
[pgbouncer]
listen_addr =
listen_port = {pooler_port}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
logfile = {folder}/log
pidfile = {folder}/pid
"""


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """The URL of a pooler before the test's database, for a login that is the restricted role."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(f"DROP ROLE IF EXISTS {LOGIN}")
        admin.execute(f"CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}'")
        admin.execute(f"GRANT deedbook_service TO {LOGIN}")
        admin.execute(f"ALTER ROLE {LOGIN} SET statement_timeout = '60s'")
        with (
            # The server's socket may be in a folder that only its owner and root may enter.
            cutting_proxy(database_url) as relay,
            tempfile.TemporaryDirectory(prefix="bouncer-") as folder,
            running_pooler(Path(folder), relay.url, admin.info.dbname),
        ):
            yield make_conninfo(host=folder, port=PORT, user=LOGIN, dbname=admin.info.dbname)
        admin.execute(f"DROP OWNED BY {LOGIN}")
        admin.execute(f"DROP ROLE {LOGIN}")


@contextmanager
def running_pooler(folder: Path, server_url: str, database: str) -> Iterator[None]:
    """PgBouncer over a server; it refuses to run as root, so then it runs as nobody."""
    assert PROGRAM is not None
    (folder / "users").write_text(f'"{LOGIN}" "{PASSWORD}"\n')
    (folder / "ini").write_text(
        CONFIGURATION.format(
            database=database,
            port=conninfo_to_dict(server_url)["port"],
            login=LOGIN,
            password=PASSWORD,
            pooler_port=PORT,
            folder=folder,
        )
    )
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (folder, folder / "users", folder / "ini"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    with subprocess.Popen(
        [PROGRAM, "-q", str(folder / "ini")], stderr=subprocess.DEVNULL, **account
    ) as process:
        try:
            eventually(lambda: (folder / f".s.PGSQL.{PORT}").exists() or process.poll() is not None)
            assert process.poll() is None, (folder / "log").read_text()
            yield
        finally:
            process.terminate()


@pytest.fixture(params=["fast", "slow"])
def opened(request: pytest.FixtureRequest, pooled_url: str) -> Iterator[Opened]:
    with open_log(pooled_url, fast=request.param == "fast", pooled=True, connections=8) as opened:
        opened.log.create(creation("alpha"))
        yield opened


def test_many_writers_and_readers_share_a_few_server_connections(opened: Opened) -> None:
    done = threading.Event()

    def read() -> int:
        seen = 0
        while not done.is_set():
            seen = max(seen, len(entries_of(opened, "alpha")))
        return seen

    def write(number: int) -> None:
        for index in range(10):
            opened.log.append(writing("alpha", f"k{number}", f"{number}.{index}".encode()))

    with ThreadPoolExecutor(20) as threads:
        readers = [threads.submit(read) for _ in range(4)]
        for writer in [threads.submit(write, number) for number in range(16)]:
            writer.result()
        done.set()
        assert all(reader.result() > 0 for reader in readers)

    assert len(check_log(opened, "alpha")) == 161


def test_two_writers_behind_the_pooler_keep_one_whole_log(opened: Opened) -> None:
    def write(log: Opened) -> None:
        for index in range(40):
            log.log.append(writing("alpha", "shared", str(index % 5).encode()))

    with open_log(opened.url, pooled=True) as other, ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(write, log) for log in (opened, other)]:
            one.result()

    assert [one.version for one in check_log(opened, "alpha")[1:]] == list(range(1, 81))


def test_repeats_conflicts_and_uploads_are_as_without_a_pooler(opened: Opened) -> None:
    request = writing("alpha", "a", expected=0, request_key="k")
    first = opened.log.append(request)
    PostgresUploads(opened.pool).stage("alpha", b"staged")

    assert opened.log.append(request) == Receipt(first.entries, replayed=True)
    with pytest.raises(StaleVersion):
        opened.log.append(writing("alpha", "a", expected=0))
    opened.log.append(checking("alpha"))
    assert b"".join(opened.log.lines("alpha", 0, 3)).count(b"\n") == 3
    check_log(opened, "alpha")


def test_a_log_is_signed_and_its_proofs_are_made_through_the_pooler(opened: Opened) -> None:
    for index in range(20):
        opened.log.append(writing("alpha", "a", str(index).encode()))
    register_key(opened.pool, published_signer().public_key)
    checkpoints = Checkpoints(PostgresCheckpoints(opened.pool), published_signer())

    assert checkpoints.latest("alpha").size == 21
    assert checkpoints.sign_now("alpha")
    for position in (1, 17, 21):
        checkpoints.inclusion("alpha", position)
    checkpoints.consistency("alpha", 16)


def test_an_export_is_sealed_through_the_pooler(opened: Opened) -> None:
    fix_host(opened.pool, "ledger.example")
    open_seal_log(opened.pool)
    log, sealing = published_signer(), published_seal_signer()
    register_key(opened.pool, log.public_key)
    register_key(opened.pool, sealing.spki, "seal")
    seals = PostgresSeals(opened.pool)
    signed = SignedStatement(STATEMENT, sealing.sign_dsse(pae(STATEMENT)), sealing.spki)
    first = seals.append(signed, Subject("alpha", 3, "project"), log)
    assert first.sidecar == encode_bundle(published_sidecar())
    assert seals.append(signed, Subject("alpha", 3, "project"), log) == first


def test_no_setting_is_left_behind_on_a_server_connection(opened: Opened) -> None:
    opened.log.append(writing("alpha"))
    opened.log.append(checking("alpha"))

    with ThreadPoolExecutor(3) as threads:

        def look(_: int) -> tuple[str, ...]:
            with psycopg.connect(opened.url, prepare_threshold=None) as connection:
                row = connection.execute(
                    """
                    SELECT current_user::text, current_setting('lock_timeout'),
                      current_setting('enable_seqscan'), current_setting('statement_timeout'),
                      (SELECT count(*)::text FROM pg_prepared_statements)
                    FROM pg_sleep(0.05)
                    """
                ).fetchone()
            assert row is not None
            return tuple(row)

        found = set(threads.map(look, range(6)))

    assert found == {(LOGIN, "0", "on", "1min", "0")}
