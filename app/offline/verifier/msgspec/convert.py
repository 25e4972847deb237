"""From parsed JSON to the type that an annotation asks for, strictly.

Parsed JSON is None, booleans, integers, floats and texts, lists for arrays, and tuples of (name, value)
for objects: so members that occur twice are seen, each in its turn. A type is a table: by the Python
type of what was parsed, the function that makes the value. What is not in the table does not fit.
"""

import base64
import re
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from .errors import Wrong
from .marks import Meta, Raw
from .struct_type import REQUIRED, Struct, fresh, is_struct

Make = Callable[[Any], object]


class Huge:
    """Stands for an integer with so many digits that it is not worth making."""


class Broken:
    """Stands for a text, or a member's name, that is not UTF-8."""


BROKEN = Broken()
HUGE = Huge()
NULL = type(None)

GIVEN = {
    NULL: "null",
    bool: "bool",
    int: "int",
    Huge: "int",
    float: "float",
    str: "str",
    list: "array",
    tuple: "object",
    Raw: "raw",
    Broken: "text that is not UTF-8",
}
"""What was parsed, as errors call it."""

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

ORDER = ("bool", "int", "str", "bytes", "object", "array", "null")
"""In which order errors name what would fit."""


class Table(dict[type, Make]):
    """A type.

    Attributes:
        named: What would fit, as errors call it.
    """

    def __init__(self, named: str, makers: Mapping[type, Make]) -> None:
        super().__init__(makers)
        self.named = named


def convert(value: object, type: Any) -> Any:  # noqa: A002 -- its name in `msgspec`
    """A value made of dicts, lists and texts as the type asked for.

    Raises:
        ValidationError: It does not fit.
    """
    try:
        return made(table_of(type), _as_parsed(value))
    except Wrong as error:
        raise error.reported() from None


def made(table: Table, value: object) -> object:
    """What a type makes of parsed JSON.

    Raises:
        Wrong: It does not fit.
    """
    make = table.get(type(value))
    if make is None:
        raise _misfit(table, value)
    return make(value)


def plain(value: object) -> object:
    """Parsed JSON as dicts, lists and so on, whatever it is."""
    match value:
        case tuple():
            return {plain(name): plain(member) for name, member in value}
        case list():
            return [plain(one) for one in value]
        case float() if value in {float("inf"), float("-inf")}:
            raise Wrong("Number out of range")
        case Broken():
            raise Wrong("A text is not UTF-8")
        case Huge():
            raise Wrong("Integer value out of range")
        case _:
            return value


@cache
def struct_table(kind: type[Struct]) -> Table:
    """The table of a struct."""
    hints = typing.get_type_hints(kind, include_extras=True)
    members = {
        encoded: (index, table_of(hints[member]))
        for index, (encoded, member) in enumerate(
            zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        )
    }
    names, defaults = kind.__struct_encode_fields__, kind.__struct_defaults__
    setters, forbid = kind.__struct_setters__, kind.__struct_options__.get("forbid_unknown_fields")
    blank: list[object] = [REQUIRED] * len(defaults)

    def make(pairs: tuple[tuple[str, object], ...]) -> object:
        values = blank.copy()
        for name, value in pairs:
            known = members.get(name)
            if known is None:
                if forbid:
                    raise Wrong(f"Object contains unknown field `{plain(name)}`")
                continue
            index, table = known
            try:
                maker = table.get(type(value))
                if maker is None:
                    raise _misfit(table, value)
                values[index] = maker(value)
            except Wrong as error:
                error.path.append(f".{name}")
                raise
        one = object.__new__(kind)
        for setter, value, default, name in zip(setters, values, defaults, names, strict=True):
            if value is not REQUIRED:
                setter(one, value)
            elif default is not REQUIRED:
                setter(one, fresh(default))
            else:
                raise Wrong(f"Object missing required field `{name}`")
        return one

    return Table("object", {tuple: make})


def table_of(kind: Any) -> Table:
    """The table of a type.

    Raises:
        TypeError: Verification did not need such a type so far.
    """
    if is_struct(kind):
        return struct_table(kind)
    match kind:
        case types.NoneType | None:
            return Table("null", {NULL: _same})
        case builtin if builtin is bool or builtin is int:
            return Table(kind.__name__, {kind: _same})
        case builtin if builtin is str:
            return Table("str", {str: _same})
        case builtin if builtin is bytes:
            return Table("bytes", {str: _base64})
        case builtin if builtin is object or builtin is Any:
            return Table("any", dict.fromkeys(GIVEN, plain))
        case raw if raw is Raw:
            return Table("any", {Raw: _same})
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            return _constrained(table_of(arguments[0]), arguments[1:])
        case origin if origin is Literal:
            return _literal(arguments)
        case typing.Union | types.UnionType:
            return _union([table_of(one) for one in arguments])
        case origin if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
            return _array(table_of(arguments[0]), tuple)
        case origin if origin is list:
            return _array(table_of(arguments[0]), list)
        case origin if origin is dict and arguments[0] is str:
            return _object(table_of(arguments[1]))
    raise TypeError(f"this stand-in cannot read {kind!r}")


def _same(value: object) -> object:
    return value


def _base64(value: str) -> bytes:
    if _BASE64.fullmatch(value) is None:
        raise Wrong("Invalid base64 encoded string")
    return base64.b64decode(value)


def _constrained(table: Table, metas: tuple[object, ...]) -> Table:
    meta = metas[0]
    if len(metas) != 1 or not isinstance(meta, Meta) or len(table) != 1:
        raise TypeError("this stand-in cannot read such an annotation")
    return Table(
        table.named, {kind: _checked(table.named, meta, make) for kind, make in table.items()}
    )


def _checked(named: str, meta: Meta, make: Make) -> Make:
    def check(value: Any) -> object:
        found: Any = make(value)
        if meta.ge is not None and found < meta.ge:
            raise Wrong(f"Expected `{named}` >= {meta.ge}")
        if meta.le is not None and found > meta.le:
            raise Wrong(f"Expected `{named}` <= {meta.le}")
        if meta.min_length is not None and len(found) < meta.min_length:
            raise Wrong(f"Expected `{named}` of length >= {meta.min_length}")
        if meta.max_length is not None and len(found) > meta.max_length:
            raise Wrong(f"Expected `{named}` of length <= {meta.max_length}")
        if meta.pattern is not None and meta.pattern.search(found) is None:
            raise Wrong(f"Expected `{named}` matching regex {meta.pattern.pattern!r}")
        return found

    return check


def _literal(words: tuple[object, ...]) -> Table:
    if not all(isinstance(word, str) for word in words):
        raise TypeError("this stand-in knows literals of texts only")
    known = {word: word for word in words}

    def make(value: str) -> object:
        if value not in known:
            raise Wrong(f"Invalid enum value {value!r}")
        return known[value]

    return Table("str", {str: make})


def _union(tables: list[Table]) -> Table:
    makers: dict[type, Make] = {}
    for table in tables:
        if makers.keys() & table.keys():
            raise TypeError("this stand-in cannot tell the members of such a union apart")
        makers |= table
    if Raw in makers:
        raise TypeError("this stand-in cannot read JSON as it is, or something else")
    names = {name for table in tables for name in table.named.split(" | ")}
    return Table(" | ".join(one for one in ORDER if one in names), makers)


def _array(items: Table, kind: type) -> Table:
    def make(values: list[object]) -> object:
        found = []
        for index, value in enumerate(values):
            try:
                found.append(made(items, value))
            except Wrong as error:
                error.path.append(f"[{index}]")
                raise
        return kind(found)

    return Table("array", {list: make})


def _object(members: Table) -> Table:
    def make(pairs: tuple[tuple[str, object], ...]) -> object:
        found = {}
        for name, value in pairs:
            try:
                found[plain(name)] = made(members, value)
            except Wrong as error:
                error.path.append("[...]")
                raise
        return found

    return Table("object", {tuple: make})


def _misfit(table: Table, value: object) -> Wrong:
    given = GIVEN[type(value)]
    if isinstance(value, Huge) and int in table:
        return Wrong("Integer value out of range")
    if isinstance(value, float) and value in {float("inf"), float("-inf")}:
        return Wrong("Number out of range")
    return Wrong(f"Expected `{table.named}`, got `{given}`")


def _as_parsed(value: object) -> object:
    """A value made of dicts, lists and so on, as if it had been parsed."""
    if isinstance(value, Mapping):
        return tuple((name, _as_parsed(member)) for name, member in value.items())
    if isinstance(value, list | tuple):
        return [_as_parsed(one) for one in value]
    if value is None or type(value) in {bool, int, float, str}:
        return value
    raise TypeError(f"this stand-in cannot convert a {type(value).__name__}")


@cache
def raw_members(kind: object) -> frozenset[str]:
    """The members of a struct that are kept as they are, by their names in JSON."""
    if not is_struct(kind):
        return frozenset()
    hints = typing.get_type_hints(kind, include_extras=True)
    return frozenset(
        encoded
        for encoded, member in zip(
            kind.__struct_encode_fields__, kind.__struct_fields__, strict=True
        )
        if hints[member] is Raw
    )
