"""A file that a command writes: whole, or what was there before stays."""

from pathlib import Path

from domain.errors import Invalid


def write_whole(file: Path, content: bytes) -> None:
    """Put it there.

    Raises:
        Invalid: `file-unwritable`.
    """
    part = file.with_name(file.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(file)
    except OSError as error:
        raise Invalid(
            "file-unwritable", f"{file} cannot be written: {error.strerror or error}."
        ) from None
