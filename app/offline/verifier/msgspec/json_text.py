"""JSON: read by the standard library's scanner, held to `msgspec`'s rules; written in one spelling."""

import json
import re
from collections.abc import Iterable
from json.decoder import scanstring  # type: ignore[attr-defined]  # missing in its stub
from json.encoder import encode_basestring
from typing import Any, Literal, NoReturn

from .convert import BROKEN, HUGE, Huge, made, raw_members, table_of
from .errors import DecodeError, Wrong
from .marks import Raw
from .struct_type import Struct, StructMeta, is_default

MAX_DIGITS = 4_300
"""Of an integer, its sign included."""

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _constant(word: str) -> NoReturn:
    raise DecodeError(f"JSON is malformed: {word}")


def _integer(digits: str) -> int | Huge:
    try:
        return int(digits) if len(digits) <= MAX_DIGITS else HUGE
    except ValueError:  # the limit of this process is a lower one
        return HUGE


_READER = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=_integer, parse_constant=_constant, strict=True
)
_scan = _READER.scan_once  # type: ignore[attr-defined]  # missing in its stub


class Decoder:
    """Reads JSON as one type."""

    def __init__(self, type: Any = object, *, strict: bool = True) -> None:  # noqa: A002 -- its name
        if not strict:
            raise TypeError("this stand-in is always strict")
        self._table = table_of(type)
        self._raw = raw_members(type)

    def decode(self, raw: bytes | str) -> Any:
        """The value.

        Raises:
            DecodeError: It is not JSON.
            ValidationError: It is not of the type.
            RecursionError: It is nested too deep.
        """
        given, broken = _text(raw)
        try:
            if _SURROGATE.search(given):
                _refuse_halves(_READER.decode(given))
            parsed = _walk(given, self._raw) if self._raw else _READER.decode(given)
            if broken:
                parsed = _marked(parsed)
        except json.JSONDecodeError as error:
            raise DecodeError(f"JSON is malformed: {error}") from None
        try:
            return made(self._table, parsed)
        except Wrong as error:
            raise error.reported() from None


class Encoder:
    """Writes JSON without spaces."""

    def __init__(self, *, order: Literal["sorted"] | None = None) -> None:
        self._sorted = order == "sorted"

    def encode(self, value: object) -> bytes:
        """The bytes.

        Raises:
            TypeError: Something in it cannot be written.
            UnicodeEncodeError: A text has half of a surrogate pair.
        """
        return self._text(value).encode("utf-8")

    def _text(self, value: object) -> str:
        if isinstance(value, str):
            return encode_basestring(value)
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, Struct):
            return self._struct(value)
        if isinstance(value, tuple | list):
            return f"[{','.join([self._text(one) for one in value])}]"
        if isinstance(value, dict):
            members = sorted(value.items()) if self._sorted else value.items()
            return self._object([(_name(name), member) for name, member in members])
        if isinstance(value, Raw):
            return value.decode("utf-8")
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")

    def _struct(self, value: Struct) -> str:
        kind = type(value)
        omit = kind.__struct_options__.get("omit_defaults")
        members = []
        for name, field, default in kind.__struct_sorted__ if self._sorted else _in_place(kind):
            member = getattr(value, field)
            if not (omit and is_default(member, default)):
                members.append((name, member))
        return self._object(members)

    def _object(self, members: list[tuple[str, object]]) -> str:
        return (
            "{"
            + ",".join(
                [f"{encode_basestring(name)}:{self._text(member)}" for name, member in members]
            )
            + "}"
        )


def decode(raw: bytes | str, *, type: Any = object, strict: bool = True) -> Any:  # noqa: A002 -- its name
    """Read JSON as a type; see `Decoder.decode`."""
    return Decoder(type, strict=strict).decode(raw)


def encode(value: object, *, order: Literal["sorted"] | None = None) -> bytes:
    """Write JSON; see `Encoder.encode`."""
    return Encoder(order=order).encode(value)


def format(raw: bytes, *, indent: int = 2) -> bytes:  # noqa: A001 -- its name in `msgspec`
    """The same JSON on several lines."""
    return json.dumps(json.loads(raw), indent=indent, ensure_ascii=False).encode()


def _walk(given: str, raw: frozenset[str]) -> object:
    """The members of an object, those in `raw` as the bytes they are."""
    at = _SPACE.match(given).end()  # type: ignore[union-attr]  # it matches nothing too
    if given[at : at + 1] != "{":
        return _READER.decode(given)
    members: list[tuple[str, object]] = []
    at = _skip(given, at + 1)
    if given[at : at + 1] == "}":
        return _ended(given, at + 1, members)
    while True:
        if given[at : at + 1] != '"':
            raise json.JSONDecodeError("a member's name is missing", given, at)
        name, at = scanstring(given, at + 1, True)
        at = _skip(given, at)
        if given[at : at + 1] != ":":
            raise json.JSONDecodeError("a colon is missing", given, at)
        begin = _skip(given, at + 1)
        try:
            value, end = _scan(given, begin)
        except StopIteration as stopped:
            raise json.JSONDecodeError("a value is missing", given, stopped.value) from None
        if name in raw:
            value = Raw(given[begin:end].encode("utf-8", "surrogateescape"))
        members.append((name, value))
        at = _skip(given, end)
        if given[at : at + 1] == "}":
            return _ended(given, at + 1, members)
        if given[at : at + 1] != ",":
            raise json.JSONDecodeError("a comma is missing", given, at)
        at = _skip(given, at + 1)


def _text(raw: bytes | str) -> tuple[str, bool]:
    """The JSON as text, and whether some of it is not UTF-8: what is skipped need not be."""
    if isinstance(raw, str):
        return raw, False
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape"), True


def _marked(value: object) -> object:
    """The same with `BROKEN` for each text and name that is not UTF-8, so that it fits nowhere."""
    if isinstance(value, str):
        return BROKEN if any("\ud800" <= one <= "\udfff" for one in value) else value
    if isinstance(value, list):
        return [_marked(one) for one in value]
    if isinstance(value, tuple):
        return tuple((_marked(name), _marked(member)) for name, member in value)
    return value


def _refuse_halves(value: object) -> None:
    """Refuse an escape that is half of a surrogate pair, in whatever place."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DecodeError("JSON is malformed: half of a surrogate pair") from None
    elif isinstance(value, list | tuple):
        for one in value:
            _refuse_halves(one)


def _skip(given: str, at: int) -> int:
    return _SPACE.match(given, at).end()  # type: ignore[union-attr]  # it matches nothing too


def _ended(given: str, at: int, members: list[tuple[str, object]]) -> object:
    at = _skip(given, at)
    if at != len(given):
        raise json.JSONDecodeError("there is more", given, at)
    return tuple(members)


def _name(name: object) -> str:
    if type(name) is not str:
        raise TypeError("this stand-in writes members with names that are texts only")
    return name


def _in_place(kind: StructMeta) -> Iterable[tuple[str, str, object]]:
    return zip(
        kind.__struct_encode_fields__, kind.__struct_fields__, kind.__struct_defaults__, strict=True
    )
