"""What may be sent to Upstash Vector: checked before it is, since the SDK sends anything.

An id that is no text is taken and found under another one; a deletion without ids is no deletion; NaN is no
JSON; a request with several queries loses their mode; an upsert without a vector is a vector of nothing.
"""

import math

from domain.errors import Invalid

MAX_VECTORS = 100
MAX_RANGE = 1_000
MAX_BODY_BYTES = 1_000_000
MAX_ID_CHARACTERS = 255
MAX_METADATA_BYTES = 4_096
MAX_NON_ZERO = 1_000
"""Values of a sparse vector; the service's limit."""
MAX_DEPTH = 8


def check_payload(operation: str, payload: object) -> None:
    """Refuse what is not exactly what is meant.

    Args:
        operation: Such as `upsert`.
        payload: As it is about to become JSON.

    Raises:
        Invalid: `validation-failed`.
    """
    _check_values(payload, 0)
    match operation, payload:
        case (("upsert" | "upsert-data"), list()):
            _check_upsert(operation, payload)
        case (("delete" | "fetch"), {"prefix": _} | {"filter": _}):
            raise _invalid("Vectors are named by their ids: a filter would scan them all.")
        case (("delete" | "fetch"), {"ids": list() as ids}):
            _check_ids(ids)
        case (("query" | "query-data" | "range"), dict()):
            pass
        case "delete-namespace", None:
            pass
        case _:
            raise _invalid(f"This is not what {operation} takes: it would mean something else.")


def _check_upsert(operation: str, vectors: list[object]) -> None:
    ids = []
    for vector in vectors:
        match vector:
            case {"id": id_, "vector": None, "sparseVector": None}:
                raise _invalid(f"The vector {id_!r:.80} has no values.")
            case {"id": id_, "data": str() as data} if operation == "upsert-data" and not data:
                raise _invalid(f"The text of {id_!r:.80} is empty.")
            case {"id": id_, "sparseVector": {"indices": list() as indices}} if (
                len(indices) > MAX_NON_ZERO
            ):
                raise _invalid(f"The vector {id_!r:.80} has more than {MAX_NON_ZERO} terms.")
            case {"id": id_}:
                ids.append(id_)
            case _:
                raise _invalid("A vector has an id.")
    _check_ids(ids)


def _check_ids(ids: list[object]) -> None:
    if not 1 <= len(ids) <= MAX_VECTORS:
        raise _invalid(f"A request names 1 to {MAX_VECTORS} vectors, not {len(ids)}.")
    for one in ids:
        if not isinstance(one, str) or not 1 <= len(one) <= MAX_ID_CHARACTERS or not one.isascii():
            raise _invalid(f"An id is ASCII text of 1 to {MAX_ID_CHARACTERS} characters.")


def _check_values(value: object, depth: int) -> None:
    """JSON and nothing else: an encoder would make `null` of NaN, and a text of a date."""
    if depth > MAX_DEPTH:
        raise _invalid(f"A request has at most {MAX_DEPTH} levels.")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _invalid(f"{value} is no number that JSON knows.")
    elif isinstance(value, list):
        for one in value:
            _check_values(one, depth + 1)
    elif isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(name, str):
                raise _invalid(f"The name {name!r:.40} of a member is no text.")
            _check_values(one, depth + 1)
    elif value is not None and not isinstance(value, str | int):
        raise _invalid(f"A {type(value).__name__} has no form in JSON.")


def _invalid(sentence: str) -> Invalid:
    return Invalid("validation-failed", sentence)
