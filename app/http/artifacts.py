"""Artifacts: write a version, read versions, contents, citations and differences."""

from urllib.parse import quote

import msgspec
from starlette.responses import Response

from adapters.postgres_views import MAX_PAGE, ArtifactVersion
from app.http.answers import answer, repr_digest, representation, tagged
from app.http.call import At, Call, NoQuery
from app.http.conditions import etag
from app.http.endpoint import Endpoints, json_body
from app.http.events import APPEND_PROBLEMS, content_bytes, position_in
from app.ledger import Uploaded
from domain import diff
from domain.citation import Citation, CitationInput
from domain.citing import cite
from domain.digest import parse_digest
from domain.errors import Invalid, Malformed, NotFound
from domain.events import Content, Source
from domain.log import Receipt
from domain.secret_places import Redaction

endpoints = Endpoints("artifacts")

MAX_DIFF_BYTES = 4 * 1024 * 1024
READ_PROBLEMS = ("project-not-found", "artifact-not-found", "position-in-the-future")
CONTENT_PROBLEMS = (
    *READ_PROBLEMS,
    "version-not-found",
    "content-erased",
    "content-missing",
    "blob-store-unavailable",
)


class NewVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version to write: with its content, or with the digest and size of an uploaded blob.

    Attributes:
        citations: In the order of their numbers; `citation:1` in the text names the first.
        original: The file whose text this is, uploaded before as a blob.
        unless_same: Write nothing when the latest version has this content.
    """

    content: str | None = None
    content_base64: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    media_type: str = "text/markdown"
    title: str | None = None
    citations: tuple[CitationInput, ...] = ()
    source: Source | None = None
    original: Content | None = None
    unless_same: bool = False


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A version as written; `written` is false when it was the latest one already.

    `redactions` say where a secret was replaced, if any was.
    """

    kind: str
    key: str
    version: int
    position: int
    digest: str
    size_bytes: int
    leaf_hash: str | None = None
    written: bool = True
    replayed: bool = False
    redactions: tuple[Redaction, ...] = ()


class ArtifactPage(msgspec.Struct, frozen=True):
    """The latest version of each artifact; `next` is the `after` of the next page."""

    artifacts: tuple[ArtifactVersion, ...]
    next: str | None
    position: int


class VersionPage(msgspec.Struct, frozen=True):
    """The history of an artifact; `next` is the `after` of the next page."""

    versions: tuple[ArtifactVersion, ...]
    next: int | None
    position: int


class Citations(msgspec.Struct, frozen=True):
    """The citations of a version, by number."""

    citations: tuple[Citation, ...]


class Difference(msgspec.Struct, frozen=True, rename={"old": "from", "new": "to"}):
    """What changed from one version to another; version 0 is the empty text."""

    kind: str
    key: str
    old: int
    new: int
    difference: diff.TextDiff


class ArtifactQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the artifacts."""

    kind: str | None = None
    after: str = ""
    limit: int = 100
    at: int | None = None


class VersionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the versions."""

    after: int = 0
    limit: int = 100
    at: int | None = None


class DiffQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Two versions; the last two when left away."""

    from_: int | None = None
    to: int | None = None
    at: int | None = None


_ARTIFACT = "/v1/projects/{project}/artifacts/{kind}/{key}"


@endpoints.add(
    "GET",
    "/v1/projects/{project}/artifacts",
    scope="events:read",
    query=ArtifactQuery,
    answers={200: ArtifactPage},
    problems=("project-not-found", "position-in-the-future"),
)
def list_artifacts(call: Call[ArtifactQuery, None]) -> Response:
    """List the artifacts, each with its latest version."""
    position = call.position(call.query.at)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    kind, _, key = call.query.after.partition("/")
    found = call.ledger.views.artifacts(
        call.project, position, kind=call.query.kind, after=(kind, key), limit=limit
    )
    following = f"{found[-1].kind}/{found[-1].key}" if len(found) == limit else None
    return answer(
        ArtifactPage(tuple(found), following, position),
        headers={"Deedbook-Position": str(position)},
    )


@endpoints.add(
    "GET",
    _ARTIFACT,
    scope="events:read",
    query=At,
    answers={200: ArtifactVersion},
    problems=READ_PROBLEMS,
    headers=("If-None-Match",),
)
def get_artifact(call: Call[At, None]) -> Response:
    """Read what is known of an artifact's latest version."""
    position = call.position(call.query.at)
    return _described(
        call, call.ledger.views.artifact(call.project, *_name(call), position), position
    )


@endpoints.add(
    "GET",
    f"{_ARTIFACT}/versions",
    scope="events:read",
    query=VersionQuery,
    answers={200: VersionPage},
    problems=READ_PROBLEMS,
)
def list_versions(call: Call[VersionQuery, None]) -> Response:
    """List the versions of an artifact, oldest first."""
    position = call.position(call.query.at)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    call.ledger.views.artifact(call.project, *_name(call), position)
    found = call.ledger.views.versions(
        call.project, *_name(call), position, after=call.query.after, limit=limit
    )
    following = found[-1].version if len(found) == limit else None
    return answer(
        VersionPage(tuple(found), following, position),
        headers={"Deedbook-Position": str(position)},
    )


@endpoints.add(
    "POST",
    f"{_ARTIFACT}/versions",
    scope="artifacts:write",
    accepted=json_body(NewVersion),
    answers={201: Written, 200: Written},
    problems=APPEND_PROBLEMS,
    headers=("If-Match", "If-None-Match", "Idempotency-Key"),
)
def write_version(call: Call[NoQuery, NewVersion]) -> Response:
    """Write the next version of an artifact."""
    given = call.body
    kind, key = _name(call)
    content: bytes | Uploaded | None = content_bytes(given.content, given.content_base64)
    if content is None and given.digest is not None and given.size_bytes is not None:
        content = Uploaded(given.digest, given.size_bytes)
    if content is None:
        raise Invalid(
            "validation-failed",
            "Give content, content_base64, or digest and size_bytes of an uploaded blob.",
            pointer="/content",
        )
    receipt = call.ledger.write_artifact(
        call.project,
        kind,
        key,
        content,
        media_type=given.media_type,
        title=given.title,
        citations=cite(given.citations),
        source=given.source,
        original=given.original,
        actor=call.actor,
        expected=call.expected_version,
        unless_same=given.unless_same,
        request_key=call.key,
    )
    return written(call, receipt)


@endpoints.add(
    "GET",
    f"{_ARTIFACT}/versions/{{version}}",
    scope="events:read",
    query=At,
    answers={200: ArtifactVersion},
    problems=(*READ_PROBLEMS, "version-not-found"),
    headers=("If-None-Match",),
)
def get_version(call: Call[At, None]) -> Response:
    """Read what is known of one version."""
    position = call.position(call.query.at)
    return _described(call, _version(call, position), position)


@endpoints.add(
    "GET",
    f"{_ARTIFACT}/versions/{{version}}/content",
    scope="events:read",
    query=At,
    answers={200: None, 206: None},
    media_types=("*/*",),
    problems=CONTENT_PROBLEMS,
    headers=("If-None-Match", "If-Match", "Range", "If-Range"),
)
def get_content(call: Call[At, None]) -> Response:
    """Read the content of one version, byte for byte."""
    found = _version(call, call.position(call.query.at))
    sha256 = parse_digest(found.digest)
    blobs = call.ledger.blobs
    size = blobs.size(call.project, sha256)
    return representation(
        call,
        size_bytes=size,
        tag=etag(found.digest),
        media_type=found.media_type,
        pieces=lambda start, stop: blobs.pieces(call.project, sha256, start, stop),
        headers=repr_digest(sha256),
    )


@endpoints.add(
    "GET",
    f"{_ARTIFACT}/versions/{{version}}/original",
    scope="events:read",
    query=At,
    answers={200: None, 206: None},
    media_types=("*/*",),
    problems=(*CONTENT_PROBLEMS, "original-not-found"),
    headers=("If-None-Match", "If-Match", "Range", "If-Range"),
)
def get_original(call: Call[At, None]) -> Response:
    """Read the original of one version, the file whose text it is, byte for byte."""
    position = call.position(call.query.at)
    found = _version(call, position)
    original = call.ledger.original(call.project, *_name(call), found.version, position)
    sha256 = parse_digest(original.digest)
    blobs = call.ledger.blobs
    try:
        size = blobs.size(call.project, sha256)
    except NotFound:
        raise NotFound(
            "content-missing",
            f"The original ({original.digest}, {original.size_bytes} bytes) did not come with the "
            f"export that this project was opened from: upload it, with PUT "
            f"/v1/projects/{call.project}/blobs/{original.digest}, and take an export with originals.",
            members={"digest": original.digest},
        ) from None
    return representation(
        call,
        size_bytes=size,
        tag=etag(original.digest),
        media_type=original.media_type,
        pieces=lambda start, stop: blobs.pieces(call.project, sha256, start, stop),
        headers={**repr_digest(sha256), "Content-Disposition": "attachment"},
    )


@endpoints.add(
    "GET",
    f"{_ARTIFACT}/versions/{{version}}/citations",
    scope="events:read",
    query=At,
    answers={200: Citations},
    problems=(*READ_PROBLEMS, "version-not-found"),
)
def get_citations(call: Call[At, None]) -> Response:
    """Read the citations of one version."""
    found = _version(call, call.position(call.query.at))
    cited = call.ledger.views.citations(call.project, found.kind, found.key, found.version)
    return answer(Citations(cited))


@endpoints.add(
    "GET",
    f"{_ARTIFACT}/diff",
    scope="events:read",
    query=DiffQuery,
    answers={200: Difference},
    media_types=("application/json", diff.MEDIA_TYPE),
    problems=(*CONTENT_PROBLEMS, "not-text"),
)
def get_diff(call: Call[DiffQuery, None]) -> Response:
    """Compare two versions, as JSON or as a unified diff."""
    kind, key = _name(call)
    position = call.position(call.query.at)
    latest = call.ledger.views.artifact(call.project, kind, key, position)
    new = latest.version if call.query.to is None else call.query.to
    old = max(new - 1, 0) if call.query.from_ is None else call.query.from_
    before, after = (_text(call, kind, key, number, position) for number in (old, new))
    found = diff.compare(before, after)
    if call.media_type == diff.MEDIA_TYPE:
        text = diff.unified(found, f"{kind}/{key} version {old}", f"{kind}/{key} version {new}")
        return Response(text.encode(), 200, {"Cache-Control": "no-store"}, diff.MEDIA_TYPE)
    return answer(Difference(kind, key, old, new, found))


def _described(call: Call[At, None], found: ArtifactVersion, position: int) -> Response:
    """A version as it is known; its tag is its number, so that what was erased since is sent anew."""
    headers = {"Deedbook-Position": str(position)}
    if found.erased_position is not None:
        return answer(found, headers={"ETag": etag(found.version), **headers})
    return tagged(call, found, etag(found.version), headers)


def _name(call: Call[object, object]) -> tuple[str, str]:
    return call.path["kind"], call.path["key"]


def _version(call: Call[At, None], position: int) -> ArtifactVersion:
    number = position_in(call.path["version"])
    return call.ledger.views.version(call.project, *_name(call), number, position)


def _text(call: Call[DiffQuery, None], kind: str, key: str, number: int, position: int) -> str:
    """A version as text; version 0 is empty."""
    if number == 0:
        return ""
    found = call.ledger.views.version(call.project, kind, key, number, position)
    if found.size_bytes > MAX_DIFF_BYTES:
        raise Malformed("not-text", f"Version {number} is too large to compare.")
    content = call.ledger.blobs.read(call.project, parse_digest(found.digest))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not-text", f"Version {number} is {found.media_type}, not text.") from None


def written(call: Call[object, object], receipt: Receipt) -> Response:
    """The answer to a write: 201, or 200 when it had been written before or was the same."""
    kind, key = _name(call)
    if not receipt.entries:
        latest = call.ledger.views.artifact(call.project, kind, key, call.position(None))
        return answer(
            Written(
                kind=kind,
                key=key,
                version=latest.version,
                position=latest.position,
                digest=latest.digest,
                size_bytes=latest.size_bytes,
                written=False,
            ),
            headers={"ETag": etag(latest.version)},
        )
    entry = receipt.entries[0]
    found = call.ledger.views.version(call.project, kind, key, entry.version, entry.position)
    return answer(
        Written(
            kind=kind,
            key=key,
            version=found.version,
            position=found.position,
            digest=found.digest,
            size_bytes=found.size_bytes,
            leaf_hash="sha256:" + entry.leaf.hex(),
            replayed=receipt.replayed,
            redactions=receipt.redactions,
        ),
        200 if receipt.replayed else 201,
        {
            "Location": f"/v1/projects/{call.project}/artifacts/{kind}/{quote(key)}/versions/"
            f"{found.version}",
            "ETag": etag(found.version),
            "Deedbook-Position": str(entry.position),
        },
    )
