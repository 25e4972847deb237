"""`up` and `serve`, as real processes: what they print and keep, and what is left when they end."""

import json
import os
import secrets
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.embedded_postgres import available
from adapters.service_login import LOGIN
from app import up
from tests.log_samples import eventually
from tests.started_ledger import (
    ROOT,
    SECONDS,
    connection_of,
    environment,
    finished,
    keys,
    processes_of,
    request,
    server_pid,
    started,
    write,
)

pytestmark = [
    pytest.mark.skipif(not available(), reason="no embedded PostgreSQL for this platform"),
    pytest.mark.skipif(sys.platform != "linux", reason="asks Linux about processes"),
]
UP = ("up", "--port", "0")


def git(repository: Path, *arguments: str) -> str:
    variables = {
        "PATH": os.defpath,
        "HOME": str(repository),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))
        },
    }
    said = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        env=variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return said.stdout.strip()


def commit(repository: Path, name: str) -> str:
    (repository / f"{name}.md").write_text(f"# {name}\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", f"Write {name}")
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture(scope="session")
def sample_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    git(repository, "init", "-q")
    for name in ("ADR-1", "README"):
        commit(repository, name)
    return repository


@pytest.fixture
def repository(sample_repository: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "repository"
    subprocess.run(["cp", "-a", str(sample_repository), str(copied)], check=True)
    return copied


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a ledger that was started once, with an empty project."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with started(folder, *UP, "--no-import") as running:
        running.url()
        running.signal(signal.SIGTERM)
        assert running.ends() == 143
    return folder


@pytest.fixture
def folder(made_folder: Path, tmp_path: Path) -> Iterator[Path]:
    """Such a folder for one test; nothing may be left running in it."""
    copied = tmp_path / "data"
    subprocess.run(["cp", "-a", str(made_folder), str(copied)], check=True)
    yield copied
    assert eventually(lambda: processes_of(copied) == [])


@pytest.fixture
def new_folder(tmp_path: Path) -> Iterator[Path]:
    """The place of a data folder that does not exist yet."""
    place = tmp_path / "new" / "data"
    yield place
    assert eventually(lambda: processes_of(place) == [])


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    """A database of one's own without any table."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield make_conninfo(postgres_server, dbname=name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def superuser(folder: Path) -> str:
    """The URL of the superuser of a running folder."""
    return make_conninfo(
        host=str(folder / "socket"),
        user="postgres",
        password=(folder / "postgres.password").read_text(),
        dbname="deedbook",
    )


def test_a_first_start_imports_the_repository_and_says_what_to_do_next(
    new_folder: Path, repository: Path
) -> None:
    with started(new_folder, *UP, DEEDBOOK_REPOSITORY=str(repository)) as running:
        url = running.url()
        connection = connection_of(new_folder)
        assert connection == {"url": url, "token": connection["token"], "project": "deedbook"}
        file = new_folder / "connection.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert f"{connection['token']} (kept in" in "\n".join(running.out)
        with request(url, None, "/readyz") as answer:
            assert answer.status == 200
        assert len(keys(new_folder, "PATCHSET")) == 2
        assert len(keys(new_folder, "")) == 4, "two commits and the document of each"

        # What it names there works, typed as it stands.
        eventually(lambda: running.said.count("DEEDBOOK_DATA=") == 3)
        tried = [line for line in running.out if line.startswith("  DEEDBOOK_DATA=")]
        for line in tried:
            _, python, script, *words = shlex.split(line)
            assert (python, script) == ("python3", "run.py")
            done = finished(new_folder, *words, cwd=new_folder)
            assert done.process.returncode == 0, done.said
    running.ends()


def test_later_starts_keep_the_data_and_the_token(folder: Path) -> None:
    """How fast they are is measured by the bench."""
    before = connection_of(folder)
    for number in range(2):
        with started(folder, *UP) as running:
            url = running.url()
            assert write(folder, f"note-{number}") == 201
            assert len(keys(folder)) == number + 1
            running.signal(signal.SIGINT)
            assert running.ends() == 130
        assert before["token"] not in running.said
        assert "kept in" in running.said
        after = connection_of(folder)
        assert after == {"url": url, "token": before["token"], "project": "deedbook"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_everything_and_open_streams_are_told(
    folder: Path, number: signal.Signals, code: int
) -> None:
    with started(folder, *UP) as running:
        url = running.url()
        connection = connection_of(folder)
        streams = [
            request(
                url, connection["token"], "/v1/projects/deedbook/events", accept="text/event-stream"
            )
            for _ in range(8)
        ]
        assert processes_of(folder)
        began = time.monotonic()
        running.signal(number)
        for stream in streams:
            assert b"event: bye" in stream.read()
        assert running.ends() == code
        assert time.monotonic() - began < 5, "the streams were waited for"
    assert processes_of(folder) == []
    assert "Traceback" not in running.said


def test_a_closed_terminal_ends_it_like_a_supervisor(folder: Path) -> None:
    with started(folder, *UP) as running:
        running.url()
        running.signal(signal.SIGHUP)
        assert running.ends() == 143
    assert processes_of(folder) == []


def test_a_second_ctrl_c_does_not_break_the_end_off(folder: Path) -> None:
    with started(folder, *UP) as running:
        running.url()
        for _ in range(5):
            running.signal(signal.SIGINT)
        assert running.ends() == 130
    assert processes_of(folder) == []
    assert not (folder / "postgres" / "postmaster.pid").exists(), "it did not end cleanly"


def test_ctrl_c_while_the_database_is_made_leaves_nothing_and_the_next_start_works(
    new_folder: Path,
) -> None:
    with started(new_folder, *UP, "--no-import") as running:
        running.line("Making a database")
        eventually(lambda: bool(processes_of(new_folder)))
        running.signal(signal.SIGINT)
        assert running.ends() == 130
    assert processes_of(new_folder) == []
    with started(new_folder, *UP, "--no-import") as running:
        running.url()
        assert write(new_folder, "works") == 201


def test_after_a_kill_of_the_service_everything_acknowledged_is_there(folder: Path) -> None:
    with started(folder, *UP) as running:
        running.url()
        assert write(folder, "kept") == 201
        running.process.kill()
        running.ends()
        with started(folder, *UP) as again:
            again.url()
            assert keys(folder) == ["kept"]


def test_a_killed_postgres_is_started_again_under_the_service(folder: Path) -> None:
    with started(folder, *UP) as running:
        running.url()
        assert write(folder, "before") == 201
        killed = server_pid(folder)
        os.kill(killed, signal.SIGKILL)
        running.line("starting it again")
        # A backend may outlive the server that was killed for a moment, and still answer.
        assert eventually(lambda: other_server(folder, killed), 60)
        assert eventually(lambda: write(folder, "after") == 201, 60)
        assert keys(folder) == ["after", "before"]
        running.signal(signal.SIGTERM)
        assert running.ends() == 143
    assert processes_of(folder) == []


def other_server(folder: Path, killed: int) -> bool:
    """Whether another server has taken the place of one that was killed."""
    try:
        return server_pid(folder) != killed
    except (OSError, ValueError):  # its file is just being written
        return False


def test_after_a_kill_of_both_everything_acknowledged_is_there(folder: Path) -> None:
    with started(folder, *UP) as running:
        running.url()
        assert write(folder, "kept") == 201
        os.kill(running.pid, signal.SIGSTOP)  # it must not start another one meanwhile
        os.kill(server_pid(folder), signal.SIGKILL)
        os.kill(running.pid, signal.SIGKILL)
        running.ends()
    with started(folder, *UP) as again:
        again.url()
        assert keys(folder) == ["kept"]


def test_a_service_is_not_disturbed_by_a_command_on_the_same_folder(folder: Path) -> None:
    with started(folder, *UP) as running:
        running.url()
        for _ in range(2):
            done = finished(folder, "migrate")
            assert done.process.returncode == 0, done.said
        made = finished(folder, "token", "create", "second", "--direct")
        assert made.process.returncode == 0, made.said
        with psycopg.connect(superuser(folder)) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                (LOGIN,),
            )
        assert eventually(lambda: write(folder, "after") == 201, 60)


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_taken_port_is_said_with_the_way_out_before_anything_is_done(
    new_folder: Path, command: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        failed = finished(new_folder, command, DEEDBOOK_PORT=str(port))
    assert failed.process.returncode == 6
    assert len(failed.err) == 1
    assert f"Port {port} of 127.0.0.1 is taken" in failed.said
    assert "--port N or DEEDBOOK_PORT" in failed.said
    assert not (new_folder / "postgres").exists()


def test_an_address_of_somebody_else_is_said(new_folder: Path) -> None:
    for address in ("203.0.113.1", "no such address"):
        failed = finished(new_folder, "up", "--listen", address)
        assert failed.process.returncode == 2
        assert "choose others with --listen and --port" in failed.said
    assert not (new_folder / "postgres").exists()


def test_a_second_start_on_the_same_folder_says_where_the_first_one_is(folder: Path) -> None:
    with started(folder, *UP) as running:
        url = running.url()
        second = finished(folder, *UP)
        assert second.process.returncode == 6
        assert f"is running already at {url} (process {running.pid})" in second.said
        served = finished(folder, "serve", "--port", "0")
        assert served.process.returncode == 6
        assert f"already running, pid {running.pid}" in served.said
        assert write(folder, "undisturbed") == 201


def test_an_import_that_was_killed_goes_on_and_a_finished_one_is_not_repeated(
    folder: Path, repository: Path
) -> None:
    first = commit(repository, "first")
    with started(folder, *UP, DEEDBOOK_REPOSITORY=str(repository)) as running:
        running.url()
        assert keys(folder, "PATCHSET") == [], "the project was there already"
        running.signal(signal.SIGTERM)
        running.ends()
    (folder / "importing").touch()
    with started(folder, *UP, DEEDBOOK_REPOSITORY=str(repository)) as running:
        running.line("Importing")
        running.process.kill()
        running.ends()
    with started(folder, *UP, DEEDBOOK_REPOSITORY=str(repository)) as running:
        running.url()
        imported = keys(folder, "PATCHSET")
        assert len(imported) == 3
        assert first in imported
        assert not (folder / "importing").exists()
        running.signal(signal.SIGTERM)
        running.ends()
    commit(repository, "later")
    with started(folder, *UP, DEEDBOOK_REPOSITORY=str(repository)) as running:
        running.url()
        assert keys(folder, "PATCHSET") == imported


def test_outside_of_a_repository_it_starts_with_an_empty_project(
    new_folder: Path, tmp_path: Path
) -> None:
    with started(new_folder, *UP, DEEDBOOK_REPOSITORY=str(tmp_path)) as running:
        running.line("Nothing is imported: ")
        running.url()
        assert f"{tmp_path} is not in a git repository" in running.said
        assert "project  deedbook, 1 event" in running.said
        assert write(new_folder, "works") == 201


def test_a_token_that_is_no_longer_good_is_replaced(folder: Path) -> None:
    before = connection_of(folder)
    with started(folder, *UP) as running:
        url = running.url()
        with request(url, before["token"], "/v1/tokens") as answer:
            made = json.loads(answer.read())["tokens"]
        assert [one["name"] for one in made] == ["owner"]
        with psycopg.connect(superuser(folder)) as connection:
            connection.execute("UPDATE token SET revoked_at = now()")
        running.signal(signal.SIGTERM)
        running.ends()
    for damage in ("keep", '{"url": "http://127.0.0.1:1"}', "not JSON"):
        if damage != "keep":
            (folder / "connection.json").write_text(damage)
        with started(folder, *UP) as running:
            running.url()
            assert write(folder, "works") == 201
            after = connection_of(folder)
            assert after["token"] != before["token"]
            assert f"{after['token']} (kept in" in running.said
            running.signal(signal.SIGTERM)
            running.ends()


def test_on_a_postgres_of_ones_own_nothing_embedded_is_started(
    empty_database: str, new_folder: Path
) -> None:
    with started(new_folder, *UP, "--no-import", DATABASE_URL=empty_database) as running:
        running.url()
        assert write(new_folder, "works") == 201
        second = finished(new_folder, *UP, DATABASE_URL=empty_database)
        assert "is running already at" in second.said
        running.signal(signal.SIGTERM)
        assert running.ends() == 143
    left = sorted(file.name for file in new_folder.iterdir())
    assert left == ["connection.json", "keys", "service.lock"]


def test_serve_waits_for_nobody_to_migrate_but_says_so(
    empty_database: str, new_folder: Path
) -> None:
    refused = finished(new_folder, "serve", "--port", "0", DATABASE_URL=empty_database)
    assert refused.process.returncode == 6
    assert "0001_ledger" in refused.said
    assert "run `deedbook migrate` first" in refused.said
    assert finished(new_folder, "migrate", DATABASE_URL=empty_database).process.returncode == 0
    with started(new_folder, "serve", "--port", "0", DATABASE_URL=empty_database) as running:
        url = running.line("Serving ").split()[1]
        with request(url, None, "/readyz") as answer:
            assert answer.status == 200
        running.signal(signal.SIGTERM)
        assert running.ends() == 143
    assert not new_folder.exists()


def test_a_service_needs_no_more_than_the_restricted_role(
    empty_database: str, new_folder: Path
) -> None:
    name = secrets.token_hex(4)
    owner, login = f"owner_{name}", f"login_{name}"
    database = conninfo_to_dict(empty_database)["dbname"]
    with psycopg.connect(empty_database, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'owner'")
        admin.execute(f"ALTER DATABASE {database} OWNER TO {owner}")
        try:
            as_owner = make_conninfo(empty_database, user=owner, password="owner")
            made = finished(new_folder, "migrate", DATABASE_URL=as_owner)
            assert made.process.returncode == 0, made.said
            admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'login'")
            admin.execute(f"GRANT deedbook_service TO {login}")
            as_login = make_conninfo(empty_database, user=login, password="login")
            for arguments in (("migrate",), ("token", "create", "first", "--direct")):
                done = finished(new_folder, *arguments, DATABASE_URL=as_login)
                assert done.process.returncode == 0, done.said
            with started(new_folder, *UP, "--no-import", DATABASE_URL=as_login) as running:
                running.url()
                assert write(new_folder, "works") == 201
                running.signal(signal.SIGTERM)
                running.ends()
            with (
                psycopg.connect(as_login) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute("DELETE FROM event")
        finally:
            admin.execute(f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
            admin.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER")
            for role in (owner, login):
                admin.execute(f"DROP OWNED BY {role}")
                admin.execute(f"DROP ROLE {role}")


def test_a_login_that_may_not_migrate_is_told_which_one_may(
    empty_database: str, new_folder: Path
) -> None:
    login = f"login_{secrets.token_hex(4)}"
    with psycopg.connect(empty_database, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'login'")
        as_login = make_conninfo(empty_database, user=login, password="login")
        refused = finished(new_folder, *UP, "--no-import", DATABASE_URL=as_login)
        admin.execute(f"DROP ROLE {login}")
    assert refused.process.returncode == 4
    assert "DEEDBOOK_ADMIN_DATABASE_URL" in refused.said


def test_serve_can_start_the_embedded_postgres(folder: Path) -> None:
    with started(folder, "serve", "--port", "0") as running:
        url = running.line("Serving ").split()[1]
        with request(url, connection_of(folder)["token"], "/v1/projects/deedbook") as answer:
            assert answer.status == 200
        running.signal(signal.SIGTERM)
        assert running.ends() == 143


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:s3cret@127.0.0.1:1/deedbook?connect_timeout=2",
        "postgress//ada:s3cret@127.0.0.1/deedbook",
    ],
)
@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_database_that_cannot_be_used_is_said_without_its_password(
    new_folder: Path, url: str, command: str
) -> None:
    failed = finished(new_folder, command, "--port", "0", DATABASE_URL=url)
    assert failed.process.returncode in {2, 7}
    assert len(failed.err) <= 2
    assert "s3cret" not in failed.said


def test_requests_are_logged_when_asked_for_and_tokens_never(folder: Path) -> None:
    for asked, expected in (("", 0), ("true", 1)):
        with started(folder, *UP, DEEDBOOK_ACCESS_LOG=asked) as running:
            url = running.url()
            token = connection_of(folder)["token"]
            with request(url, token, "/v1/projects/deedbook") as answer:
                assert answer.status == 200
            running.signal(signal.SIGTERM)
            running.ends()
        assert sum("GET /v1/projects/deedbook 200" in line for line in running.err) == expected
        assert token not in running.said


def test_quiet_prints_the_url_alone(folder: Path) -> None:
    with started(folder, "--quiet", *UP) as running:
        url = running.line("http://")
        with request(url, None, "/healthz") as answer:
            assert answer.status == 200
        running.signal(signal.SIGTERM)
        running.ends()
    assert running.said == url


def test_a_reader_of_its_output_may_leave(folder: Path) -> None:
    (folder / "connection.json").unlink()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "app", *UP],
        cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        running.stdout.close()
        eventually((folder / "connection.json").exists, SECONDS)
        # The port listens before it is written down, and answers as soon as the service is ready.
        assert write(folder, "works") == 201
        running.terminate()
        assert running.wait(SECONDS) == 143


def test_commands_are_named_as_they_are_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert up._command(ROOT / ".deedbook") == "python3 run.py"
    monkeypatch.chdir(tmp_path)
    assert up._command(ROOT / ".deedbook") == f"python3 {shlex.quote(str(ROOT / 'run.py'))}"
    monkeypatch.setattr(up, "CHECKOUT", tmp_path / "site-packages")
    assert up._command(tmp_path / ".deedbook") == "deedbook"
    assert up._command(tmp_path / "a b") == f"DEEDBOOK_DATA='{tmp_path}/a b' deedbook"
