"""Errors over HTTP: the one table from error to status, and problem answers (RFC 9457)."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from domain.errors import (
    Conflict,
    Damaged,
    DeedbookError,
    Forbidden,
    Gone,
    Invalid,
    Malformed,
    NotFound,
    StaleVersion,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

STATUS: Mapping[type[DeedbookError], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    StaleVersion: 412,
    TooLarge: 413,
    Invalid: 422,
    Damaged: 500,
    Unavailable: 503,
}
STATUS_OF_CODE: Mapping[str, int] = {
    "invalid-parameter": 400,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "request-timeout": 408,
    "precondition-failed": 412,
    "unsupported-media-type": 415,
    "range-not-satisfiable": 416,
    "rate-limited": 429,
    "internal": 500,
}
TITLES: Mapping[int, str] = {
    400: "The request cannot be read",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "The request took too long",
    409: "Conflict",
    410: "Gone",
    412: "A precondition does not hold",
    413: "Too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "A rule is broken",
    429: "Too many requests",
    500: "The ledger has a fault",
    503: "Not available now",
}


class PlaceOfProblem(msgspec.Struct, frozen=True):
    """Where in the request, as a JSON Pointer (RFC 6901), and what is wrong there."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem (RFC 9457). `code` is stable; some have further members, such as `current_version`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    request_id: str | None = None
    errors: tuple[PlaceOfProblem, ...] = ()


def status_of(error: DeedbookError) -> int:
    """The status that belongs to an error."""
    by_code = STATUS_OF_CODE.get(error.code)
    return by_code if by_code is not None else STATUS[type(error)]


def problem_response(
    error: DeedbookError,
    *,
    instance: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that failed."""
    status = status_of(error)
    problem = Problem(
        type=f"urn:deedbook:error:{error.code}",
        title=TITLES[status],
        status=status,
        detail=error.detail,
        code=error.code,
        instance=instance,
        request_id=request_id,
        errors=() if error.pointer is None else (PlaceOfProblem(error.pointer, error.detail),),
    )
    members = {**error.members, **msgspec.to_builtins(problem)}
    return Response(
        msgspec.json.encode(members),
        status,
        {"Cache-Control": "no-store", **_further(status, error), **(headers or {})},
        MEDIA_TYPE,
    )


def internal(request_id: str) -> DeedbookError:
    """The error for a fault of ours; its cause is in the log, under the request id."""
    return Unavailable(
        "internal",
        f"The ledger failed to answer; its log says more under the request id {request_id}.",
    )


def _further(status: int, error: DeedbookError) -> dict[str, str]:
    """The headers that some problems need."""
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="deedbook"'
    if status in {429, 503}:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if status == 412 and "current_version" in error.members:
        headers["ETag"] = f'"{error.members["current_version"]}"'
    return headers
