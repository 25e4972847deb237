"""Sends jobs to this ledger through QStash, which delivers them again until they are answered.

The SDK waits up to ten minutes for an answer and repeats every failure at once; here a job that cannot be sent
within seconds is sent by the next look at what is still to be done.
"""

from collections.abc import Mapping

import httpx

from domain.errors import Unavailable

TIMEOUT = httpx.Timeout(5.0, connect=2.0)
DELIVERIES = 3
"""That are tried after the first one."""


class QStashQueue:
    """A queue that calls back.

    Args:
        token: Of the queue.
        url: Where the job is sent to.
        base_url: Of QStash; None: its own.
    """

    def __init__(self, token: str, url: str, base_url: str | None = None) -> None:
        from qstash import QStash  # noqa: PLC0415 -- slow, and seldom needed

        self._url = url
        self._client = QStash(token, retry=False, base_url=base_url)
        self._client.http._client.timeout = TIMEOUT  # noqa: SLF001 -- the SDK offers no other way

    def send(self, job: Mapping[str, object], deduplication: str) -> None:
        """Have a job delivered.

        Args:
            job: What the receiver reads, as JSON.
            deduplication: The same job under the same words is delivered once.

        Raises:
            Unavailable: `queue-unavailable`.
        """
        from qstash.errors import QStashError  # noqa: PLC0415

        try:
            self._client.message.publish_json(
                url=self._url,
                body=dict(job),
                retries=DELIVERIES,
                deduplication_id=deduplication,
            )
        except (QStashError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                "queue-unavailable", f"QStash took no job: {type(error).__name__}."
            ) from error

    def close(self) -> None:
        """Close its connections."""
        self._client.http._client.close()  # noqa: SLF001
