"""The verifier as one file: a ZIP that Python runs (PEP 441), with the code that `deedbook verify` runs.

The same sources give the same bytes. Nothing compiled is in it: `app.offline.verifier.msgspec` takes the place
of `msgspec`, and `cryptography` has to be on the machine, for the signatures.
"""

import secrets
import zlib
from pathlib import Path

from app.offline.verifier.closure import closure_of
from app.version import VERSION
from domain.errors import Conflict, Invalid
from projections.zip_layout import central_record, end_records, local_header

ROOT = Path(__file__).resolve().parents[3]
MAIN = "app.offline.verifier.main"
STAND_IN = "app.offline.verifier.msgspec"
FROM_OUTSIDE = frozenset({"cryptography", "msgspec"})
"""What the sources may import beside the standard library."""

_SHEBANG = b"#!/usr/bin/env python3\n"
_START = f'''"""Deedbook's verifier {VERSION} as one file: `python3 THIS.pyz EXPORT.zip`, or --help."""

import sys

if sys.version_info < (3, 11):
    sys.stderr.write("error: this needs Python 3.11 or newer, and runs on %s\\n" % sys.version.split()[0])
    sys.exit(2)

from app.offline.verifier.main import main

sys.exit(main(sys.argv[1:]))
'''
"""Runs first. It parses on every Python 3, so that an old one gets a clear line."""


def packed(root: Path = ROOT) -> bytes:
    """The bytes of the file.

    Raises:
        RuntimeError: The sources import what cannot be packed.
    """
    found = closure_of(root, (MAIN,))
    surplus = found.outside.keys() - FROM_OUTSIDE
    if surplus:
        name = min(surplus)
        raise RuntimeError(f"{found.outside[name]} imports {name}, which cannot be packed")
    stand_in = closure_of(root, (STAND_IN,)).sources
    files = {"__main__.py": _START.encode()}
    for file in found.sources.values():
        files[file.relative_to(root).as_posix()] = file.read_bytes()
    for name, file in stand_in.items():
        if name.startswith(STAND_IN):
            inside = file.relative_to(root.joinpath(*STAND_IN.split("."))).as_posix()
            files[f"msgspec/{inside}"] = file.read_bytes()
    return _archive(files)


def write_packed(file: Path, content: bytes, *, overwrite: bool) -> bool:
    """Put it there, ready to be run; answers False when it was there already, byte for byte.

    Raises:
        Conflict: `file-exists`: another file is there.
        Invalid: `file-unwritable`.
    """
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        if file.exists() and not overwrite:
            if file.stat().st_size == len(content) and file.read_bytes() == content:
                return False
            raise Conflict(
                "file-exists", f"{file} is there and differs; give --force, or another -o."
            )
        try:
            part.write_bytes(content)
            part.chmod(0o755)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Invalid("file-unwritable", f"{file} cannot be written: {error.strerror}.") from None
    return True


def _archive(files: dict[str, bytes]) -> bytes:
    """A ZIP behind the line that lets a shell run it."""
    bodies, directory, offset = [_SHEBANG], b"", len(_SHEBANG)
    for path, content in sorted(files.items()):
        crc32 = zlib.crc32(content)
        header = local_header(path, len(content), crc32)
        directory += central_record(path, len(content), crc32, offset)
        bodies += (header, content)
        offset += len(header) + len(content)
    return b"".join((*bodies, directory, end_records(len(files), len(directory), offset)))
