"""Drafts as use cases: open one, write in it, commit it to a version, or discard it.

Nothing here touches the log but the commit, which is the ordinary append of a version: with its door
for secrets, its preconditions, and an event id that belongs to the draft, so that a repeat records nothing
twice.
"""

from adapters.postgres_drafts import draft_not_found
from app.door import MEDIA_TYPE
from app.ledger import Ledger
from domain.artifact import MARKDOWN, MAX_TITLE_CHARACTERS
from domain.citation import Citation
from domain.digest import parse_digest
from domain.draft import Draft, check_there
from domain.errors import DeedbookError, Invalid, Unavailable
from domain.log import Receipt
from domain.names import artifact_stream


def open_draft(
    ledger: Ledger,
    project: str,
    kind: str,
    key: str,
    *,
    actor: str,
    media_type: str = MARKDOWN,
    title: str | None = None,
    draft_id: str | None = None,
) -> tuple[Draft, bool]:
    """Open a draft of an artifact's next version; answers it, and whether it was there already.

    Args:
        ledger: Open.
        project: The project's slug.
        kind: Of the artifact, which need not exist yet.
        key: Likewise.
        actor: Who writes.
        media_type: Of the text, which is UTF-8 whatever it is.
        title: Of the version.
        draft_id: The caller's own, so that a repeat is recognised; a lower-case UUID.

    Raises:
        NotFound: `project-not-found`.
        Invalid: `validation-failed`.
        Conflict: `draft-open`, `too-many-drafts`.
        Gone: `draft-discarded`, of a repeat.
    """
    artifact_stream(kind, key)
    if MEDIA_TYPE.fullmatch(media_type) is None:
        raise Invalid(
            "validation-failed",
            "A media type is written like text/markdown: lower case, without parameters.",
            pointer="/media_type",
        )
    if title is not None and len(title) > MAX_TITLE_CHARACTERS:
        raise Invalid(
            "validation-failed",
            f"A title has at most {MAX_TITLE_CHARACTERS} characters.",
            pointer="/title",
        )
    ledger.log.head(project)
    new = Draft(
        id=draft_id or ledger.new_id(),
        kind=kind,
        key=key,
        media_type=media_type,
        title=title,
        actor=actor,
        state="open",
        offset=0,
        version=None,
        opened_at="",
        changed_at="",
    )
    return ledger.drafts.open(project, new, ledger.new_id())


def find_draft(ledger: Ledger, project: str, kind: str, key: str, draft_id: str) -> Draft:
    """A draft of an artifact, in whatever state it is.

    Raises:
        NotFound: `draft-not-found`.
    """
    found = ledger.drafts.find(project, draft_id)
    if found is None or (found.kind, found.key) != (kind, key):
        raise draft_not_found(draft_id)
    return found


def read_draft(ledger: Ledger, project: str, kind: str, key: str, draft_id: str) -> Draft:
    """A draft that is open or committed.

    Raises:
        NotFound: `draft-not-found`.
        Gone: `draft-discarded`.
    """
    found = find_draft(ledger, project, kind, key, draft_id)
    check_there(found)
    return found


def draft_text(ledger: Ledger, project: str, draft: Draft) -> bytes:
    """What is written in a draft so far; of a committed one, what was recorded.

    Raises:
        Gone: `content-erased`.
    """
    if draft.state != "committed":
        return ledger.drafts.text(project, draft.id)
    return ledger.blobs.read(project, parse_digest(version_digest(ledger, project, draft)))


def version_digest(ledger: Ledger, project: str, draft: Draft) -> str:
    """The digest of the version that a committed draft became."""
    assert draft.version is not None
    position = ledger.position(project, None)
    found = ledger.views.version(project, draft.kind, draft.key, draft.version, position)
    return found.digest


def append_text(
    ledger: Ledger, project: str, kind: str, key: str, draft_id: str, offset: int, piece: bytes
) -> int:
    """Write a piece of text at an offset, and answer the new one; as `PostgresDrafts.append`."""
    find_draft(ledger, project, kind, key, draft_id)
    grown = ledger.drafts.append(project, draft_id, offset, piece)
    ledger.signal.drafted(project, draft_id, grown)
    return grown


def commit_draft(
    ledger: Ledger,
    project: str,
    kind: str,
    key: str,
    draft_id: str,
    *,
    actor: str,
    digest: str | None = None,
    citations: tuple[Citation, ...] = (),
    expected: int | None = None,
) -> Receipt:
    """Record a draft's text as the artifact's next version; again, it answers with the first one.

    What is refused leaves the draft open, with its text. What fails otherwise leaves it `committing`:
    nobody writes in it, and the repeat says what became of it.

    Raises:
        NotFound: `draft-not-found`.
        Gone: `draft-discarded`, `content-erased`.
        Invalid: `digest-mismatch`, `validation-failed`, `secret-detected`, `citation-unresolved`.
        StaleVersion: `version-conflict`.
    """
    draft = find_draft(ledger, project, kind, key, draft_id)
    sealed = ledger.drafts.seal(project, draft_id, digest)
    if sealed.recorded is not None:
        receipt = _recorded(ledger, project, draft, sealed.recorded)
    else:
        try:
            receipt = ledger.write_artifact(
                project,
                kind,
                key,
                sealed.content,
                media_type=draft.media_type,
                title=draft.title,
                citations=citations,
                actor=actor,
                expected=expected,
                event_id=sealed.event_id,
            )
        except Unavailable:
            raise  # it may be recorded, or yet to be
        except DeedbookError:
            ledger.drafts.reopen(project, draft_id, sealed.event_id, ledger.new_id())
            raise
    version = receipt.entries[0].version
    ledger.drafts.committed(project, draft_id, sealed.event_id, version)
    ledger.signal.drafted(project, draft_id, sealed.draft.offset)
    return receipt


def discard_draft(ledger: Ledger, project: str, kind: str, key: str, draft_id: str) -> None:
    """Forget a draft; again, it changes nothing.

    Raises:
        NotFound: `draft-not-found`.
        Conflict: `draft-committed`, `draft-committing`.
    """
    draft = find_draft(ledger, project, kind, key, draft_id)
    ledger.drafts.discard(project, draft_id)
    ledger.signal.drafted(project, draft_id, draft.offset)


def _recorded(ledger: Ledger, project: str, draft: Draft, version: int) -> Receipt:
    """The answer that was given, or lost, when the draft was committed."""
    stream = artifact_stream(draft.kind, draft.key)
    position = ledger.position(project, None)
    entries = ledger.log.stream(project, stream, version - 1, 1, position)
    return Receipt(tuple(entries), replayed=True)
