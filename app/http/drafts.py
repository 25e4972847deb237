"""Drafts: open one, write text at an offset, watch it live, commit it or discard it."""

import re
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from app.drafts import (
    append_text,
    commit_draft,
    discard_draft,
    draft_text,
    find_draft,
    open_draft,
    read_draft,
)
from app.http.answers import Events, answer
from app.http.artifacts import Written, written
from app.http.call import Call, NoQuery
from app.http.endpoint import Accepted, Endpoints, json_body
from app.http.events import APPEND_PROBLEMS
from app.http.live_view import watch
from app.http.tail import check_room
from domain.citation import CitationInput
from domain.citing import cite
from domain.digest import parse_digest
from domain.draft import MAX_DRAFT_BYTES, Draft
from domain.errors import Malformed

endpoints = Endpoints("drafts")

TEXT: Accepted[bytes] = Accepted(bytes, {"*/*": bytes}, MAX_DRAFT_BYTES)
SSE = "text/event-stream"
_OFFSET = re.compile(r"0|[1-9][0-9]{0,17}")
_DRAFTS = "/v1/projects/{project}/artifacts/{kind}/{key}/drafts"
_DRAFT = f"{_DRAFTS}/{{draft}}"
_GONE = ("draft-not-found", "draft-discarded")


class NewDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft to open.

    Attributes:
        id: A lower-case UUID of the caller's own, so that a repeat gets the same draft.
        media_type: Of the text, which is UTF-8 whatever it is.
        title: Of the version that it becomes.
    """

    id: str | None = None
    media_type: str = "text/markdown"
    title: str | None = None


class DraftList(msgspec.Struct, frozen=True):
    """Drafts, the newest first: up to 100."""

    drafts: tuple[Draft, ...]


class CommitDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a draft becomes a version.

    Attributes:
        sha256: The digest (`sha256:…`) that its text must have.
        citations: In the order of their numbers; `citation:1` in the text names the first.
    """

    sha256: str | None = None
    citations: tuple[CitationInput, ...] = ()


@endpoints.add(
    "GET",
    "/v1/projects/{project}/drafts",
    scope="events:read",
    answers={200: DraftList},
    problems=("project-not-found",),
)
def list_open_drafts(call: Call[NoQuery, None]) -> Response:
    """List the open drafts of a project."""
    call.position(None)
    return answer(DraftList(tuple(call.ledger.drafts.listed(call.project))))


@endpoints.add(
    "GET",
    _DRAFTS,
    scope="events:read",
    answers={200: DraftList},
    problems=("project-not-found",),
)
def list_drafts(call: Call[NoQuery, None]) -> Response:
    """List the drafts of an artifact: the open one, and what became of those before."""
    call.position(None)
    return answer(DraftList(tuple(call.ledger.drafts.listed(call.project, *_artifact(call)))))


@endpoints.add(
    "POST",
    _DRAFTS,
    scope="artifacts:write",
    accepted=json_body(NewDraft),
    answers={201: Draft, 200: Draft},
    problems=("project-not-found", "draft-open", "too-many-drafts", "draft-discarded"),
)
def create_draft(call: Call[NoQuery, NewDraft]) -> Response:
    """Open a draft of an artifact's next version.

    An artifact has one open draft: 409 `draft-open` names it in `draft`.
    """
    given = call.body
    draft, there = open_draft(
        call.ledger,
        call.project,
        *_artifact(call),
        actor=call.actor,
        media_type=given.media_type,
        title=given.title,
        draft_id=given.id,
    )
    kind, key = _artifact(call)
    place = f"/v1/projects/{call.project}/artifacts/{kind}/{quote(key)}/drafts/{draft.id}"
    headers = {"Location": place, "Upload-Offset": str(draft.offset)}
    return answer(draft, 200 if there else 201, headers)


@endpoints.add("GET", _DRAFT, scope="events:read", answers={200: Draft}, problems=_GONE)
def get_draft(call: Call[NoQuery, None]) -> Response:
    """Read what is known of a draft; HEAD gives its offset in `Upload-Offset`."""
    draft = read_draft(call.ledger, call.project, *_named(call))
    return answer(draft, headers={"Upload-Offset": str(draft.offset)})


@endpoints.add(
    "PATCH",
    _DRAFT,
    scope="artifacts:write",
    accepted=TEXT,
    answers={204: None},
    media_types=(),
    problems=(
        *_GONE,
        "offset-mismatch",
        "draft-committed",
        "draft-committing",
        "nul-character",
        "validation-failed",
    ),
    headers=("Upload-Offset",),
)
def append_to_draft(call: Call[NoQuery, bytes]) -> Response:
    """Write text at the end of a draft, whose offset `Upload-Offset` must be.

    All of the body is written, or nothing: after a lost answer, HEAD says which. A piece may end within
    a character.
    """
    given = call.headers.get("upload-offset", "")
    if _OFFSET.fullmatch(given) is None:
        raise Malformed(
            "invalid-parameter",
            "Send Upload-Offset: how many bytes the draft has before this text.",
        )
    grown = append_text(call.ledger, call.project, *_named(call), int(given), call.body)
    return Response(
        status_code=204, headers={"Upload-Offset": str(grown), "Cache-Control": "no-store"}
    )


@endpoints.add(
    "DELETE",
    _DRAFT,
    scope="artifacts:write",
    answers={204: None},
    media_types=(),
    problems=("draft-not-found", "draft-committed", "draft-committing"),
)
def delete_draft(call: Call[NoQuery, None]) -> Response:
    """Discard a draft and its text; repeating it changes nothing."""
    discard_draft(call.ledger, call.project, *_named(call))
    return Response(status_code=204)


@endpoints.add(
    "GET",
    f"{_DRAFT}/content",
    scope="events:read",
    answers={200: None},
    media_types=("*/*",),
    problems=(*_GONE, "content-erased", "content-missing", "blob-store-unavailable"),
)
def get_draft_content(call: Call[NoQuery, None]) -> Response:
    """Read the text of a draft so far; of a committed one, what was recorded."""
    draft = read_draft(call.ledger, call.project, *_named(call))
    content = draft_text(call.ledger, call.project, draft)
    headers = {"Upload-Offset": str(len(content)), "Cache-Control": "no-store"}
    return Response(content, 200, headers, draft.media_type)


@endpoints.add(
    "POST",
    f"{_DRAFT}/commit",
    scope="artifacts:write",
    accepted=json_body(CommitDraft),
    answers={201: Written, 200: Written},
    problems=(*APPEND_PROBLEMS, *_GONE),
    headers=("If-Match", "If-None-Match"),
)
def post_draft_commit(call: Call[NoQuery, CommitDraft]) -> Response:
    """Write a draft's text as the next version of its artifact.

    It is held to all that a version is held to; what is refused leaves the draft open. A repeat gets the
    first answer.
    """
    given = call.body
    if given.sha256 is not None:
        parse_digest(given.sha256)
    receipt = commit_draft(
        call.ledger,
        call.project,
        *_named(call),
        actor=call.actor,
        digest=given.sha256,
        citations=cite(given.citations),
        expected=call.expected_version,
    )
    return written(call, receipt)


@endpoints.add(
    "GET",
    f"{_DRAFT}/stream",
    scope="events:read",
    answers={200: None, 204: None},
    media_types=(SSE,),
    problems=("draft-not-found",),
    headers=("Last-Event-ID",),
)
def stream_draft(call: Call[NoQuery, None]) -> Response:
    """Watch a draft being written, as server-sent events that carry rendered blocks.

    First every block, then what changes: `block {i, html, open}`, `truncate {n}`; at last
    `commit {version, sha256, url}` or `abort {}`. The id is the draft's offset in bytes. Answers 204 when
    nothing more comes.
    """
    draft = find_draft(call.ledger, call.project, *_named(call))
    given = call.headers.get("last-event-id", "")
    last_seen = int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else None
    closed = draft.state in {"committed", "discarded"}
    if closed and last_seen is not None and last_seen > draft.offset:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    if call.method == "HEAD":
        return Response(status_code=200, headers={"Cache-Control": "no-store"}, media_type=SSE)
    check_room(call.token.id)
    return Events(watch(call.ledger, call.project, draft, call.token.id))


def _artifact(call: Call[object, object]) -> tuple[str, str]:
    return call.path["kind"], call.path["key"]


def _named(call: Call[object, object]) -> tuple[str, str, str]:
    return call.path["kind"], call.path["key"], call.path["draft"]
