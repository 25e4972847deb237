"""What an index elsewhere answered instead of doing what it should, and what follows from it."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

Kind = Literal["unavailable", "rate-limited", "rejected", "unauthorized"]

RATE_LIMITED_SECONDS = 60.0
"""The wait after 429 when the answer names none."""
LONGEST_SECONDS = 86_400.0
"""No wait is longer, whatever an answer asks for."""
MAX_TOLD_CHARACTERS = 200

_SECONDS = re.compile(r"[0-9]{1,9}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class RemoteFault(Exception):
    """The index did not do what it was asked.

    Args:
        kind: `unavailable`: away, or somebody between answers for it; `rate-limited`: asked too often;
            `rejected`: it does not take this, and will not take it later; `unauthorized`: it does not
            know our token.
        told: What happened: a status, an error's name, the service's own words. It is cut and cleaned.
        retry_after: The header of that name, if there was one (RFC 9110 §10.2.3).
    """

    def __init__(self, kind: Kind, told: str, *, retry_after: str | None = None) -> None:
        self.kind = kind
        self.told = _UNPRINTABLE.sub(" ", told)[:MAX_TOLD_CHARACTERS]
        self._retry_after = retry_after
        super().__init__(f"{_SENTENCES[kind]}: {self.told}")

    @property
    def passing(self) -> bool:
        """Whether the same request may do later on."""
        return self.kind in {"unavailable", "rate-limited"}

    def wait_seconds(self, now: datetime) -> float | None:
        """For how long the index should be left alone; None: it did not say, and nothing follows.

        A `Retry-After` is kept to. Without one 429 means 60 seconds. A daily limit is over at the next
        UTC midnight and no sooner.
        """
        said = self._said(now)
        if self.kind != "rate-limited":
            return said
        if "daily limit" in self.told.lower():
            here = now.astimezone(UTC)
            midnight = here.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            return max((midnight - here).total_seconds(), said or 0.0)
        return RATE_LIMITED_SECONDS if said is None else said

    def _said(self, now: datetime) -> float | None:
        text = (self._retry_after or "").strip()
        if _SECONDS.fullmatch(text):
            return min(float(text), LONGEST_SECONDS)
        try:
            then = parsedate_to_datetime(text)
        except (ValueError, OverflowError):  # such as a year of twenty digits
            return None
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        return min(max((then - now).total_seconds(), 0.0), LONGEST_SECONDS)


_SENTENCES: dict[Kind, str] = {
    "unavailable": "the hosted index does not answer",
    "rate-limited": "the hosted index was asked too often",
    "rejected": "the hosted index does not take this",
    "unauthorized": "the hosted index does not know the token",
}
