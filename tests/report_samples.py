"""Real reports in `data/reports`, and where the tools ran that wrote some of them."""

from pathlib import Path

from adapters.report import read_report
from domain.verification import Check

FOLDER = Path(__file__).parent / "data" / "reports"
ROOTS = ("/home/runner/work/sample", "C:/code/myProject")


def sample(name: str) -> bytes:
    """The bytes of a sample."""
    return (FOLDER / name).read_bytes()


def names(*patterns: str) -> list[str]:
    """The samples of some kinds."""
    return sorted(file.name for pattern in patterns for file in FOLDER.glob(pattern))


def only(raw: bytes, format_name: str | None = None) -> Check:
    """The one check in a report."""
    [check] = read_report(raw, format_name, ROOTS)
    return check
