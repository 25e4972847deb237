"""Strings that rules match, made from the rules' own patterns while a test runs; none is written here."""

import random
import re
import string
from importlib import import_module
from typing import Any

from domain.secret_rule import Rule
from domain.secret_syntax import python_pattern
from domain.secrets import entropy

kind: Any = import_module("re._constants")
parser: Any = import_module("re._parser")  # re's own reading of a pattern
ATTEMPTS = 400
_VALUE = re.compile(rb"(?=[\w-]{12})[A-Za-z_-]*[0-9]|:")
"""Letters alone, or pieces shorter than a run, are no value: `docs/secrets.md` says so."""
_CATEGORY = {
    kind.CATEGORY_WORD: string.ascii_letters + string.digits,
    kind.CATEGORY_DIGIT: string.digits,
    kind.CATEGORY_SPACE: " ",
}


def sample(rule: Rule, seed: int = 0) -> bytes:
    """A string that the rule matches, with entropy enough, and that nothing allows."""
    draw = random.Random(f"{rule.id}/{seed}")
    tree = parser.parse(python_pattern(rule.pattern))
    for _ in range(ATTEMPTS):
        text = _text(tree, draw).encode("latin-1")
        match = rule.compiled.search(text)
        if match is None:
            continue
        group = rule.group or next((n for n in range(1, match.re.groups + 1) if match[n]), 0)
        secret = match[group]
        words = [word for one in rule.allowances for word in one.words]
        patterns = [p for one in rule.allowances for p in one.patterns]
        if entropy(secret) <= rule.entropy + 0.2:
            continue
        if rule.named and _VALUE.search(secret) is None:
            continue
        if any(word in secret.lower() for word in words):
            continue
        if any(
            re.search(python_pattern(one), target) for one in patterns for target in (secret, text)
        ):
            continue
        return text
    raise AssertionError(rule.id)


def planted(rule: Rule, seed: int = 0) -> bytes:
    """A sample, with the name before it by which the rule goes, if it goes by one."""
    text = sample(rule, seed)
    if any(word in text.lower() for word in rule.keywords):
        return text
    return max(rule.keywords, key=len) + b": " + text


def _text(tree: Any, draw: random.Random) -> str:
    return "".join(_one(op, value, draw) for op, value in tree)


def _one(op: object, value: Any, draw: random.Random) -> str:
    if op is kind.LITERAL:
        return chr(value)
    if op is kind.ANY:
        return "."  # a rule that leaves out a backslash means the full stop
    if op is kind.IN:
        return draw.choice(_members(value))
    if op is kind.NOT_LITERAL:
        return draw.choice([c for c in string.ascii_letters if ord(c) != value])
    if op in {kind.MAX_REPEAT, kind.MIN_REPEAT}:
        least, most, inner = value
        count = draw.randint(least, min(int(most), least + 3))
        return "".join(_text(inner, draw) for _ in range(count))
    if op is kind.SUBPATTERN:
        return _text(value[3], draw)
    if op is kind.BRANCH:
        return _text(draw.choice(value[1]), draw)
    return ""  # an anchor, or what must not follow


def _members(items: Any) -> str:
    found: list[str] = []
    negated = False
    for op, value in items:
        if op is kind.NEGATE:
            negated = True
        elif op is kind.LITERAL:
            found.append(chr(value))
        elif op is kind.RANGE:
            found += [chr(code) for code in range(value[0], value[1] + 1)]
        elif op is kind.CATEGORY:
            found += _CATEGORY.get(value, string.ascii_letters + string.punctuation)
    if negated:
        allowed = string.ascii_letters + string.digits + string.punctuation
        found += string.ascii_letters + string.digits + "_" if "\\w" in found else ""
        return "".join(c for c in allowed if c not in found)
    return "".join(found)
