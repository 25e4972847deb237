"""A file that a command is given, or standard input for `-`: read whole, up to a limit."""

import sys
from pathlib import Path

from domain.errors import Invalid, NotFound, TooLarge


def read_given(file: str, limit: int) -> bytes:
    """Its bytes.

    Raises:
        NotFound: `file-not-found`.
        Invalid: `file-unreadable`.
        TooLarge: `body-too-large`: more than `limit` bytes.
    """
    try:
        if file == "-":
            content = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(limit + 1)
    except FileNotFoundError:
        raise NotFound("file-not-found", f"There is no file {file}.") from None
    except OSError as error:
        raise Invalid("file-unreadable", f"{file} cannot be read: {error.strerror}.") from None
    if len(content) > limit:
        raise TooLarge("body-too-large", f"{file} has more than {limit} bytes.")
    return content
