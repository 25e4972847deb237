"""What an index elsewhere answered instead of doing what it should, and when trying again may help."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

Kind = Literal["unavailable", "rate-limited", "rejected", "unauthorized"]

RATE_LIMITED_SECONDS = 60.0
MAX_WAIT_SECONDS = 24 * 60 * 60.0
DAILY = "daily"
"""Stands in the message when a day's allowance is used up; it begins anew at midnight, UTC."""


class RemoteFault(Exception):
    """A request to an index elsewhere failed, or its answer is lost: then it may have been carried out.

    Attributes:
        kind: `unavailable`: no answer, or none that can be read; `rate-limited`; `rejected`: the request is
            wrong for the index; `unauthorized`: our token is.
    """

    def __init__(self, kind: Kind, detail: str, *, retry_after: str | None = None) -> None:
        super().__init__(detail)
        self.kind: Kind = kind
        self._retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether trying again may help, without anybody doing anything."""
        return self.kind in {"unavailable", "rate-limited"}

    def wait_seconds(self, now: datetime) -> float | None:
        """How long the index asks to be left alone; None: it does not say."""
        asked = self._asked(now)
        if asked is not None:
            return min(max(asked, 0.0), MAX_WAIT_SECONDS)
        if self.kind != "rate-limited":
            return None
        if DAILY in str(self).lower():
            midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            return (midnight + timedelta(days=1) - now).total_seconds()
        return RATE_LIMITED_SECONDS

    def _asked(self, now: datetime) -> float | None:
        """`Retry-After` in seconds: a number, or a date (RFC 9110, section 10.2.3)."""
        given = self._retry_after
        if given is None:
            return None
        if given.isascii() and given.isdigit():
            return float(given[:9])
        try:
            return (parsedate_to_datetime(given) - now).total_seconds()
        except (ValueError, TypeError):  # no date, or one without a zone
            return None
