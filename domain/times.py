"""Times as they stand in events: RFC 3339, UTC, six digits and `Z`, so that text sorts like time."""

from datetime import UTC, datetime

from domain.errors import Damaged

EPOCH = "1970-01-01T00:00:00.000000Z"


def format_time(time: datetime) -> str:
    """Such as `2026-11-20T10:00:00.000000Z`."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The inverse; refuses every other spelling.

    Raises:
        Damaged: `event-malformed`.
    """
    try:
        time = datetime.fromisoformat(text)  # five times as fast as strptime; the check is below
    except ValueError:
        time = None
    if time is None or time.tzinfo is not UTC or format_time(time) != text:
        raise Damaged("event-malformed", f"{text[:40]!r} is not a time as events have it.")
    return time


def milliseconds_between(start: str, end: str) -> int:
    """From one time of an event to a later one.

    Raises:
        Damaged: `event-malformed`.
    """
    passed = parse_time(end) - parse_time(start)
    return passed.days * 86_400_000 + passed.seconds * 1_000 + passed.microseconds // 1_000
