"""Canonical JSON: the one spelling in which events are stored, hashed and exported (RFC 8785).

`read` is the strict door for foreign JSON: what it lets through has exactly one canonical form.
`write` gives that form. Under the rules of the door (integers only, ASCII member names), sorting
members by code point and escaping as `msgspec` does equals JCS; a test holds it to an independent
implementation.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

from domain.errors import Invalid, Malformed

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1


class _FloatFound(Exception):
    pass


class _DuplicateFound(Exception):
    pass


def _refuse_float(text: str) -> NoReturn:
    raise _FloatFound(text[:40])


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(text)  # NaN and Infinity are no JSON


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _DuplicateFound(name)
            seen.add(name)
    return members


_DECODER = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates,
    parse_float=_refuse_float,
    parse_constant=_refuse_float,
)
_FOREIGN_DECODER = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant
)
_ENCODER = msgspec.json.Encoder(order="sorted")


def read(raw: bytes) -> object:
    """Decode foreign JSON, refusing everything that has no canonical form here.

    Raises:
        Malformed: `malformed-json` (not JSON, not UTF-8, a member name twice) or `json-too-deep`.
        Invalid: `float-not-allowed`, `nul-character` or `validation-failed`, with a pointer.
    """
    value = _decoded(raw, _DECODER)
    check(value)
    return value


def read_foreign(raw: bytes) -> object:
    """Decode JSON that others made and that is kept as it is, such as a signed statement.

    It may have fractions and names of any script. A member twice, of which one reader takes the first
    and another the last, it may not.

    Raises:
        Malformed: `malformed-json` or `json-too-deep`.
    """
    value = _decoded(raw, _FOREIGN_DECODER)
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return value
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    raise _too_deep()


def check(value: object, pointer: str = "", depth: int = 0) -> None:
    """Refuse a decoded value that has no canonical form here; see `read`."""
    if depth >= MAX_DEPTH and isinstance(value, list | dict | tuple):
        raise _too_deep()
    match value:
        case str():
            _check_text(value, pointer)
        case bool() | None:
            pass
        case int():
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise Invalid(
                    "validation-failed",
                    "An integer lies outside ±(2^53 - 1); write it as a string.",
                    pointer=pointer,
                )
        case float():
            raise Invalid(
                "float-not-allowed",
                "Numbers must be integers; write fractions as strings.",
                pointer=pointer,
            )
        case Mapping():
            for name, member in value.items():
                if not name.isascii():
                    raise Invalid(
                        "validation-failed", "Member names must be ASCII.", pointer=pointer
                    )
                _check_text(name, pointer)
                check(member, f"{pointer}/{name}", depth + 1)
        case Sequence():
            for index, item in enumerate(value):
                check(item, f"{pointer}/{index}", depth + 1)
        case _:
            raise Invalid("validation-failed", "This is not a JSON value.", pointer=pointer)


def write(value: object) -> bytes:
    """The canonical form (RFC 8785) of a checked value, or of a struct made of such values."""
    return _ENCODER.encode(value)


def _decoded(raw: bytes, decoder: json.JSONDecoder) -> object:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(
            "malformed-json", f"The JSON is not UTF-8: bad byte at offset {error.start}."
        ) from None
    try:
        return decoder.decode(text)
    except _FloatFound as error:
        raise Invalid(
            "float-not-allowed",
            f"The number {error} is not an integer; write fractions as strings.",
        ) from None
    except _DuplicateFound as error:
        raise Malformed(
            "malformed-json", f"The member {str(error)[:80]!r} occurs twice in one object."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        detail = str(error)[:120] if isinstance(error, json.JSONDecodeError) else "bad number"
        raise Malformed("malformed-json", f"The body is not valid JSON: {detail}.") from None


def _check_text(text: str, pointer: str) -> None:
    if "\0" in text:
        raise Invalid("nul-character", "Text must not contain the NUL character.", pointer=pointer)
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise Invalid(
                "validation-failed", "Text contains half of a surrogate pair.", pointer=pointer
            ) from None


def _too_deep() -> Malformed:
    return Malformed("json-too-deep", f"JSON may be nested {MAX_DEPTH} levels deep.")
