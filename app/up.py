"""Starting a ledger: `up`, a whole one from nothing, and `serve`, the API over a database that is ready."""

import contextlib
import os
import shlex
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from adapters.data_folder import FolderLock, make_data_folder
from adapters.postgres_sessions import LINK_MINUTES
from app.bootstrap import open_ledger, own_database, ready_database
from app.ending import until_told
from app.first_import import fill, open_project
from app.http.visitor import sign_in_path
from app.ledger import Ledger
from app.remote.connection import Connection, connection_file, read_connection, write_connection
from app.serving import listen, serve_ledger, url_of
from app.settings import CHECKOUT, Settings
from domain.errors import Conflict, DeedbookError

PROJECT = "deedbook"
TOKEN_NAME = "owner"  # noqa: S105 -- what it is called, not what it is
LOCK = "service.lock"


def serve(settings: Settings) -> int:
    """Serve the API until a signal comes; answers the exit code.

    Raises:
        Conflict: `migrations-pending`, `port-taken`, `already-running`.
        Unavailable: `database-unavailable`, `postgres-failed`.
    """
    return until_told(lambda: _serve(settings))


def up(settings: Settings, *, first_import: bool, quiet: bool = False) -> int:
    """Start everything that is needed, and serve until a signal comes; answers the exit code.

    The port is taken before anything else is done, and the connection is kept in the data folder
    before it is printed. What is begun is ended in the reverse order, Postgres last.

    Args:
        settings: Where, and on which database.
        first_import: Whether a new ledger imports the git repository of the settings.
        quiet: Print the URL alone.

    Raises:
        Conflict: `already-running`, `port-taken`.
        Unavailable: `postgres-failed`, `postgres-absent`, `database-unavailable`,
            `data-folder-unusable`.
    """
    return until_told(lambda: _up(settings, first_import=first_import, quiet=quiet))


def _serve(settings: Settings) -> None:
    with ExitStack() as closing:
        listener = closing.enter_context(listen(settings))
        url = closing.enter_context(ready_database(settings))
        ledger = closing.enter_context(open_ledger(settings, url, serving=True))
        serve_ledger(
            ledger, listener, settings, ready=lambda: _print(f"Serving {url_of(listener)}")
        )


def _up(settings: Settings, *, first_import: bool, quiet: bool) -> None:
    say = (lambda _: None) if quiet else _say
    folder = make_data_folder(settings.data_folder)
    with ExitStack() as closing:
        lock = closing.enter_context(FolderLock(folder / LOCK))
        listener = closing.enter_context(_claim(lock, folder, settings))
        if settings.embedded and not (folder / "postgres").exists():
            say(f"Making a database in {folder}.")
        url = closing.enter_context(own_database(settings))
        ledger = closing.enter_context(open_ledger(settings, url, serving=True, make_key=True))
        project = settings.deedbook_project or PROJECT
        if first_import:
            fill(ledger, project, settings.repository, folder, say=say, quiet=quiet)
        else:
            open_project(ledger, project)
        connection, new = _connection(ledger, folder, url_of(listener), project)
        write_connection(folder, connection)
        text = connection.url if quiet else _welcome(ledger, connection, folder, show_token=new)
        serve_ledger(ledger, listener, settings, ready=lambda: _print(text))


def _claim(lock: FolderLock, folder: Path, settings: Settings) -> socket.socket:
    """The folder and the port for this process alone; says which of them another one has."""
    if not lock.take(f"{os.getpid()}\n"):
        pid, _, url = lock.note().strip().partition("\n")
        where = f" at {url}" if url else ""
        raise Conflict(
            "already-running",
            f"The ledger in {folder} is running already{where} (process {pid or 'unknown'}): use "
            "it, stop it first, or choose another folder with DEEDBOOK_DATA.",
        )
    listener = listen(settings)
    lock.take(f"{os.getpid()}\n{url_of(listener)}\n")
    return listener


def _connection(ledger: Ledger, folder: Path, url: str, project: str) -> tuple[Connection, bool]:
    """The connection to keep, and whether its token is new: a kept one stays while it is good."""
    with contextlib.suppress(DeedbookError):  # a file that cannot be read is written anew
        kept = read_connection(folder)
        if kept is not None and kept.token is not None:
            ledger.tokens.find(kept.token).check_scope("admin")
            return Connection(url=url, token=kept.token, project=project), False
    secret, _ = ledger.tokens.create(TOKEN_NAME, scopes=("admin",))
    return Connection(url=url, token=secret, project=project), True


def _welcome(ledger: Ledger, connection: Connection, folder: Path, *, show_token: bool) -> str:
    assert connection.project is not None
    size = ledger.log.head(connection.project).size
    kept = _shown(connection_file(folder))
    command = _command(folder)
    events = "1 event" if size == 1 else f"{size:,} events"
    token = f"{connection.token} (kept in {kept})" if show_token else f"kept in {kept}"
    assert connection.token is not None
    secret, _ = ledger.sessions.make_link(ledger.tokens.find(connection.token))
    return f"""
Deedbook is ready at {connection.url} (Ctrl-C stops it).

  look     {connection.url}{sign_in_path(secret)}
           (signs your browser in, once, within {LINK_MINUTES} minutes)
  API      {connection.url}/v1
  OpenAPI  {connection.url}/openapi.json
  project  {connection.project}, {events}
  token    {token}

Try next, in another terminal:
  {command} log
  {command} export {connection.project} --seal
  {command} verify {connection.project}-{size}.zip --trust {_shown(folder / "keys" / "trust.json")}
"""


def _shown(file: Path) -> str:
    """A path as a person would type it here."""
    with contextlib.suppress(ValueError):
        file = file.relative_to(Path.cwd())
    return shlex.quote(str(file))


def _command(folder: Path) -> str:
    """How this program is called, from where the person is, so that it finds this data folder."""
    script = CHECKOUT / "run.py"
    if script.exists():
        here = script.name if Path.cwd() == CHECKOUT else shlex.quote(str(script))
        command, finds = f"python3 {here}", CHECKOUT / ".deedbook"
    else:
        command, finds = "deedbook", Path.cwd() / ".deedbook"
    return command if finds == folder else f"DEEDBOOK_DATA={shlex.quote(str(folder))} {command}"


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 -- this is the command line's voice


def _print(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 -- this is the command line's voice
    except OSError:
        # A reader such as `head` has enough. The service goes on, and its end must not fail on the rest.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
