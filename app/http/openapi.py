"""The OpenAPI 3.1 document, made from the declarations that also decode and dispatch the requests."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.http import problems
from app.http.endpoint import PROBLEMS_OF_ALL, Endpoint, Endpoints
from app.http.gate import OPEN
from app.version import VERSION
from domain.events import EVENT_TYPES

Document = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
PATH_PARAMETERS: Mapping[str, str] = {
    "project": "The project's slug.",
    "position": "A position in the project's log, from 1.",
    "stream": "A stream, such as artifact/PRD/main or run/r1; it contains slashes.",
    "kind": "The artifact's kind, such as PRD.",
    "key": "The artifact's key within its kind.",
    "version": "A version, from 1.",
    "digest": "sha256: and 64 lower-case hex digits.",
    "run": "The run's id.",
    "draft": "The draft's id, a lower-case UUID.",
    "token": "The token's id.",
    "trust": "The id of an entry of the trusted issuers.",
    "tile": "A tile, such as 0/000, 1/x001/234 or 0/000.p/17; entries have no level.",
}
PATTERNS: Mapping[str, str] = {
    "Idempotency-Key": "^[!-~]{1,200}$",
    "Last-Event-ID": "^[0-9]{1,18}$",
    "Upload-Offset": "^(0|[1-9][0-9]{0,17})$",
}
HEADERS: Mapping[str, str] = {
    "Idempotency-Key": "The same key and request get the first answer again.",
    "If-Match": 'The version that must hold, such as "3"; on reads the entity tag.',
    "If-None-Match": "On writes `*`: only what does not exist yet. On reads: 304 if it is the same.",
    "Range": "One range of bytes.",
    "If-Range": "The entity tag for which the range is meant.",
    "Upstash-Signature": "QStash's signature of the body and this address, a JWT.",
    "Deedbook-Sidecar": "The seal of the export, its `.sigstore.json`, as base64.",
    "Last-Event-ID": "The id of the last server-sent event seen: a position, or a draft's offset.",
    "Upload-Offset": "How many bytes the draft has before this text.",
}
DESCRIPTION = """\
An event-sourced audit ledger for software delivery. Errors are problems (RFC 9457) with a stable `code`.
Reads take `at`, a position: the answer is as it stood there."""


def document(topics: Iterable[Endpoints]) -> Document:
    """The whole document."""
    collected = list(topics)
    types = _types(one for topic in collected for one in topic.all)
    types += [problems.Problem, *EVENT_TYPES.values()]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_schema_of, ref_template=REFERENCE
    )
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, Document] = {}
    for topic in collected:
        for endpoint in topic.all:
            path = PARAMETER.sub(r"{\1}", endpoint.path)
            paths.setdefault(path, {})[endpoint.method.lower()] = _operation(
                topic.topic, endpoint, by_type
            )
    made = {
        "openapi": "3.1.0",
        "info": {"title": "Deedbook", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": topic.topic} for topic in collected],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, `dbk_…`; see `deedbook token create`.",
                }
            },
        },
    }
    # Through JSON once, so that the document in memory is the one that is served.
    return msgspec.json.decode(msgspec.json.encode(made), type=Document)


def _schema_of(kind: type) -> Document:
    """For what msgspec has no schema: stored lines are objects, other members may be anything."""
    return {"type": "object"} if kind is msgspec.Raw else {"description": "Any JSON value."}


def _types(endpoints: Iterable[Endpoint[Any, Any]]) -> list[Any]:
    """Every type that is a body or an answer, once."""
    found: dict[Any, None] = {}
    for one in endpoints:
        for kind in (one.accepted.schema, *one.answers.values()):
            if kind is not None and kind is not bytes:
                found[kind] = None
    return list(found)


def _operation(
    topic: str, endpoint: Endpoint[Any, Any], schemas: Mapping[Any, Document]
) -> Document:
    operation: Document = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "tags": [topic],
        "parameters": [*_path_parameters(endpoint), *_query(endpoint), *_headers(endpoint)],
        "responses": _responses(endpoint, schemas),
    }
    rest = (endpoint.handler.__doc__ or "").partition("\n")[2].strip()
    if rest:
        operation["description"] = re.sub(r"\n +", "\n", rest)
    if endpoint.scope != OPEN:
        operation["security"] = [{"token": [endpoint.scope] if endpoint.scope else []}]
    else:
        operation["security"] = []
    if endpoint.accepted.decoders:
        schema = schemas.get(endpoint.accepted.schema)
        operation["requestBody"] = {
            "required": True,
            "content": {
                media_type: {"schema": schema} if media_type == "application/json" else {}
                for media_type in endpoint.accepted.decoders
            },
        }
    return operation


def _path_parameters(endpoint: Endpoint[Any, Any]) -> list[Document]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name],
            "schema": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
            if name in {"position", "version"}
            else {"type": "string"},
        }
        for name in PARAMETER.findall(endpoint.path)
    ]


def _query(endpoint: Endpoint[Any, Any]) -> list[Document]:
    schema, components = msgspec.json.schema_components([endpoint.query])
    properties = components[endpoint.query.__name__].get("properties", {}) if schema else {}
    return [
        {"name": name, "in": "query", "required": False, "schema": _plain(one)}
        for name, one in properties.items()
    ]


def _plain(schema: Document) -> Document:
    """A parameter that is left away is simply not there: null is not one of its values."""
    members = {name: value for name, value in schema.items() if value is not None}
    options = [one for one in members.pop("anyOf", []) if one != {"type": "null"}]
    members = (
        {**options[0], **members}
        if len(options) == 1
        else {**members, "anyOf": options}
        if options
        else members
    )
    if members.get("type") == "integer":
        members["minimum"], members["maximum"] = 0, 2**63 - 1
    return members


def _headers(endpoint: Endpoint[Any, Any]) -> list[Document]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": HEADERS[name],
            "schema": _header_schema(name, endpoint.method),
        }
        for name in endpoint.headers
    ]


def _header_schema(name: str, method: str) -> Document:
    pattern = PATTERNS.get(name)
    if method != "GET" and name == "If-Match":
        pattern = '^"(0|[1-9][0-9]{0,17})"$'
    if method != "GET" and name == "If-None-Match":
        pattern = "^[*]$"
    return {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}


def _responses(endpoint: Endpoint[Any, Any], schemas: Mapping[Any, Document]) -> Document:
    responses: Document = {}
    for status, kind in endpoint.answers.items():
        described: Document = {"description": "Done."}
        if status != 204:
            described["content"] = {
                media_type: {"schema": schemas[kind]}
                if media_type == "application/json" and kind is not None
                else {}
                for media_type in endpoint.media_types
            }
        responses[str(status)] = described
    if "If-None-Match" in endpoint.headers and endpoint.method == "GET":
        responses["304"] = {"description": "It is the same as the caller has."}
    for status, codes in sorted(_codes(endpoint).items()):
        responses[str(status)] = {
            "description": f"{problems.TITLES[status]}: {', '.join(sorted(codes))}.",
            "content": {
                problems.MEDIA_TYPE: {"schema": schemas[problems.Problem]},
            },
        }
    return responses


def _codes(endpoint: Endpoint[Any, Any]) -> dict[int, set[str]]:
    """Status → codes of the problems that an endpoint can answer with."""
    given = {"malformed-body", "invalid-parameter", "internal", "database-unavailable"}
    given.update(endpoint.problems)
    if endpoint.scope != OPEN:
        given.update(PROBLEMS_OF_ALL)
    if endpoint.accepted.decoders:
        given.update(
            ("body-too-large", "malformed-json", "unsupported-media-type", "validation-failed")
        )
    if endpoint.media_types:
        given.add("not-acceptable")
    found: dict[int, set[str]] = {}
    for code in given:
        found.setdefault(problems.STATUS_OF_CODE.get(code) or STATUSES[code], set()).add(code)
    return found


STATUSES: Mapping[str, int] = {
    "malformed-json": 400,
    "json-too-deep": 400,
    "malformed-body": 400,
    "not-text": 400,
    "tile-malformed": 400,
    "unauthenticated": 401,
    "bad-signature": 401,
    "token-expired": 401,
    "session-ended": 401,
    "sign-in-link-invalid": 401,
    "oidc-token-refused": 401,
    "oidc-token-used": 401,
    "insufficient-scope": 403,
    "project-forbidden": 403,
    "identity-not-trusted": 403,
    "project-not-found": 404,
    "artifact-not-found": 404,
    "version-not-found": 404,
    "run-not-found": 404,
    "draft-not-found": 404,
    "token-not-found": 404,
    "trusted-issuer-not-found": 404,
    "position-not-found": 404,
    "position-in-the-future": 404,
    "content-missing": 404,
    "original-not-found": 404,
    "checkpoint-not-found": 404,
    "seal-not-found": 404,
    "signing-key-absent": 404,
    "tile-not-found": 404,
    "project-exists": 409,
    "signing-key-retired": 409,
    "too-many-trusted-issuers": 409,
    "invalid-transition": 409,
    "unknown-reference": 409,
    "already-recorded": 409,
    "run-incomplete": 409,
    "approval-missing": 409,
    "approval-mismatch": 409,
    "four-eyes": 409,
    "approval-unsigned": 409,
    "event-id-conflict": 409,
    "erasure-changed": 409,
    "draft-open": 409,
    "draft-committed": 409,
    "draft-committing": 409,
    "offset-mismatch": 409,
    "too-many-drafts": 409,
    "content-erased": 410,
    "draft-discarded": 410,
    "version-conflict": 412,
    "body-too-large": 413,
    "batch-too-large": 413,
    "event-too-large": 413,
    "archive-too-large": 413,
    "validation-failed": 422,
    "unknown-event-type": 422,
    "digest-mismatch": 422,
    "blob-not-found": 422,
    "citation-unresolved": 422,
    "secret-detected": 422,
    "float-not-allowed": 422,
    "nul-character": 422,
    "nothing-to-erase": 422,
    "attestation-malformed": 422,
    "attestation-unverified": 422,
    "idempotency-key-reused": 422,
    "query-invalid": 422,
    "semantic-unavailable": 422,
    "search-past-position": 422,
    "bundle-not-verified": 422,
    "bundle-not-whole": 422,
    "archive-unreadable": 400,
    "checkpoint-refused": 500,
    "tree-damaged": 500,
    "export-differs": 500,
    "blob-store-unavailable": 503,
    "checkpoint-unsigned": 503,
    "seal-unsigned": 503,
    "search-unavailable": 503,
    "jobs-not-configured": 503,
    "index-job-unfinished": 503,
    "checkpoint-unwitnessed": 404,
    "database-unavailable": 503,
    "issuer-unavailable": 503,
    "migrations-pending": 503,
    "outcome-unknown": 503,
    "queue-full": 503,
    "shutting-down": 503,
}
"""The status of each code that endpoints name; a test holds it to what is answered."""
