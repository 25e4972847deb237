"""Secrets at the door: what a proposed event says and brings is looked through before it is recorded.

The project's policy decides what happens then; it is asked for only when something was found, so that
an append without a secret makes no query more.
"""

from collections.abc import Callable

from app.redaction import (
    detected,
    detected_in,
    find_bytes,
    is_text,
    redact_bytes,
    redact_members,
)
from domain.secret_finding import not_allowed
from domain.secret_places import Place, Redaction
from domain.secret_policy import REFUSE, SecretPolicy

PolicyOf = Callable[[], SecretPolicy]
CONTENT = "/content"
MAX_SOUND = 4_096

_SOUND: set[str] = set()
"""Names in which nothing was found: the same actors and streams come with every event."""


def refuse() -> SecretPolicy:
    """The policy where there is no project that has chosen one."""
    return REFUSE


def screen_event(
    stream: str, data: object, content: bytes | None, policy: PolicyOf
) -> tuple[object, bytes | None, tuple[Redaction, ...]]:
    """An event's data and the content that came along, as they may be recorded.

    Raises:
        Invalid: `secret-detected`, with a pointer into the event.
    """
    screen_name(stream, "/stream", policy)
    data, redactions = screen_value(data, "/data", policy)
    if content is None:
        return data, None, redactions
    said = data if isinstance(data, dict) else {}
    inner = said.get("content")
    about = inner if isinstance(inner, dict) else said
    media_type = about.get("media_type")
    kept, further = screen_content(
        content,
        media_type if isinstance(media_type, str) else "",
        policy,
        named="digest" in about,
    )
    return data, kept, (*redactions, *further)


def screen_value(
    value: object, pointer: str, policy: PolicyOf
) -> tuple[object, tuple[Redaction, ...]]:
    """A JSON value as it may be recorded, and what was replaced in it.

    Raises:
        Invalid: `secret-detected`, with the place.
    """
    screened, places = redact_members(value, pointer)
    if not places:
        return value, ()
    chosen = policy()
    if chosen.allowed:
        screened, places = redact_members(value, pointer, chosen.allowed)
    for place in places:
        if chosen.mode == "refuse" or place.in_name:
            raise detected(place)
    return screened, _redactions(places)


def screen_name(text: str, pointer: str | None, policy: PolicyOf = refuse) -> None:
    """Refuse a secret in a name, which nothing can be put in the place of.

    Raises:
        Invalid: `secret-detected`.
    """
    if text in _SOUND:
        return
    _, places = redact_members(text)
    if not places:
        if len(_SOUND) >= MAX_SOUND:
            _SOUND.clear()
        _SOUND.add(text)
        return
    allowed = policy().allowed
    for place in places:
        if place.fingerprint not in allowed:
            error = detected(place)
            error.pointer = pointer
            raise error


def screen_content(
    content: bytes, media_type: str, policy: PolicyOf, *, named: bool = False
) -> tuple[bytes, tuple[Redaction, ...]]:
    """A content as it may be recorded, and what was replaced in it.

    Args:
        content: Of any kind; one that is no text is refused rather than rewritten.
        media_type: As its event says it.
        policy: The project's.
        named: The caller has given its digest: it can only be taken as it is, or refused.

    Raises:
        Invalid: `secret-detected`, with the line.
    """
    found = find_bytes(content, media_type)
    if not found:
        return content, ()
    chosen = policy()
    found = not_allowed(content, found, chosen.allowed)
    if not found:
        return content, ()
    if chosen.mode == "refuse" or named or not is_text(content, media_type):
        raise detected_in(content, found, CONTENT)
    screened, found = redact_bytes(content, media_type, chosen.allowed)
    return screened, tuple(Redaction(CONTENT, one.rule) for one in found)


def _redactions(places: list[Place]) -> tuple[Redaction, ...]:
    return tuple(Redaction(place.pointer, place.rule) for place in places)
