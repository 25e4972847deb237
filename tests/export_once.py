"""Writes an export in a process of its own: `python -m tests.export_once URL FILE POSITION [SCOPE]`.

The layout is made anew, so that it depends on this process and not on an earlier one.
"""

import sys
from pathlib import Path

import psycopg

from tests.ledger_samples import open_ledger, write_export


def main(url: str, file: str, position: str, scope: str = "project") -> None:
    """Forget the layouts, lay the export out, write it."""
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM export_file")
        connection.execute("DELETE FROM export")
    with open_ledger(url) as ledger:
        sys.stdout.write(write_export(ledger, Path(file), int(position), scope))


if __name__ == "__main__":
    main(*sys.argv[1:])
