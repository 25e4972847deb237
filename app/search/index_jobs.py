"""Indexing by jobs, where no process stays to follow the log: each names a source, and is signed by the queue.

What a job says is a hint, and the desired state decides what is to be done: late and doubled jobs do nothing.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from adapters.qstash_signature import QStashSignature, Signed, UsedSignatures
from app.search.embedding import Embedding
from app.search.indexing import Indexing
from domain.errors import Unavailable
from domain.names import parse_stream

CAUGHT_UP = 8
"""Sources of which a job takes care beside its own."""

Done = Literal["indexed", "current", "failed"]


class IndexJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source that is to be indexed.

    Attributes:
        project: Its project's slug.
        stream: Of the artifact or run.
        position: Of the newest event that the sender knew of it.
    """

    project: str
    stream: str
    position: int


class IndexJobs:
    """Does what jobs say, if our queue sent them.

    Args:
        signature: Checks who sent a job; None: nobody may.
        used: Remembers whose work is done.
        indexings: Of each backend.
        embedding: Adds vectors; None: there are none.
    """

    def __init__(
        self,
        signature: QStashSignature | None,
        used: UsedSignatures,
        indexings: Sequence[Indexing],
        embedding: Callable[[], Embedding | None],
    ) -> None:
        self._signature = signature
        self._used = used
        self.indexings = indexings
        self._embedding = embedding

    def check(self, signature: str, body: bytes) -> Signed:
        """Who sent a job.

        Raises:
            Unauthenticated: `bad-signature`.
            Unavailable: `jobs-not-configured`.
        """
        if self._signature is None:
            raise Unavailable(
                "jobs-not-configured",
                "This ledger takes no jobs: QSTASH_CURRENT_SIGNING_KEY, QSTASH_NEXT_SIGNING_KEY and "
                "DEEDBOOK_PUBLIC_URL are not set.",
            )
        return self._signature.check(signature, body)

    def work(self, signed: Signed, job: IndexJob) -> Done:
        """Index the source of a job in every backend; `current`: nothing is to be done.

        Raises:
            Malformed: `stream-malformed` or the like.
            Unavailable: `index-job-unfinished`: the queue is to come again.
        """
        parse_stream(job.stream)
        if self._used.used(signed):
            return "current"
        done: Done = "current"
        for indexing in self.indexings:
            indexing.state.note_all()
            claim = indexing.state.claim_one(job.project, job.stream)
            if claim is None:
                continue
            if indexing.bring(claim):
                done = "indexed"
            elif indexing.state.failed(job.project, job.stream):
                done = "failed"
            else:
                raise Unavailable("index-job-unfinished", "It could not be indexed now.")
        embedding = self._embedding()
        if embedding is not None:
            embedding.of(job.project, job.stream)
        self._used.use(signed)
        self.catch_up()
        return done

    def catch_up(self, limit: int = CAUGHT_UP) -> int:
        """Index what else is due, such as that whose job was lost; answers how much was done, 0 when all is."""
        brought = 0
        for indexing in self.indexings:
            indexing.state.note_all()
            brought += sum(map(indexing.bring, indexing.state.claim(limit)))
        embedding = self._embedding()
        if embedding is not None:
            brought += embedding.some(limit, lambda: False)
        return brought
