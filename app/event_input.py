"""Events as people and programs write them on standard input: JSON, a JSON array, or NDJSON."""

import base64
from collections.abc import Callable, Iterator
from typing import BinaryIO

from app.secret_door import screen_event
from domain import canonical
from domain.digest import digest_of
from domain.errors import DeedbookError, Invalid, Malformed, TooLarge
from domain.events import contents_of, read_data
from domain.names import parse_stream
from domain.secret_places import Redaction
from domain.secret_policy import SecretPolicy

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
MEMBERS = frozenset({"stream", "type", "data", "id", "content", "content_base64"})

Given = dict[str, object]


def read_events(source: BinaryIO) -> Iterator[Given]:
    """The events on `source`, in order; NDJSON is read line by line, in bounded memory.

    Raises:
        Malformed: Not JSON; the pointer or the sentence says which line.
        Invalid: An event breaks a rule, with a pointer such as `/events/3/data`.
        TooLarge: `body-too-large`.
    """
    for index, value in enumerate(_values(source)):
        yield _event(index, value)


def with_id(event: Given, new_id: Callable[[], str]) -> Given:
    """The event with an id, so that sending it twice records it once."""
    return event if event.get("id") is not None else {**event, "id": new_id()}


def without_secrets(
    index: int, event: Given, policy: SecretPolicy
) -> tuple[Given, tuple[Redaction, ...]]:
    """The batch's event `index` as it may leave this machine, and what was replaced in it.

    Raises:
        Invalid: `secret-detected`, with a pointer such as `/events/3/data/title`.
    """
    pointer = f"/events/{index}"
    stream = event["stream"]
    assert isinstance(stream, str)
    try:
        content = _content(event)
        data, kept, redactions = screen_event(stream, event["data"], content, lambda: policy)
    except Invalid as error:
        error.pointer = f"{pointer}{error.pointer or ''}"
        raise
    if not redactions:
        return event, ()
    clean = {**event, "data": data}
    if kept is not None and kept != content:
        clean.pop("content", None)
        clean["content_base64"] = base64.b64encode(kept).decode()
    return clean, tuple(Redaction(pointer + one.pointer, one.rule) for one in redactions)


def preview(index: int, event: Given) -> Given:
    """What would be recorded of the batch's event `index`, after the checks that need no ledger.

    Raises:
        Invalid: What the ledger would refuse it for, with a pointer such as `/events/3/data`.
    """
    try:
        return _preview(event)
    except Invalid as error:
        error.pointer = f"/events/{index}{error.pointer or ''}"
        raise


def _values(source: BinaryIO) -> Iterator[object]:
    first = b""
    while not first.strip():
        first = source.readline(MAX_LINE_BYTES + 1)
        if not first:
            return
    if first.lstrip().startswith(b"{"):
        try:
            value = canonical.read(first)
        except Malformed:
            # Not whole on one line: a JSON text over several lines, or a broken one.
            if not first.rstrip().endswith(b"}"):
                yield from _document(first, source)
                return
            raise
        yield value
        yield from _lines(source)
        return
    yield from _document(first, source)


def _document(first: bytes, source: BinaryIO) -> Iterator[object]:
    raw = first + source.read(MAX_DOCUMENT_BYTES - len(first) + 1)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            "body-too-large",
            f"More than {MAX_DOCUMENT_BYTES} bytes in one JSON text; write one event a line.",
        )
    value = canonical.read(raw)
    yield from value if isinstance(value, list) else [value]


def _lines(source: BinaryIO) -> Iterator[object]:
    number = 1
    while line := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise TooLarge("body-too-large", f"An event has more than {MAX_LINE_BYTES} bytes.")
        if not line.strip():
            continue
        try:
            yield canonical.read(line)
        except DeedbookError as error:
            error.detail = f"After line {number - 1}: {error.detail}"
            raise


def _event(index: int, value: object) -> Given:
    pointer = f"/events/{index}"
    if not isinstance(value, dict):
        raise Invalid("validation-failed", "An event is a JSON object.", pointer=pointer)
    unknown = sorted(set(value) - MEMBERS)
    if unknown:
        raise Invalid(
            "validation-failed",
            f"An event has no member {unknown[0]!r}; it has {', '.join(sorted(MEMBERS))}.",
            pointer=pointer,
        )
    for name in ("stream", "type"):
        if not isinstance(value.get(name), str):
            raise Invalid(
                "validation-failed",
                f"An event needs a {name} in text.",
                pointer=f"{pointer}/{name}",
            )
    if "data" not in value:
        raise Invalid("validation-failed", "An event needs data.", pointer=f"{pointer}/data")
    return value


def _preview(event: Given) -> Given:
    stream, type_name, value = event["stream"], event["type"], event["data"]
    assert isinstance(stream, str)
    assert isinstance(type_name, str)
    parse_stream(stream)
    content = _content(event)
    if content is not None and isinstance(value, dict):
        facts = {"digest": digest_of(content), "size_bytes": len(content)}
        if type_name == "ArtifactWritten":
            value = {**value, **facts}
        elif isinstance(value.get("content", {}), dict):
            value = {**value, "content": {**value.get("content", {}), **facts}}
    data = read_data(type_name, value)
    return {
        "stream": stream,
        "type": type_name,
        "contents": [one.digest for one in contents_of(data)],
        "id": event.get("id"),
    }


def _content(event: Given) -> bytes | None:
    text = event.get("content")
    if isinstance(text, str):
        return text.encode()
    encoded = event.get("content_base64")
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise Invalid(
            "validation-failed", "content_base64 is not base64.", pointer="/content_base64"
        ) from None
