"""The service's filter language over metadata, as its documentation describes it."""

import re
from collections.abc import Callable

Metadata = dict[str, object]
Test = Callable[[Metadata], bool]
Literal = str | float

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9.\[\]#-]*)|(?P<sign><=|>=|!=|=|<|>|\(|\)|,))"
)
_STEP = re.compile(r"([^.\[\]]+)|\[(#-)?(\d+)\]")
_MISSING = object()


class BadFilter(Exception):
    """The filter does not parse."""


def parse_filter(text: str) -> Test:
    """The test that a filter stands for; an empty one lets everything through.

    Raises:
        BadFilter: It is none.
    """
    if not text.strip():
        return lambda _metadata: True
    parser = _Parser(text)
    found = parser.either()
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.strip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise BadFilter(f"unexpected {text[at:][:20]!r}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self._at = 0

    def either(self) -> Test:
        tests = [self._both()]
        while self._word("OR"):
            tests.append(self._both())
        return lambda metadata: any(test(metadata) for test in tests)

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise BadFilter(f"unexpected {self._tokens[self._at][1]!r}")

    def _both(self) -> Test:
        tests = [self._one()]
        while self._word("AND"):
            tests.append(self._one())
        return lambda metadata: all(test(metadata) for test in tests)

    def _one(self) -> Test:
        if self._sign("("):
            inner = self.either()
            self._expect(")")
            return inner
        kind, name = self._next()
        if kind != "name":
            raise BadFilter(f"{name!r} is no identifier")
        negated = self._word("NOT")
        test = self._operator(negated)

        def applied(metadata: Metadata) -> bool:
            value = _value(metadata, name)
            return value is not _MISSING and test(value) is not negated

        return applied

    def _operator(self, negated: bool) -> Callable[[object], bool]:
        kind, written = self._next()
        word = written.upper()
        if kind == "name" and word == "IN":
            literals = self._literals()
            return lambda value: any(_same(value, one) for one in literals)
        if kind == "name" and word == "CONTAINS":
            literal = self._literal()
            return lambda value: (
                isinstance(value, list) and any(_same(one, literal) for one in value)
            )
        if kind == "name" and word == "GLOB":
            pattern = self._literal()
            if not isinstance(pattern, str):
                raise BadFilter("a pattern is text")
            glob = re.compile(_glob(pattern), re.DOTALL)
            return lambda value: isinstance(value, str) and glob.fullmatch(value) is not None
        if kind != "sign" or negated or written not in _COMPARED:
            raise BadFilter(f"{written!r} is no operator")
        compared, literal = _COMPARED[written], self._literal()
        if written not in {"=", "!="} and isinstance(literal, str):
            raise BadFilter("text has no order")
        return lambda value: compared(value, literal)

    def _literals(self) -> list[Literal]:
        self._expect("(")
        found = [self._literal()]
        while self._sign(","):
            found.append(self._literal())
        self._expect(")")
        return found

    def _literal(self) -> Literal:
        kind, written = self._next()
        if kind == "text":
            return written[1:-1]
        if kind == "number":
            return float(written)
        if kind == "name" and written.lower() in {"true", "false"}:
            return float(written.lower() == "true")
        raise BadFilter(f"{written!r} is no literal")

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise BadFilter("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: str, written: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at]
        if found and found[0] == kind and found[1].upper() == written:
            self._at += 1
            return True
        return False

    def _word(self, word: str) -> bool:
        return self._take("name", word)

    def _sign(self, sign: str) -> bool:
        return self._take("sign", sign)

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise BadFilter(f"{sign!r} is missing")


def _same(value: object, literal: Literal) -> bool:
    if isinstance(literal, str):
        return value == literal
    return isinstance(value, bool | int | float) and float(value) == literal


def _ordered(test: Callable[[float, float], bool]) -> Callable[[object, Literal], bool]:
    def compared(value: object, literal: Literal) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return test(value, float(literal))

    return compared


_COMPARED: dict[str, Callable[[object, Literal], bool]] = {
    "=": _same,
    "!=": lambda value, literal: not _same(value, literal),
    "<": _ordered(lambda one, other: one < other),
    "<=": _ordered(lambda one, other: one <= other),
    ">": _ordered(lambda one, other: one > other),
    ">=": _ordered(lambda one, other: one >= other),
}


def _value(metadata: Metadata, name: str) -> object:
    found: object = metadata
    for step in _STEP.finditer(name):
        if step[1] is not None:
            found = found.get(step[1], _MISSING) if isinstance(found, dict) else _MISSING
        elif isinstance(found, list):
            index = -int(step[3]) if step[2] else int(step[3])
            inside = -len(found) <= index < len(found)
            found = found[index] if inside else _MISSING
        else:
            found = _MISSING
    return found


def _glob(pattern: str) -> str:
    out, at = "", 0
    while at < len(pattern):
        closing = pattern.find("]", at + 2)
        if pattern[at] == "[" and closing > 0:
            out += "[" + pattern[at + 1 : closing].replace("\\", r"\\") + "]"
            at = closing
        else:
            out += {"*": ".*", "?": "."}.get(pattern[at], re.escape(pattern[at]))
        at += 1
    return out
