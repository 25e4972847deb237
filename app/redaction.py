"""Text and events without the secrets in them: for what is sent to a ledger, and for what comes to one."""

from collections.abc import Collection

import msgspec

from adapters.secret_rules import secret_rules
from domain.errors import Invalid
from domain.secret_finding import Finding, fingerprint, line_of, not_allowed, replaced
from domain.secret_places import Place, redact_value
from domain.secrets import find


def find_bytes(
    content: bytes, media_type: str = "", allowed: Collection[str] = ()
) -> list[Finding]:
    """The secrets in a content of any kind."""
    found = find(content, secret_rules(), json=media_type.endswith("json"))
    return not_allowed(content, found, allowed) if found else found


def redact_bytes(
    content: bytes, media_type: str = "text/plain", allowed: Collection[str] = ()
) -> tuple[bytes, list[Finding]]:
    """A content with every secret replaced by `[redacted:<rule>]`, and what was found.

    Raises:
        Invalid: `secret-detected`: there is one in a content that is no text, and cannot be rewritten.
    """
    found = find_bytes(content, media_type, allowed)
    if not found:
        return content, found
    if not is_text(content, media_type):
        raise detected_in(content, found, "/content")
    return replaced(content, found), found


class Replaced(msgspec.Struct, frozen=True):
    """A secret that was replaced in a content: on which line, and of which kind."""

    line: int
    rule: str


def screened_content(
    content: bytes, media_type: str, *, redact: bool, allowed: Collection[str] = ()
) -> tuple[bytes, list[Replaced]]:
    """A content as it may leave this machine: without secrets, or with them replaced.

    Raises:
        Invalid: `secret-detected`, unless they are to be replaced and can be.
    """
    found = find_bytes(content, media_type, allowed)
    if found and not redact:
        raise detected_in(content, found, "/content")
    clean, found = redact_bytes(content, media_type, allowed) if found else (content, found)
    return clean, [Replaced(line_of(content, one), one.rule) for one in found]


def redact_members(
    value: object, pointer: str = "", allowed: Collection[str] = ()
) -> tuple[object, list[Place]]:
    """A JSON value with every secret replaced, and where they were."""
    return redact_value(value, secret_rules(), pointer, allowed)


def is_text(content: bytes, media_type: str) -> bool:
    """Whether a piece of a content can be replaced without breaking it."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return media_type.startswith("text/")
    return b"\0" not in content


def detected(place: Place) -> Invalid:
    """The refusal of a value with a secret in it."""
    where = "a member's name" if place.in_name else "this text"
    return _refusal(place.rule, place.description, place.fingerprint, place.pointer, where)


def detected_in(content: bytes, found: list[Finding], pointer: str) -> Invalid:
    """The refusal of a content with secrets in it; names the first."""
    first = found[0]
    secret = fingerprint(content[first.start : first.end])
    line = line_of(content, first)
    error = _refusal(first.rule, first.description, secret, pointer, f"line {line} of the content")
    error.members["line"] = line
    return error


def _refusal(rule: str, description: str, secret: str, pointer: str | None, where: str) -> Invalid:
    return Invalid(
        "secret-detected",
        f"In {where} stands what looks like a secret, by the rule {rule}: {description} "
        "Nothing was recorded. Remove it, and revoke it if it is real; if it is none, add its "
        f"fingerprint to allowed_secrets in the project's policy: {secret}.",
        pointer=pointer,
        members={"rule": rule, "fingerprint": secret},
    )
