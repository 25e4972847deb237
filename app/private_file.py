"""Small files that are for their owner only, written whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_private(file: Path, content: bytes) -> None:
    """Put the content in the file's place, with mode 0600; its folder is made if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp gives mode 0600; renaming means that a crash leaves the old file or the new one.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.stem}-", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        Path(temporary).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
