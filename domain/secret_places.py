"""Secrets in a JSON value: where each stands, as a JSON Pointer, and the value without them.

Beside what `domain.secrets` finds in each text, a member is taken to be a secret when its name says so
(`domain.secret_names`), and so is the argument of an option in a list of arguments.
"""

import re
from collections.abc import Callable, Collection, Iterator

import msgspec

from domain.secret_finding import (
    ARGUMENT,
    NAMED_VALUE,
    Finding,
    distinct,
    fingerprint,
    not_allowed,
    replaced,
)
from domain.secret_names import is_placeholder, is_secret_name
from domain.secret_rule import RuleSet
from domain.secrets import find

MAX_DEPTH = 64
# Digests, and texts with no room for a token: most of what an event says.
_HARMLESS = re.compile(r"(?:sha256:)?[0-9a-f]{64}|[0-9a-f]{40}|[\w ./,-]{0,11}", re.ASCII)
_HARMLESS_NAME = re.compile(r"[a-z_]{0,32}")
_OPTION = re.compile(r"--?([A-Za-z][\w-]*)(?:=(.+))?", re.DOTALL)
_VARIABLE = re.compile(r"([A-Za-z_]\w*)=(.+)", re.DOTALL)
_LOGIN = frozenset({"-u", "--user", "--proxy-user"})
_LOGIN_VALUE = re.compile(r"[^:\s]*:(.+)", re.DOTALL)
_JOINED_PASSWORD = re.compile(r"-p(\S+)")
_PASSWORD_SHORT = re.compile(r"(?:.*/)?(?:mysql\w*|mariadb\w*|sshpass)")


class Place(msgspec.Struct, frozen=True):
    """A secret at a place of a JSON value.

    Attributes:
        pointer: Of the text that it stands in; with `in_name`, of the member whose name it is in.
        rule: The kind's id.
        fingerprint: What an allow list would hold to let it through.
    """

    pointer: str
    rule: str
    description: str
    fingerprint: str
    in_name: bool = False


def redact_value(
    value: object, rules: RuleSet, pointer: str = "", allowed: Collection[str] = ()
) -> tuple[object, list[Place]]:
    """A JSON value with its secrets replaced, and where they were; the same object if there were none.

    A secret in a member's name is a place too, but stays: its member would be another.
    """
    places: list[Place] = []
    walk = _Walk(rules, allowed, places)
    return walk.value(value, pointer, 0), places


class Redaction(msgspec.Struct, frozen=True):
    """A secret that was replaced: where, as a JSON Pointer, and of which kind."""

    pointer: str
    rule: str


class _Walk:
    def __init__(self, rules: RuleSet, allowed: Collection[str], places: list[Place]) -> None:
        self._rules = rules
        self._allowed = allowed
        self._places = places

    def value(self, value: object, pointer: str, depth: int, name: str = "") -> object:
        if isinstance(value, str):
            return self._text(value, pointer, name)
        if depth > MAX_DEPTH:
            return value
        if isinstance(value, dict):
            return self._members(value, pointer, depth)
        if isinstance(value, list | tuple):
            arguments = dict(_arguments(value))
            items = [
                self._argument(one, arguments[index], f"{pointer}/{index}")
                if index in arguments and isinstance(one, str)
                else self.value(one, f"{pointer}/{index}", depth + 1, name)
                for index, one in enumerate(value)
            ]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else type(value)(items)
        return value

    def _members(self, value: dict[object, object], pointer: str, depth: int) -> object:
        changed: dict[object, object] = {}
        # {"name": "password", "value": "…"}: what a parameter is called stands beside it.
        beside = value.get("name", value.get("key"))
        paired = beside if isinstance(beside, str) else "value"
        for key, one in value.items():
            text = str(key)
            place = f"{pointer}/{text.replace('~', '~0').replace('/', '~1')}"
            if _HARMLESS_NAME.fullmatch(text) is None:
                raw = text.encode("utf-8", "surrogatepass")
                for found in self._found(raw):
                    # The pointer leads to the object: its last part would repeat the secret.
                    self._add(raw, found, pointer, in_name=True)
            new = self.value(one, place, depth + 1, paired if text == "value" else text)
            if new is not one:
                changed[key] = new
        return {**value, **changed} if changed else value

    def _text(self, text: str, pointer: str, name: str) -> str:
        named = name != "" and is_secret_name(name) and not is_placeholder(text)
        if not named and _HARMLESS.fullmatch(text) is not None:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        found = self._found(raw)
        if named and not found:
            found = self._kept(
                raw, [Finding(NAMED_VALUE, 0, len(raw), "The value of a secret-looking name.")]
            )
        return self._without(text, raw, found, pointer)

    def _argument(self, text: str, begin: int, pointer: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        start = len(text[:begin].encode("utf-8", "surrogatepass"))
        given = Finding(ARGUMENT, start, len(raw), "The argument of a secret-looking option.")
        found = self._kept(raw, distinct([*find(raw, self._rules), given]))
        return self._without(text, raw, found, pointer)

    def _without(self, text: str, raw: bytes, found: list[Finding], pointer: str) -> str:
        if not found:
            return text
        for one in found:
            self._add(raw, one, pointer)
        return replaced(raw, found).decode("utf-8", "surrogatepass")

    def _found(self, raw: bytes) -> list[Finding]:
        return self._kept(raw, find(raw, self._rules))

    def _kept(self, raw: bytes, found: list[Finding]) -> list[Finding]:
        return not_allowed(raw, found, self._allowed) if found else found

    def _add(self, raw: bytes, found: Finding, pointer: str, *, in_name: bool = False) -> None:
        secret = fingerprint(raw[found.start : found.end])
        self._places.append(Place(pointer, found.rule, found.description, secret, in_name))


def _arguments(items: list[object] | tuple[object, ...]) -> Iterator[tuple[int, int]]:
    """The arguments in a command that are secrets: which, and at which character the secret begins."""
    texts = [one if isinstance(one, str) else "" for one in items]
    short = bool(texts) and _PASSWORD_SHORT.fullmatch(texts[0]) is not None
    before = ""
    for index, text in enumerate(texts):
        last, before = before, text
        if "=" not in text and not text.startswith("-") and not last.startswith("-"):
            continue
        found = next((begin for begin in map(_call(text, last, short), _WAYS) if begin), 0)
        if found or (last and _follows_option(last, text)):
            yield index, found


_Way = Callable[[str, str, bool], int]


def _call(text: str, before: str, short: bool) -> Callable[[_Way], int]:
    return lambda way: way(text, before, short)


def _option(text: str, _before: str, _short: bool) -> int:
    found = _OPTION.fullmatch(text)
    given = found is not None and found[2] is not None and is_secret_name(found[1])
    return found.start(2) if found and given and not is_placeholder(found[2]) else 0


def _variable(text: str, _before: str, _short: bool) -> int:
    found = _VARIABLE.fullmatch(text)
    given = found is not None and is_secret_name(found[1]) and not is_placeholder(found[2])
    return found.start(2) if found and given else 0


def _login(text: str, before: str, _short: bool) -> int:
    found = _LOGIN_VALUE.fullmatch(text) if before in _LOGIN else None
    return found.start(1) if found and not is_placeholder(found[1]) else 0


def _password(text: str, _before: str, short: bool) -> int:
    found = _JOINED_PASSWORD.fullmatch(text) if short else None
    return found.start(1) if found and not is_placeholder(found[1]) else 0


_WAYS: tuple[_Way, ...] = (_option, _variable, _login, _password)


def _follows_option(before: str, text: str) -> bool:
    found = _OPTION.fullmatch(before)
    return (
        found is not None
        and found[2] is None
        and is_secret_name(found[1])
        and bool(text)
        and not text.startswith("-")
        and not is_placeholder(text)
    )
