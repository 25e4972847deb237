"""The embedded PostgreSQL: what it keeps, whom it lets in, and that it leaves nothing behind."""

import os
import select
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters import embedded_postgres, postgres_account
from adapters.embedded_postgres import EmbeddedPostgres, available
from domain.errors import Conflict, Unavailable
from tests.log_samples import eventually

ROOT = Path(__file__).parent.parent
HOLDER = """
import ctypes, os, sys, threading
from pathlib import Path
from adapters.embedded_postgres import EmbeddedPostgres

def hold():
    global server
    server = EmbeddedPostgres.open(Path(sys.argv[1]), fast=True)
    print(server.admin_url, flush=True)

for number in sys.argv[3:]:
    # What a container may take from its root: prctl(2), PR_CAPBSET_DROP.
    assert ctypes.CDLL(None, use_errno=True).prctl(24, int(number), 0, 0, 0) == 0
if len(sys.argv) > 3:
    os.execv(sys.executable, [sys.executable, "-c", os.environ["HOLDER"], *sys.argv[1:3]])
if sys.argv[2] == "thread":
    starter = threading.Thread(target=hold)
    starter.start()
    starter.join()
else:
    hold()
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(not available(), reason="no embedded PostgreSQL for this platform")
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has to become somebody else"
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux about processes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """A folder that every account may pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name) / "data"


@contextmanager
def holder(
    folder: Path, starter: str = "main", without: Sequence[int] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs the server, killed with -9 at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), starter, *map(str, without)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"HOLDER": HOLDER},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert "host=" in process.stdout.readline()
            yield process
        finally:
            process.kill()


def server_pid(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended may wait for a parent who asks.
    return sys.platform != "linux" or process_status(pid, "State")[0] != "Z"


def ends(pid: int, seconds: float = 30) -> bool:
    """Whether a process that is not our child ends in time."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)


def remember(url: str, word: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (word,))


def remembered(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM kept ORDER BY word")]


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def process_status(pid: int, field: str) -> list[str]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return rest.split()
    raise AssertionError(field)


def test_a_stopped_server_leaves_no_process_and_no_socket(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True):
        pid = server_pid(folder)
        assert alive(pid)
    assert not alive(pid)
    assert not (folder / "postgres" / "postmaster.pid").exists()
    assert list((folder / "socket").iterdir()) == []
    assert not (folder / "postgres.partial").exists()


def test_a_second_start_keeps_the_data(folder: Path) -> None:
    for word in ("first", "second"):
        with EmbeddedPostgres.open(folder, fast=True) as server:
            remember(server.admin_url, word)
            assert word in remembered(server.admin_url)
    with EmbeddedPostgres.open(folder, fast=True) as server:
        assert remembered(server.admin_url) == ["first", "second"]


def test_the_server_is_durable_checks_its_pages_and_is_not_on_the_network(folder: Path) -> None:
    with EmbeddedPostgres.open(folder) as server:
        url = server.admin_url
        for setting, expected in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
        }.items():
            assert value(url, f"SHOW {setting}") == expected, setting
        assert value(url, "SELECT current_database()") == "deedbook"
        assert value(url, "SELECT 'Z' < 'a' AND lower('ÄÖ') = 'äö'") is True


@pytest.mark.parametrize(
    ("gib", "mib"), [(0, 128), (1, 128), (4, 256), (8, 512), (24, 1_024), (512, 1_024)]
)
def test_a_large_machine_keeps_more_of_the_files_in_memory(gib: int, mib: int) -> None:
    assert embedded_postgres.shared_mib(gib * 2**30) == mib


def test_only_the_right_password_opens_the_door(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True) as server:
        for wrong in ("wrong", ""):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(make_conninfo(server.admin_url, password=wrong))
        with psycopg.connect(server.admin_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE reader LOGIN PASSWORD 'of its own'")
        as_reader = make_conninfo(server.admin_url, user="reader", password="of its own")
        assert value(as_reader, "SELECT current_user") == "reader"


def test_what_is_secret_can_be_read_by_its_owner_only(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True):
        private = ("postgres", "socket", "postgres.password", "postgres.log", "postgres.lock")
        for name in private:
            assert stat.S_IMODE((folder / name).stat().st_mode) & 0o077 == 0, name
        assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True):
        assert os.getsid(server_pid(folder)) != os.getsid(0)


@on_linux
def test_a_killed_service_takes_its_server_with_it(folder: Path) -> None:
    with holder(folder) as process:
        pid = server_pid(folder)
        process.kill()
        assert ends(pid)


def test_after_a_kill_the_next_start_works_and_keeps_the_data(folder: Path) -> None:
    with holder(folder):
        with EmbeddedPostgres.open(folder, fast=True) as joined:
            remember(joined.admin_url, "before")
        killed = server_pid(folder)
    with EmbeddedPostgres.open(folder, fast=True, share=False) as server:
        assert server_pid(folder) != killed
        assert remembered(server.admin_url) == ["before"]
    assert ends(killed)


def test_a_server_left_by_a_killed_service_is_ended_first(folder: Path) -> None:
    # Started in a thread that has ended, it is not told of its parent's end.
    with holder(folder, starter="thread"):
        with EmbeddedPostgres.open(folder, fast=True) as joined:
            remember(joined.admin_url, "before")
        orphan = server_pid(folder)
    assert alive(orphan)
    with EmbeddedPostgres.open(folder, fast=True, share=False) as server:
        assert not alive(orphan)
        assert remembered(server.admin_url) == ["before"]


def test_a_killed_server_recovers_at_the_next_start(folder: Path) -> None:
    server = EmbeddedPostgres.open(folder)
    try:
        with psycopg.connect(server.admin_url) as busy:
            remember(server.admin_url, "before")
            os.kill(server_pid(folder), 9)
            with pytest.raises(psycopg.OperationalError):
                busy.execute("SELECT pg_sleep(60)")
    finally:
        server.close()
    with EmbeddedPostgres.open(folder) as again:
        assert remembered(again.admin_url) == ["before"]


def answers(url: str) -> bool:
    try:
        return value(url, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def test_a_server_that_is_kept_is_started_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedPostgres.open(folder, keep=True) as server:
        remember(server.admin_url, "before")
        for _ in range(2):
            killed = server_pid(folder)
            os.kill(killed, 9)
            assert ends(killed)
            assert eventually(lambda: answers(server.admin_url), 60)
            assert remembered(server.admin_url) == ["before"]
        last = server_pid(folder)
        assert caplog.text.count("starting it again") == 2
    assert not alive(last)
    assert not (folder / "postgres" / "postmaster.pid").exists()


def test_a_kept_server_that_cannot_start_is_tried_again(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "AGAIN_SECONDS", (0.0, 0.05))
    with EmbeddedPostgres.open(folder, fast=True, keep=True) as server:
        (folder / "postgres" / "PG_VERSION").write_text("9\n")
        os.kill(server_pid(folder), 9)
        assert eventually(lambda: caplog.text.count("could not be started again") > 1, 60)
        (folder / "postgres" / "PG_VERSION").write_text("18\n")
        assert eventually(lambda: answers(server.admin_url), 60)


def test_a_server_that_lasted_is_started_again_without_a_pause(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "AGAIN_SECONDS", (0.0, 600.0))
    monkeypatch.setattr(embedded_postgres, "LASTING_SECONDS", 0.0)
    with EmbeddedPostgres.open(folder, fast=True, keep=True) as server:
        for _ in range(2):
            killed = server_pid(folder)
            os.kill(killed, 9)
            assert ends(killed)
            assert eventually(lambda: answers(server.admin_url), 60)


def test_a_stop_while_it_is_started_again_leaves_nothing(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True, keep=True) as server:
        os.kill(server_pid(folder), 9)
    assert not answers(server.admin_url)
    with EmbeddedPostgres.open(folder, fast=True, share=False) as server:
        assert answers(server.admin_url)


def test_nothing_is_started_after_the_stop(folder: Path) -> None:
    found = embedded_postgres.programs()
    assert found is not None
    folder.mkdir()
    server = embedded_postgres._Server(folder, found, fast=True)
    server.stop()
    with pytest.raises(Unavailable, match="shutting down"):
        server.start()


@on_linux
def test_a_kept_server_still_ends_with_the_process_that_keeps_it(folder: Path) -> None:
    code = HOLDER.replace("fast=True", "fast=True, keep=True")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder), "main"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as keeping:  # fmt: skip
        assert keeping.stdout is not None
        keeping.stdout.readline()
        first = server_pid(folder)
        os.kill(first, 9)
        assert ends(first)
        with EmbeddedPostgres.open(folder) as joined:  # waits until the new one answers
            assert server_pid(folder) != first
            assert answers(joined.admin_url)
        second = server_pid(folder)
        keeping.kill()
        keeping.communicate()
        assert ends(second), "it was started by a thread, and must know its process"


def test_a_process_that_got_the_number_of_a_dead_server_is_left_alone(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True):
        note = (folder / "postgres" / "postmaster.pid").read_text()
        number, rest = note.split("\n", 1)
        socket_note = folder / "socket" / ".s.PGSQL.5432.lock"
        socket_text = socket_note.read_text()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (folder / "postgres" / "postmaster.pid").write_text(f"{other.pid}\n{rest}")
        socket_note.write_text(socket_text.replace(number, str(other.pid)))
        with EmbeddedPostgres.open(folder, fast=True) as server:
            assert value(server.admin_url, "SELECT 1") == 1
        assert other.poll() is None
        other.communicate(b"\n")


def test_a_second_service_on_the_folder_is_refused_and_told_by_whom(folder: Path) -> None:
    with (
        holder(folder) as first,
        pytest.raises(Conflict, match=f"already running, pid {first.pid}") as refused,
    ):
        EmbeddedPostgres.open(folder, share=False)
    assert refused.value.code == "already-running"
    assert str(folder) in refused.value.detail


def test_a_command_joins_the_running_server_and_leaves_it_running(folder: Path) -> None:
    with holder(folder):
        with EmbeddedPostgres.open(folder) as joined:
            assert value(joined.admin_url, "SELECT 1") == 1
        with EmbeddedPostgres.open(folder) as joined:
            assert value(joined.admin_url, "SELECT 1") == 1


@pytest.mark.parametrize("socket_line", ["", "\n", "\n."])
def test_a_command_that_comes_while_the_server_starts_waits_for_it(
    folder: Path, socket_line: str
) -> None:
    with holder(folder):
        note = (folder / "postgres" / "postmaster.pid").read_text()
        lines = note.split("\n")
        partial = "\n".join(lines[:4]) + socket_line
        (folder / "postgres" / "postmaster.pid").write_text(partial)
        assert embedded_postgres._url_of_running(folder) is None
        (folder / "postgres" / "postmaster.pid").write_text(note)
        with EmbeddedPostgres.open(folder) as joined:
            assert value(joined.admin_url, "SELECT 1") == 1


def test_a_folder_with_a_very_long_name_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    with EmbeddedPostgres.open(folder, fast=True) as server:
        sockets = Path(str(conninfo_to_dict(server.admin_url)["host"]))
        assert folder not in sockets.parents
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert value(server.admin_url, "SELECT 1") == 1
        with EmbeddedPostgres.open(folder) as joined:
            assert joined.admin_url == server.admin_url
    assert not sockets.exists()


def test_a_folder_that_somebody_else_put_in_the_sockets_place_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "socket").mkdir()
    (folder / "socket").chmod(0o777)
    with pytest.raises(Unavailable, match="not a private folder"):
        EmbeddedPostgres.open(folder, fast=True)


def test_an_interrupted_first_start_begins_afresh(folder: Path) -> None:
    (folder / "postgres.partial" / "data").mkdir(parents=True)
    (folder / "postgres.partial" / "data" / "PG_VERSION").write_text("18\n")
    (folder / "postgres.password").write_text("of the interrupted start")
    with EmbeddedPostgres.open(folder, fast=True) as server:
        assert value(server.admin_url, "SELECT 1") == 1


def test_a_failed_start_says_what_the_server_said_and_leaves_nothing_running(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True):
        pass
    (folder / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(Unavailable, match="not compatible") as failed:
        EmbeddedPostgres.open(folder, fast=True)
    assert failed.value.code == "postgres-failed"
    (folder / "postgres" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres.open(folder, fast=True, share=False) as server:
        assert value(server.admin_url, "SELECT 1") == 1


def test_a_lost_password_is_said(folder: Path) -> None:
    with EmbeddedPostgres.open(folder, fast=True):
        pass
    password = (folder / "postgres.password").read_text()
    (folder / "postgres.password").write_text("another")
    with pytest.raises(Unavailable, match="authentication failed"):
        EmbeddedPostgres.open(folder, fast=True)
    (folder / "postgres.password").unlink()
    with pytest.raises(Unavailable, match="put the file back"):
        EmbeddedPostgres.open(folder, fast=True)
    (folder / "postgres.password").write_text(password)
    with EmbeddedPostgres.open(folder, fast=True) as server:
        assert value(server.admin_url, "SELECT 1") == 1


def test_a_huge_log_is_set_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedPostgres.open(folder, fast=True):
        pass
    size = (folder / "postgres.log").stat().st_size
    monkeypatch.setattr(embedded_postgres, "MAX_LOG_BYTES", size - 1)
    with EmbeddedPostgres.open(folder, fast=True):
        assert (folder / "postgres.log.1").stat().st_size == size


def test_without_a_wheel_the_way_out_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "programs", lambda: None)
    assert not available()
    with pytest.raises(Unavailable, match="set DATABASE_URL") as absent:
        EmbeddedPostgres.open(folder)
    assert absent.value.code == "postgres-absent"
    assert not folder.exists()


def test_the_wheels_own_starter_is_never_imported() -> None:
    code = (
        "import sys; from adapters.embedded_postgres import available; "
        "available(); print('embedded_postgres' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"


@as_root
@on_linux
def test_root_below_a_private_folder_makes_no_account_and_widens_nothing(tmp_path: Path) -> None:
    private = tmp_path / "home"
    private.mkdir()
    private.chmod(0o700)
    folder = private / "data"
    above = [place.stat().st_mode for place in folder.parents]
    accounts = [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group")]
    with EmbeddedPostgres.open(folder, fast=True) as server:
        pid = server_pid(folder)
        assert process_status(pid, "Uid")[0] != "0"
        assert process_status(pid, "Groups") == []
        # CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH, and no other
        assert int(process_status(pid, "CapEff")[0], 16) in {1 << 1, 1 << 2}
        remember(server.admin_url, "kept")
    with EmbeddedPostgres.open(folder, fast=True) as server:
        assert remembered(server.admin_url) == ["kept"]
    assert [place.stat().st_mode for place in folder.parents] == above
    assert [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group")] == accounts


@as_root
@on_linux
def test_where_the_way_is_open_the_server_keeps_no_capability(reachable_folder: Path) -> None:
    found = embedded_postgres.programs()
    assert found is not None
    if any(not place.stat().st_mode & 0o001 for place in (found / "postgres").parents):
        pytest.skip("the programs of this environment lie below a private folder")
    with EmbeddedPostgres.open(reachable_folder, fast=True) as server:
        assert int(process_status(server_pid(reachable_folder), "CapEff")[0], 16) == 0
        assert value(server.admin_url, "SELECT 1") == 1


@as_root
@on_linux
def test_root_can_use_programs_that_were_installed_for_root_alone(
    reachable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = embedded_postgres.programs()
    assert found is not None
    packages, copied = found.parents[2], reachable_folder.parent / "packages"
    for package in packages.glob("embedded_postgres*"):
        shutil.copytree(package, copied / package.name, symlinks=True)
    for place in (copied, *copied.rglob("*")):
        if not place.is_symlink():
            place.chmod(place.stat().st_mode & 0o700)
    monkeypatch.setattr(embedded_postgres, "programs", lambda: copied / found.relative_to(packages))
    with EmbeddedPostgres.open(reachable_folder, fast=True) as server:
        assert value(server.admin_url, "SELECT 1") == 1


@as_root
@on_linux
def test_root_without_the_right_to_traverse_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(postgres_account, "_held_capabilities", lambda: ~(1 << 1 | 1 << 2))
    with pytest.raises(Unavailable, match="cannot reach") as failed:
        EmbeddedPostgres.open(tmp_path / "data", fast=True)
    assert "DATABASE_URL" in failed.value.detail


@as_root
@on_linux
def test_root_leaves_the_data_of_an_ordinary_account_to_it(reachable_folder: Path) -> None:
    with EmbeddedPostgres.open(reachable_folder, fast=True):
        pass
    for place in (reachable_folder / "postgres", *(reachable_folder / "postgres").rglob("*")):
        os.chown(place, 1, 1)
    shutil.rmtree(reachable_folder / "socket")
    with EmbeddedPostgres.open(reachable_folder, fast=True):
        assert process_status(server_pid(reachable_folder), "Uid")[0] == "1"


ALL_CAPABILITIES = range(41)
OF_A_CONTAINER = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
"""What the root of a container usually has; not DAC_READ_SEARCH, which would be enough here."""


@as_root
@on_linux
def test_the_root_of_a_container_can_start_stop_and_start_again(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = tmp_path / "data"
    without = [number for number in ALL_CAPABILITIES if number not in OF_A_CONTAINER]
    for word in ("first", "second"):
        with holder(folder, without=without) as process:
            with EmbeddedPostgres.open(folder) as joined:
                remember(joined.admin_url, word)
            pid = server_pid(folder)
            assert int(process_status(pid, "CapEff")[0], 16) == 1 << 1
            process.communicate("")
            assert ends(pid)
    with EmbeddedPostgres.open(folder, fast=True, share=False) as server:
        assert remembered(server.admin_url) == ["first", "second"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@as_root
@on_linux
@pytest.mark.parametrize("number", [0, 5, 6, 7], ids=["chown", "kill", "setgid", "setuid"])
def test_a_root_that_cannot_act_for_others_is_told_so_before_anything_is_made(
    folder: Path, number: int
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", HOLDER, str(folder), "main", str(number)],
        cwd=ROOT, env=os.environ | {"HOLDER": HOLDER}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "this root cannot act for another account" in said.stderr
    assert "set DATABASE_URL" in said.stderr
    assert [file.name for file in folder.iterdir()] == ["postgres.lock"]
