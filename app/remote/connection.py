"""Which ledger the command line talks to: the file `connection.json`, and what stands above it.

A flag wins over a `DEEDBOOK_*` variable, which wins over the file, which wins over the default.
"""

from pathlib import Path

import msgspec

from app.private_file import write_private
from app.settings import Settings
from domain.errors import Malformed

FILE_NAME = "connection.json"
MAX_FILE_BYTES = 65_536


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a ledger is, with which token, and which project is meant when none is named."""

    url: str
    token: str | None = None
    project: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Connection(url={self.url!r}, project={self.project!r})"


def connection_file(data_folder: Path) -> Path:
    """The file's place in the data folder."""
    return data_folder / FILE_NAME


def read_connection(data_folder: Path) -> Connection | None:
    """What the file says; None when there is none.

    Raises:
        Malformed: `invalid-parameter`, naming the file.
    """
    file = connection_file(data_folder)
    try:
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(MAX_FILE_BYTES), type=Connection)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed("invalid-parameter", f"{file} cannot be used: {error}.") from None


def write_connection(data_folder: Path, connection: Connection) -> Path:
    """Keep the connection for later commands; readable by its owner only."""
    file = connection_file(data_folder)
    write_private(file, msgspec.json.format(msgspec.json.encode(connection), indent=2) + b"\n")
    return file


def choose(
    settings: Settings,
    kept: Connection | None,
    *,
    url: str | None = None,
    token: str | None = None,
    project: str | None = None,
) -> Connection:
    """The connection that holds, from flags, settings and the file.

    The file's token and project belong to the file's URL: another ledger is never sent them.
    """
    named = url or settings.deedbook_url
    default = f"http://{address_to_connect(settings.deedbook_listen)}:{settings.deedbook_port}"
    chosen = (named or (kept.url if kept else default)).rstrip("/")
    if kept is not None and kept.url.rstrip("/") != chosen:
        kept = None
    return Connection(
        url=chosen,
        token=token or settings.deedbook_token or (kept.token if kept else None),
        project=project or settings.deedbook_project or (kept.project if kept else None),
    )


def address_to_connect(listen: str) -> str:
    """How a URL names this machine, when it listens on an address."""
    if listen in {"0.0.0.0", "::", ""}:  # noqa: S104 -- recognised here, not bound
        return "127.0.0.1"
    return f"[{listen}]" if ":" in listen else listen
