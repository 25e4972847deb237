"""The data folder: private from the beginning, and what lies in it is used by one process at a time."""

import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from domain.errors import Unavailable

MAX_NOTE_BYTES = 1_000


def make_data_folder(folder: Path) -> Path:
    """The folder under its one true name, made if need be; one that is there keeps its permissions.

    Raises:
        Unavailable: `data-folder-unusable`.
    """
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # To pass through, as PostgreSQL must when root starts it, is not to list or to read.
            folder.chmod(0o711 if os.name == "posix" and os.geteuid() == 0 else 0o700)
        folder = folder.resolve()
        usable = folder.is_dir()
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from None
    if not usable:
        raise _unusable(folder, "it is not a folder")
    return folder


class FolderLock:
    """One holder at a time; the kernel lets go of it whenever and however the holder's process ends.

    The file says in a note who holds it. Use it in a `with`, or release it.
    """

    def __init__(self, file: Path) -> None:
        try:
            # Not inherited by children (PEP 446), hence let go of when this process ends.
            descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            owner = "it belongs to another account" if isinstance(error, PermissionError) else None
            raise _unusable(file.parent, owner or error.strerror or str(error)) from None
        self._file: IO[bytes] = os.fdopen(descriptor, "a+b", buffering=0)
        self._held = False

    def take(self, note: str) -> bool:
        """Hold it and leave the note, or answer False because another process does."""
        try:
            import fcntl  # noqa: PLC0415 - absent on Windows, where only PostgreSQL itself guards
        except ImportError:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._held = True
        self._file.truncate(0)
        self._file.write(note.encode())
        return True

    def note(self) -> str:
        """What the holder left; empty while it has not yet."""
        self._file.seek(0)
        return self._file.read(MAX_NOTE_BYTES).decode(errors="replace")

    def release(self) -> None:
        """Let go of it, if it was held."""
        if self._held:
            self._held = False
            self._file.truncate(0)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _unusable(folder: Path, why: str) -> Unavailable:
    return Unavailable(
        "data-folder-unusable",
        f"{folder} cannot be used ({why}): start as the account that made it, or choose another "
        "folder with DEEDBOOK_DATA.",
    )
