"""Preconditions and ranges (RFC 9110, sections 13 and 14), as far as the API has them.

All entity tags here are strong. A stream's tag is its version, a content's its digest, an event's its
leaf hash, an export's its layout id.
"""

import re
from collections.abc import Mapping

from domain.errors import Malformed, StaleVersion

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST = re.compile(rf"\s*{_TAG.pattern}\s*(?:,\s*{_TAG.pattern}\s*)*")
_VERSION = re.compile(r"0|[1-9][0-9]{0,17}")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class UnsatisfiableRange(ValueError):
    """The range begins behind the end."""


def etag(tag: object) -> str:
    """A strong entity tag, in its quotes."""
    return f'"{tag}"'


def expected_version(headers: Mapping[str, str]) -> int | None:
    """The version that a writer believes a stream has: from If-Match, or 0 from `If-None-Match: *`.

    Raises:
        Malformed: `invalid-parameter`.
        StaleVersion: `precondition-failed`: a weak tag, which can match nothing.
    """
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    if if_none_match is not None:
        if if_none_match.strip() != "*" or if_match is not None:
            raise Malformed(
                "invalid-parameter",
                "To write only what does not exist yet, send If-None-Match: * and no If-Match.",
            )
        return 0
    if if_match is None:
        return None
    found = _TAG.fullmatch(if_match.strip())
    if found is not None and found[1]:
        raise StaleVersion(
            "precondition-failed", "If-Match compares strongly: a weak tag never matches."
        )
    if found is None or _VERSION.fullmatch(found[2]) is None:
        raise Malformed("invalid-parameter", 'If-Match names one version, like "3".')
    return int(found[2])


def unchanged(headers: Mapping[str, str], current: str) -> bool:
    """Whether If-None-Match says that the caller has this representation already."""
    given = headers.get("if-none-match")
    if given is None:
        return False
    return given.strip() == "*" or current in _tags(given, weak_too=True)


def check_if_match(headers: Mapping[str, str], current: str) -> None:
    """Refuse a read whose If-Match does not hold.

    Raises:
        StaleVersion: `precondition-failed`.
    """
    given = headers.get("if-match")
    if given is None or given.strip() == "*" or current in _tags(given, weak_too=False):
        return
    raise StaleVersion("precondition-failed", f"The entity tag now is {current}.")


def byte_range(headers: Mapping[str, str], size: int, current: str) -> tuple[int, int] | None:
    """The part asked for, as start and stop; None means all of it.

    Several ranges, other units and what is malformed are ignored, as RFC 9110 allows.

    Raises:
        UnsatisfiableRange: It begins behind the end.
    """
    given = headers.get("range")
    found = None if given is None else _RANGE.fullmatch(given.strip())
    if found is None or (not found[1] and not found[2]):
        return None
    if_range = headers.get("if-range")
    if if_range is not None and if_range.strip() != current:
        return None
    if not found[1]:
        start, stop = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        if found[2] and int(found[2]) < start:
            return None
        stop = min(int(found[2]) + 1, size) if found[2] else size
    if start >= stop:
        raise UnsatisfiableRange
    return start, stop


def _tags(given: str, *, weak_too: bool) -> set[str]:
    if _LIST.fullmatch(given) is None:
        return set()
    return {f'"{tag}"' for weak, tag in _TAG.findall(given) if weak_too or not weak}
