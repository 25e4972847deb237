"""The settings of the queue whose jobs index."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from adapters.qstash_queue import QStashQueue
from adapters.qstash_signature import QStashSignature
from app.settings import Settings
from domain.errors import Malformed

JOB_PATH = "/v1/jobs/index-artifact"


def job_signature(settings: Settings) -> QStashSignature | None:
    """What checks who sent a job; None: the settings name no keys, and nobody may.

    Raises:
        Malformed: `invalid-parameter`.
    """
    keys = (settings.qstash_current_signing_key, settings.qstash_next_signing_key)
    if keys == (None, None):
        return None
    if keys[0] is None or keys[1] is None:
        raise Malformed(
            "invalid-parameter",
            "Set QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY, both or neither.",
        )
    return QStashSignature(keys[0], keys[1], _url(settings))


@contextmanager
def open_queue(settings: Settings) -> Iterator[QStashQueue | None]:
    """The queue; None without its token.

    Raises:
        Malformed: `invalid-parameter`.
    """
    if settings.qstash_token is None:
        yield None
        return
    if job_signature(settings) is None:
        raise Malformed(
            "invalid-parameter",
            "With QSTASH_TOKEN, set QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY as well: "
            "without them the jobs that come back are refused.",
        )
    with closing(QStashQueue(settings.qstash_token, _url(settings), settings.qstash_url)) as queue:
        yield queue


def _url(settings: Settings) -> str:
    if settings.deedbook_public_url is None:
        raise Malformed(
            "invalid-parameter",
            "Set DEEDBOOK_PUBLIC_URL: QStash has to be told where it finds this ledger.",
        )
    return settings.deedbook_public_url.rstrip("/") + JOB_PATH
