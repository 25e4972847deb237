"""A plugin for pytest: whatever is verified is verified by the stand-in's twin as well, and compared.

`test_single_file_verifier` runs the tests of `deedbook verify` with it.
"""

from collections.abc import Iterator

import pytest

import projections.verify
from projections.verify_report import Report
from tests.twin_modules import twin_modules

_one = projections.verify.verify
_other = twin_modules("projections.verify")["projections.verify"].verify
_count = [0]


def both(*arguments: object, **keywords: object) -> Report:
    """Verify, and refuse to go on when the two do not say the same."""
    report = _one(*arguments, **keywords)  # type: ignore[arg-type]  # handed through as given
    twin = _other(*arguments, **keywords)
    assert type(twin) is not type(report)
    assert twin.state == report.state
    seen = [[(one.id, one.ok) for one in each.checks] for each in (report, twin)]
    assert seen[0] == seen[1]
    assert repr(twin.summary) == repr(report.summary)
    assert (twin.zip_sha256, twin.notes) == (report.zip_sha256, report.notes)
    _count[0] += 1
    return report


projections.verify.verify = both  # before anybody imports it


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say how often."""
    terminalreporter.write_line(f"verified twice: {_count[0]}")
    yield
