"""What is said of a secret that was found: which kind, and where; never the secret itself."""

import hashlib
from collections.abc import Collection, Iterable, Iterator

import msgspec

GENERIC = "generic-api-key"
NAMED_VALUE = "secret-looking-name"
ARGUMENT = "secret-argument"
HEADER = "http-credential"
VAGUE = frozenset({GENERIC, NAMED_VALUE, ARGUMENT, HEADER})
"""Rules that go by what stands around a secret: any other says more of the same place."""


class Finding(msgspec.Struct, frozen=True):
    """A secret in bytes.

    Attributes:
        rule: The kind's id, such as `github-pat`.
        start: Its first byte.
        end: After its last byte.
        description: What it is, in plain words.
    """

    rule: str
    start: int
    end: int
    description: str


def fingerprint(secret: bytes) -> str:
    """Names a match without repeating it: what an allow list holds."""
    return "sha256:" + hashlib.sha256(secret).hexdigest()


def not_allowed(raw: bytes, findings: Iterable[Finding], allowed: Collection[str]) -> list[Finding]:
    """The findings whose fingerprints are not allowed."""
    if not allowed:
        return list(findings)
    return [one for one in findings if fingerprint(raw[one.start : one.end]) not in allowed]


def replaced(raw: bytes, findings: Iterable[Finding]) -> bytes:
    """The bytes with each finding replaced by `[redacted:<rule>]`."""
    return b"".join(_pieces(raw, findings))


def line_of(raw: bytes, finding: Finding) -> int:
    """The line on which a finding begins, from 1."""
    return raw.count(b"\n", 0, finding.start) + 1


def distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in order, those that overlap as one; a vague rule's name gives way to another's."""
    merged: list[Finding] = []
    for one in sorted(findings, key=lambda found: (found.start, found.rule in VAGUE, -found.end)):
        if merged and one.start < merged[-1].end:
            last = merged[-1]
            named = one if last.rule in VAGUE else last
            merged[-1] = Finding(named.rule, last.start, max(last.end, one.end), named.description)
        else:
            merged.append(one)
    return merged


def _pieces(raw: bytes, findings: Iterable[Finding]) -> Iterator[bytes]:
    at = 0
    for one in findings:
        yield raw[at : one.start]
        yield b"[redacted:%s]" % one.rule.encode()
        at = one.end
    yield raw[at:]
