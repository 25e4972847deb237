"""What an index elsewhere answered instead of doing what it should."""

from datetime import datetime


class RemoteFault(Exception):
    """A placeholder until the branch lands."""

    kind = "unavailable"
    passing = True

    def wait_seconds(self, now: datetime) -> float | None:
        """Seconds."""
        del now
        return None
