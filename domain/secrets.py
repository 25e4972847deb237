"""Secrets in text: where they are, which kind each is, and the text without them.

A secret is known by its shape: a token's own prefix, a vendor's name before a value, a private key, a
password in a URL. That something looks random is never enough by itself: digests, ids and locks are
full of it. Everything here goes over bytes, since what is searched for is ASCII.

It has to be quick where there is nothing. Nearly all tokens have a long run of letters, digits, `_` and
`-`: such runs are found by translating every such byte to one and searching for a row of it. Around them
only, a keyword is looked for; and with a keyword only, its rules are tried, in a window of fixed size.
"""

import math
import re
from collections.abc import Iterator
from functools import lru_cache

from domain.secret_finding import GENERIC, Finding, distinct, replaced
from domain.secret_names import is_secret_name
from domain.secret_rule import Allowance, Rule, RuleSet, compiled
from domain.secret_shapes import shapes
from domain.secret_syntax import trie

LEAST_RUN = 12
"""A run shorter than this leads to no rule; nearly no rule of the set is for a shorter value."""
PIECE_BYTES = 1024 * 1024
OVERLAP_BYTES = 64 * 1024
"""Longer text is searched in pieces that overlap, so that memory stays flat."""

_RUN = bytes(
    ord("x") if byte < 128 and (chr(byte).isalnum() or chr(byte) in "_-") else ord(" ")
    for byte in range(256)
)
_ROW = b"x" * LEAST_RUN
_DIGEST = re.compile(
    rb"[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_HEXADECIMAL = re.compile(rb"[0-9a-f]+")
_LONGEST_HEXADECIMAL = 64  # a longer one is known by rules without a limit only
_MARK = re.compile(rb"[^0-9a-z+/=@\\]")
_IN_WORDS = frozenset({b".", b"~"})  # joints that a keyword can have in it
_NUMERAL = re.compile(rb"[0-9]")
# Drawn at random though without a digit: long, its letters changing their case, or longer than words.
_MIXED = re.compile(rb"[a-z_-]*[A-Z]+[a-z_-]+[A-Z]|(?=[A-Za-z_-]{32})[A-Z_-]*[a-z_-]*\Z")
_MIXED_BYTES = 20
_OPERATOR = re.compile(rb"[=>:|,(]")
_NEAR = 8  # before a value: its name's operator, quotes and spaces
_NAME_BACK = 72  # before a value: the longest name, twenty characters, an operator, quotes
_JOINTS = frozenset({b".", b"~", b"=", b"+", b"/", b"@", b"\\"})
_JOINED_BACK = (
    64  # before a run that follows a joint: the same token's beginning, or an address's host
)
_BEGIN_BACK = 80  # before a keyword: where a match of its rules may begin
_EXTENT = re.compile(rb"[^\s\"'`<>]*")
_NAMED_WINDOW = 512  # after the beginning of a value that goes by a name
_OVER_LINES = r"\r\n"  # in the pattern of a rule whose secret may be wrapped
_WINDOW = 8 * 1024  # a text without any break is searched in windows of this size,
_STEP = 4 * 1024  # each so far after the last one


def find(raw: bytes, rules: RuleSet, *, json: bool = False) -> list[Finding]:
    """The secrets in `raw`, in order and without overlaps; it may be known to be JSON."""
    if len(raw) <= PIECE_BYTES + OVERLAP_BYTES:
        return _find(raw, rules, json=json)
    found: list[Finding] = []
    for start in range(0, len(raw), PIECE_BYTES):
        piece = raw[start : start + PIECE_BYTES + OVERLAP_BYTES]
        found += [
            Finding(one.rule, one.start + start, one.end + start, one.description)
            for one in _find(piece, rules, json=json)
        ]
    return distinct(found)


def redact(raw: bytes, rules: RuleSet) -> tuple[bytes, list[Finding]]:
    """The bytes with every secret replaced by `[redacted:<rule>]`, and what was found."""
    found = find(raw, rules)
    return (replaced(raw, found) if found else raw), found


def redact_text(text: str, rules: RuleSet) -> tuple[str, list[Finding]]:
    """The same of text; the findings' places are of its UTF-8."""
    raw, found = redact(text.encode("utf-8", "surrogatepass"), rules)
    return (raw.decode("utf-8", "surrogatepass") if found else text), found


def _find(raw: bytes, rules: RuleSet, *, json: bool) -> list[Finding]:
    lower = raw.lower()
    found = [*shapes(raw, lower, json=json), *_by_rule(raw, lower, rules)]
    return distinct(found) if found else found


def _by_rule(raw: bytes, lower: bytes, rules: RuleSet) -> Iterator[Finding]:
    row = raw.translate(_RUN)
    searched: dict[str, int] = {}
    words: set[bytes] = set()  # seen, and nothing but words
    looked = 0  # up to here, every keyword was found already
    start = row.find(_ROW)
    while start >= 0:
        end = row.find(b" ", start, start + _WINDOW)
        if end < 0:
            end = start + _STEP if len(raw) > start + _WINDOW else len(raw)
        if (run := raw[start:end]) in words:
            pass
        elif _NUMERAL.search(run) or (len(run) >= _MIXED_BYTES and _MIXED.match(run)):
            joined = _JOINED_BACK if raw[start - 1 : start] in _JOINTS else 0
            if not _DIGEST.fullmatch(raw, start, end):
                begin = max(start - joined, min(looked, start))
                # A text without a break is cut into windows, and a keyword may lie on the cut.
                stop = end + _JOINED_BACK if row[end : end + 1] == b"x" else end
                for word, at in _keywords(lower, begin, start, stop, rules):
                    yield from _of_token(raw, word, at, start, rules, searched)
                looked = end if raw[end : end + 1] not in _IN_WORDS else end - _JOINED_BACK
            if _OPERATOR.search(raw, max(0, start - _NEAR - joined), start):
                yield from _named(raw, lower, start - joined, start, end, rules)
        elif first := rules.tokens.match(lower, start):
            yield from _of_token(raw, first[0], start, start, rules, searched)
        else:
            words.add(run)
        start = row.find(_ROW, end)


def _keywords(
    lower: bytes, begin: int, start: int, end: int, rules: RuleSet
) -> Iterator[tuple[bytes, int]]:
    """The keywords in a run, or before it from `begin` on, and where each is.

    Most long runs are digests and packed bytes: they are spared the words that cannot be in them.
    """
    if begin == start and _HEXADECIMAL.fullmatch(lower, start, end):
        long = end - start > _LONGEST_HEXADECIMAL
        for word in rules.endless if long else rules.hexadecimal:
            at = lower.find(word, start, end)
            while at >= 0:
                yield word, at
                at = lower.find(word, at + len(word), end)
        return
    pattern = rules.tokens if _MARK.search(lower, begin, end) else rules.plain
    for hit in pattern.finditer(lower, begin, end):
        yield hit[0], hit.start()


def _of_token(
    raw: bytes, word: bytes, at: int, start: int, rules: RuleSet, searched: dict[str, int]
) -> Iterator[Finding]:
    """What rules find to which a keyword leads that is in a run, or a little before it.

    `searched` says how far each rule has come: no place is searched by it again and again.
    """
    for rule in rules.by_token[word]:
        if start < searched.get(rule.id, 0):
            continue
        extent = _EXTENT.match(raw, start, start + _WINDOW)
        stop = extent.end() if extent else start
        if rule.named or _OVER_LINES in rule.pattern:
            stop = min(len(raw), start + _NAMED_WINDOW)
        searched[rule.id] = stop if stop < start + _WINDOW else start + _STEP
        yield from _matches(raw, rule, max(0, min(start, at) - _BEGIN_BACK), stop)


def _named(
    raw: bytes, lower: bytes, first: int, start: int, end: int, rules: RuleSet
) -> Iterator[Finding]:
    """What rules find that go by a name before the value that a run is a part of.

    The value begins between `first` and `start`, where the run does.
    """
    begin = max(0, first - _NAME_BACK)
    begin = max(begin, raw.rfind(b"\n", begin, max(0, first - _NEAR)) + 1)
    for hit in rules.names.finditer(lower, begin, start):
        for rule in rules.by_name[hit[0]]:
            if rule.named:
                match = rule.compiled.match(raw, hit.start(), min(len(raw), start + _NAMED_WINDOW))
                found = match and _finding(raw, rule, match)
                if found:
                    yield found
                    return
            else:
                yield from _matches(raw, rule, max(0, start - _JOINED_BACK), end + _JOINED_BACK * 2)


def _matches(raw: bytes, rule: Rule, begin: int, stop: int) -> Iterator[Finding]:
    for match in rule.compiled.finditer(raw, begin, stop):
        found = _finding(raw, rule, match)
        if found:
            yield found


def _finding(raw: bytes, rule: Rule, match: re.Match[bytes]) -> Finding | None:
    group = rule.group
    if group == 0 and match.re.groups:
        group = next((n for n in range(1, match.re.groups + 1) if match[n]), 0)
    secret = match[group]
    if not secret or (rule.entropy and entropy(secret) <= rule.entropy):
        return None
    if any(_allows(one, raw, match, secret) for one in rule.allowances):
        return None
    if rule.id == GENERIC and _DIGEST.fullmatch(secret) and not _has_secret_name(raw, match):
        return None
    # A backslash at the end begins an escape of the text around: replacing half of it would break that.
    end = match.end(group) - (len(secret) - len(secret.rstrip(b"\\")))
    return Finding(rule.id, match.start(group), end, rule.description)


def _allows(one: Allowance, raw: bytes, match: re.Match[bytes], secret: bytes) -> bool:
    target = secret
    if one.target == "match":
        target = _before(raw, match) + match[0]
    elif one.target == "line":
        begin = raw.rfind(b"\n", max(0, match.start() - 512), match.start()) + 1
        end = raw.find(b"\n", match.end(), match.end() + 512)
        target = raw[max(begin, match.start() - 512) : end if end >= 0 else match.end() + 512]
    if any(compiled(pattern).search(target) for pattern in one.patterns):
        return True
    return bool(one.words) and _words(one.words).search(secret) is not None


def _before(raw: bytes, match: re.Match[bytes]) -> bytes:
    """The beginning of the name in which a match begins, which its pattern left out."""
    return re.split(rb"[^\w.-]", raw[max(0, match.start() - 50) : match.start()])[-1]


def _has_secret_name(raw: bytes, match: re.Match[bytes]) -> bool:
    """Whether a digest or an id is given to a name that announces a secret: else it is just that."""
    rest = re.match(rb"[\w.-]*", match[0])
    assert rest is not None
    return is_secret_name((_before(raw, match) + rest[0]).decode())


@lru_cache(maxsize=16)
def _words(words: frozenset[bytes]) -> re.Pattern[bytes]:
    return re.compile(b"(?i:" + trie(words) + b")")


def entropy(secret: bytes) -> float:
    """Shannon's, in bits a character."""
    size = len(secret)
    counts = [secret.count(byte) for byte in set(secret)]
    return -sum(count / size * math.log2(count / size) for count in counts)
