"""Secrets that are known by what stands around them, beside the rule set of `domain.secret_rule`.

Private keys, passwords in URLs, HTTP's own headers, and values that are given to a secret-looking name.
Each looks for a rare word first, and goes over the bytes once: what a search begins it does not begin
again within.
"""

import re
from collections.abc import Iterator

from domain.secret_finding import HEADER, NAMED_VALUE, Finding
from domain.secret_names import is_placeholder, is_secret_name

PRIVATE_KEY = "private-key"
URL_PASSWORD = "url-password"  # noqa: S105 -- the name of a rule

_BEGIN = re.compile(rb"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(rb"[A-Za-z0-9+/=]{40}")
_END_LINE = re.compile(rb"-----END[ A-Z0-9_-]{0,100}-----")
_MAX_KEY_BYTES = 64 * 1024
# A password may have a slash in it, unless what precedes it is a port.
_USER = re.compile(
    rb"[^\s/?#@:'\"<>`\\]{0,128}:(?![0-9]{1,5}/)([^\s?#@'\"<>`\\]{1,512})@(?=[\w\[])"
)
_HEADER = re.compile(
    rb"(?i:authorization)[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?"
    rb"(?i:(?:bearer|basic|token|apikey|negotiate)[ \t]{1,4})?([\w.~+/=-]{8,4096})"
)
_COOKIE = re.compile(
    rb"(?i:cookie)[\"']?:[ \t]{0,4}[\"']?[\w.-]{1,64}=([^;\s\"'\\{}()<>$]{8,4096})"
)
_WORDS = (b"passw", b"passphr", b"secret", b"token", b"key", b"pwd", b"credential")
_NAME = re.compile(rb"[\w.-]")
_NAME_CHARACTERS = 48
_REST = rb"([\w-]{0,24})([\"']?)"
_GIVEN = rb"(?:(['\"])((?:(?!\4)[^\r\n\\]){1,256})\4|([^\s\"'`,;(){}\[\]<>\\]{1,256})(?![(\[]))"
_VALUE = re.compile(_REST + rb"([ \t]{0,3}(?:=>|:=|=|:)[ \t]{0,3})" + _GIVEN)
_OPTION_VALUE = re.compile(_REST + rb"([ \t]{1,3})" + _GIVEN)
_MEMBER = re.compile(rb'([^"\\]{0,48})"\s{0,8}:\s{0,8}"((?:[^"\\]|\\.){1,4096})"')
_PASSWORD = re.compile(r"[\w!@#$%^&*?+-]{8,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")
_LETTER = re.compile(r"[A-Za-z]")
_DIGIT = re.compile(r"[0-9]")
_MARK = re.compile(r"[!@#$%^&*?]")
_LEAST_CHARACTERS = 6


def shapes(raw: bytes, lower: bytes, *, json: bool = False) -> Iterator[Finding]:
    """What is found in `raw`; `lower` is the same in lower case.

    Of JSON, a member with a secret-looking name counts whatever its text looks like.
    """
    if b"PRIVATE KEY" in raw:
        yield from _private_keys(raw)
    if b"://" in raw:
        yield from _url_passwords(raw)
    if b"authorization" in lower:
        yield from _matches(raw, _HEADER, "A credential in an HTTP header.")
    if b"cookie" in lower:
        yield from _matches(raw, _COOKIE, "A cookie in an HTTP header.")
    for word in _WORDS:
        at = lower.find(word)
        while at >= 0:
            found = _named_value(raw, at, at + len(word))
            if found is None and json:
                found = _member(raw, at, at + len(word))
            if found is not None:
                yield found
            at = lower.find(word, at + len(word) if found is None else found.end)


def is_secretish(value: str) -> bool:
    """Whether a value looks chosen or generated, rather than like a word or a piece of code."""
    return (
        len(value) >= _LEAST_CHARACTERS
        and _DIGIT.search(value) is not None
        and (_LETTER.search(value) is not None or _MARK.search(value) is not None)
        and not is_placeholder(value)
    )


def _private_keys(raw: bytes) -> Iterator[Finding]:
    at = 0
    while begin := _BEGIN.search(raw, at):
        at = begin.end()
        limit = min(len(raw), at + _MAX_KEY_BYTES)
        end = _END_LINE.search(raw, at, limit)
        following = _BEGIN.search(raw, at, limit)
        stop = end.end() if end else following.start() if following else limit
        if _KEY_LINE.search(raw, at, stop):
            yield Finding(PRIVATE_KEY, begin.start(), stop, "A private key.")
            at = stop


def _url_passwords(raw: bytes) -> Iterator[Finding]:
    at = raw.find(b"://")
    while at >= 0:
        found = _USER.match(raw, at + 3)
        if found and raw[at - 1 : at].isalnum() and not is_placeholder(_text(found[1])):
            yield Finding(URL_PASSWORD, found.start(1), found.end(1), "A password in a URL.")
        at = raw.find(b"://", found.end() if found else at + 3)


def _matches(raw: bytes, pattern: re.Pattern[bytes], description: str) -> Iterator[Finding]:
    for found in pattern.finditer(raw):
        if _is_credential(_text(found[1])):
            yield Finding(HEADER, found.start(1), found.end(1), description)


def _is_credential(value: str) -> bool:
    """Base64 need not have a digit."""
    mixed = value != value.lower() and value != value.upper()
    return is_secretish(value) or (mixed and len(value) >= 12 and not is_placeholder(value))


def _named_value(raw: bytes, start: int, end: int) -> Finding | None:
    """The value given to the name that has a secret word at `start` to `end`."""
    found = _VALUE.match(raw, end)
    if found is None and b"--" in raw[max(0, start - _NAME_CHARACTERS) : start]:
        found = _OPTION_VALUE.match(raw, end)
    if found is None:
        return None
    which = 5 if found[5] is not None else 6
    if not is_secretish(value := _text(found[which])):
        return None
    begin = start
    while begin > max(0, start - _NAME_CHARACTERS) and _NAME.match(raw, begin - 1):
        begin -= 1
    option = raw[begin:start]
    name = _text(raw[begin:end] + found[1])
    if not is_secret_name(name) or not _is_given(name, option, found, value):
        return None
    return Finding(NAMED_VALUE, found.start(which), found.end(which), f"The value of {name[-64:]}.")


def _member(raw: bytes, start: int, end: int) -> Finding | None:
    """The text of the JSON member whose name has a secret word at `start` to `end`."""
    found = _MEMBER.match(raw, end)
    begin = raw.rfind(b'"', max(0, start - _NAME_CHARACTERS), start) + 1
    if found is None or begin == 0:
        return None
    name = _text(raw[begin : found.end(1)])
    if not is_secret_name(name) or is_placeholder(_text(found[2])):
        return None
    return Finding(NAMED_VALUE, found.start(2), found.end(2), f"The value of {name}.")


def _is_given(name: str, option: bytes, found: re.Match[bytes], value: str) -> bool:
    """Whether this is a value given to a name, in some notation, and not a sentence or an expression."""
    operator = found[3].strip()
    quoted = found[5] is not None
    if option.startswith(b"--"):
        return operator in {b"", b"="}
    if not operator:
        return False
    if quoted:
        return " " not in value
    if name.isupper():
        return found[3] in {b"=", b": "}
    # As in an .ini file: what is no number, path or name in a program.
    if _BASE64.fullmatch(value):
        return True
    return "passw" in name.lower() and _PASSWORD.fullmatch(value) is not None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
