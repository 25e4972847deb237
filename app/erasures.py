"""Erasing contents as a use case: show what would go, then do it, once that very thing is confirmed.

A content is one thing in a project, however many events name it. So all of them are looked up, and
each gets its own erasure, in the transaction that deletes the content.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from adapters.postgres_erasures import PostgresErasures
from app.door import check_actor
from app.secret_door import screen_name
from domain import canonical
from domain.digest import format_digest, parse_digest
from domain.erasure import (
    NOT_REACHED,
    REMAINS,
    STREAM,
    check_reason,
    confirmation,
    erasure_of,
)
from domain.errors import Conflict, Invalid, NotFound, TooLarge
from domain.events import ArtifactErased, Recorded, RecordErased, parse
from domain.log import Append, Entry, EventLog, Proposed
from domain.names import ArtifactStream, parse_stream
from projections.references import Reference, references_in, references_of

ATTEMPTS = 8
"""Of one erasure, when events that mention its contents come in between."""
APPEND_SECONDS = 30.0
MAX_ERASURES = 10_000
"""Events recorded at once, under the project's lock."""
STREAM_PAGE = 1_000
SHOWN_EXPORTS = 100


class ErasedReference(Reference, frozen=True):
    """One whose content was erased before, at `erased_position`."""

    erased_position: int = 0


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be erased.

    Attributes:
        position: The size of the log in which the events were looked for.
        contents: The events that were asked for, with the contents that would go.
        also: Other events that name the same bytes, and lose them too.
        already: Of what was asked for, what was erased before.
        size_bytes: Of the contents that would go, each once.
        exports: Exports that were laid out with them; up to 100. Who took one may still have it.
        first_position: The lowest position, from here on, that can be exported afterwards, if nothing
            is appended in between.
        confirm: To be sent back to erase exactly this; None when nothing is left to erase.
        remains: What stays in the log.
        not_reached: What erasing does not reach.
    """

    project: str
    stream: str
    version: int | None
    position: int
    contents: tuple[Reference, ...]
    also: tuple[Reference, ...]
    already: tuple[ErasedReference, ...]
    size_bytes: int
    exports: tuple[str, ...]
    first_position: int
    confirm: str | None
    remains: tuple[str, ...] = REMAINS
    not_reached: tuple[str, ...] = NOT_REACHED


class Erasure(msgspec.Struct, frozen=True):
    """One erasure as it is recorded: of a content that version `version` of `stream` names."""

    position: int
    time: str
    actor: str
    stream: str
    version: int
    digest: str
    reason: str


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased, now or before.

    Attributes:
        erasures: Each as it is recorded, in order.
        first_position: The lowest position, from the erasure on, that can be exported.
        objects_left: Objects in the store outside that could not be deleted yet; a later upload does it.
        replayed: All of it had been erased before; nothing was recorded now.
    """

    erasures: tuple[Erasure, ...]
    first_position: int
    objects_left: int
    replayed: bool
    not_reached: tuple[str, ...] = NOT_REACHED


class _Found(msgspec.Struct, frozen=True):
    """What there is to erase: `own` of the target, `named` all events that name what is left of it."""

    position: int
    own: tuple[Reference, ...]
    erased: dict[str, int]
    named: tuple[Reference, ...]

    @property
    def left(self) -> list[str]:
        """The digests that were not erased before."""
        return sorted({one.digest for one in self.own} - self.erased.keys())

    def confirmation(self, project: str) -> str:
        """What stands for exactly this."""
        return confirmation(project, ((one.stream, one.version, one.digest) for one in self.named))


class Erasures:
    """Erases contents of a ledger's projects.

    Args:
        log: The logs.
        store: What was erased, by digest.
        new_id: Gives a random UUID.
        monotonic: Gives seconds for deadlines.
    """

    def __init__(
        self,
        log: EventLog,
        store: PostgresErasures,
        new_id: Callable[[], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._log = log
        self._store = store
        self._new_id = new_id
        self._monotonic = monotonic

    def preview(self, project: str, stream: str, version: int | None = None) -> Preview:
        """What erasing would do; changes nothing.

        Args:
            project: The project's slug.
            stream: The stream of an artifact or of a run.
            version: The version of the artifact, or of the run's record; None means all.

        Raises:
            NotFound: `project-not-found`, `artifact-not-found`, `run-not-found`, `version-not-found`.
            Invalid: `nothing-to-erase`, when no event there names a content.
            TooLarge: `batch-too-large`, when more events name the contents than one batch takes.
        """
        found = self._find(project, stream, version)
        own = {(one.stream, one.version) for one in found.own}
        left = found.left
        return Preview(
            project=project,
            stream=stream,
            version=version,
            position=found.position,
            contents=tuple(one for one in found.named if (one.stream, one.version) in own),
            also=tuple(one for one in found.named if (one.stream, one.version) not in own),
            already=tuple(
                ErasedReference(
                    **msgspec.structs.asdict(one), erased_position=found.erased[one.digest]
                )
                for one in found.own
                if one.digest in found.erased
            ),
            size_bytes=sum({one.digest: one.size_bytes for one in found.named}.values()),
            exports=tuple(self._store.exports_with(project, _raw(left), SHOWN_EXPORTS)),
            first_position=_first_position(found),
            confirm=found.confirmation(project) if left else None,
        )

    def erase(
        self,
        project: str,
        stream: str,
        version: int | None,
        *,
        reason: str,
        confirm: str,
        actor: str,
    ) -> Erased:
        """Erase the contents that the preview with this `confirm` showed; all of them or none.

        What is erased already answers with the first erasure, whatever is confirmed.

        Raises:
            Conflict: `erasure-changed`: it is not what was confirmed any more; nothing was erased.
            Invalid: `validation-failed`, `secret-detected`, `nothing-to-erase`.
            NotFound: As `preview`.
            Unavailable: `outcome-unknown` and others; repeating is safe.
        """
        check_reason(reason)
        canonical.check(reason, "/reason")
        screen_name(reason, "/reason")
        check_actor(actor)
        for attempt in range(ATTEMPTS):
            found = self._find(project, stream, version)
            digests = _raw(sorted({one.digest for one in found.own}))
            if not found.left:
                return self._erased(project, digests, replayed=True)
            if found.confirmation(project) != confirm:
                raise Conflict(
                    "erasure-changed",
                    "What would be erased is not what was confirmed, perhaps because another event "
                    "names the same bytes now: look at the preview again, and confirm that one.",
                )
            try:
                self._log.append(self._request(project, found, reason, actor))
            except Conflict as error:
                # Something that mentions the contents came in between: it may be what was confirmed still.
                if error.code != "erasure-changed" or attempt == ATTEMPTS - 1:
                    raise
                continue
            self._store.forget(project, digests)
            return self._erased(project, digests, replayed=False)
        raise AssertionError

    def erased(self, project: str, digests: Sequence[bytes]) -> frozenset[str]:
        """Those of some contents that were erased."""
        found = self._store.erased_at(project, digests) if digests else {}
        return frozenset(format_digest(sha256) for sha256 in found)

    def page(self, project: str, after: int, limit: int, at: int) -> list[tuple[int, Erasure]]:
        """Erasures up to a position, each with its number, from 1 on, after a number."""
        entries = self._log.stream(project, STREAM, after, limit, at)
        return [(entry.version, _erasure(parse(entry.line))) for entry in entries]

    def _find(self, project: str, stream: str, version: int | None) -> _Found:
        size = self._log.head(project).size
        own = _few(self._own(project, stream, version, size))
        if not own:
            raise Invalid(
                "nothing-to-erase",
                f"{_called(stream, version)} has no content, or an empty one: there is nothing to "
                "erase, and what its event itself says stays.",
            )
        digests = {one.digest for one in own}
        erased = {
            format_digest(sha256): position
            for sha256, position in self._store.erased_at(project, _raw(digests)).items()
        }
        left = digests - erased.keys()
        named = _few(
            one
            for lines in (self._log.lines(project, 0, size) if left else ())
            for one in references_in(lines, left)
        )
        return _Found(size, own, erased, named)

    def _own(
        self, project: str, stream: str, version: int | None, size: int
    ) -> Iterator[Reference]:
        """The contents of the target itself."""
        after, first = 0 if version is None else version - 1, True
        while True:
            page = self._log.stream(
                project, stream, after, STREAM_PAGE if version is None else 1, size
            )
            if first:
                self._check_found(project, stream, version, page, size)
            for entry in page:
                yield from references_of(parse(entry.line))
            if not page or version is not None:
                return
            after, first = page[-1].version, False

    def _check_found(
        self, project: str, stream: str, version: int | None, page: Sequence[Entry], size: int
    ) -> None:
        if page:
            return
        if version is not None and self._log.stream(project, stream, 0, 1, size):
            raise NotFound(
                "version-not-found", f"{_called(stream, None)} has no version {version}."
            )
        if isinstance(parse_stream(stream), ArtifactStream):
            raise NotFound("artifact-not-found", f"{project} has no {_called(stream, None)}.")
        raise NotFound("run-not-found", f"{project} has no {_called(stream, None)}.")

    def _request(self, project: str, found: _Found, reason: str, actor: str) -> Append:
        events = []
        for one in found.named:
            data = erasure_of(one.stream, one.version, one.digest, reason)
            raw = canonical.write(data)
            events.append(Proposed(STREAM, type(data).__name__, raw, self._new_id(), actor))
        return Append(
            project=project,
            events=tuple(events),
            erased=tuple(_raw(found.left)),
            searched=found.position,
            deadline=self._monotonic() + APPEND_SECONDS,
        )

    def _erased(self, project: str, digests: Sequence[bytes], *, replayed: bool) -> Erased:
        """The answer, once the erasure is durable and its traces outside the log are gone as well."""
        objects_left = self._store.discard(project, digests)
        positions = self._store.positions(project, digests, MAX_ERASURES)
        erasures = [
            _erasure(parse(entry.line))
            for position in positions
            for entry in self._log.read(project, position - 1, position)
        ]
        return Erased(
            erasures=tuple(erasures),
            first_position=max(self._store.erased_at(project, digests).values()),
            objects_left=objects_left,
            replayed=replayed,
        )


def _few(references: Iterable[Reference]) -> tuple[Reference, ...]:
    """All of them in order, if they can be told at once."""
    few = sorted(islice(references, MAX_ERASURES + 1), key=_order)
    if len(few) > MAX_ERASURES:
        raise TooLarge(
            "batch-too-large",
            f"More than {MAX_ERASURES} events name these contents, which is as many as can be told "
            "of their erasure at once: erase one version after the other.",
        )
    return tuple(few)


def _first_position(found: _Found) -> int:
    """Where the last of the contents has its first erasure, if those events come next."""
    first: dict[str, int] = {}
    for position, one in enumerate(found.named, start=found.position + 1):
        first.setdefault(one.digest, position)
    return max((*first.values(), *found.erased.values()))


def _erasure(event: Recorded) -> Erasure:
    data = event.data
    if isinstance(data, RecordErased):
        stream, version = data.record, data.record_version
    else:
        assert isinstance(data, ArtifactErased)
        stream, version = data.artifact, data.artifact_version
    return Erasure(
        event.position, event.time, event.actor, stream, version, data.digest, data.reason
    )


def _called(stream: str, version: int | None) -> str:
    """A target as a person calls it."""
    kind, _, name = stream.partition("/")
    of = "" if version is None else f"version {version} of "
    return f"{of}{kind} {name}"


def _order(one: Reference) -> tuple[int, str]:
    return one.order


def _raw(digests: Sequence[str] | set[str]) -> list[bytes]:
    return [parse_digest(digest) for digest in sorted(digests)]
