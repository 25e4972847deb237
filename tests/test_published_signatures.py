"""Signatures that others published to catch careless verifiers: Project Wycheproof, Ed25519 and ECDSA P-256."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from adapters.signature_check import verify_p256, verify_signature
from domain.trust import P256_SPKI

FOLDER = Path(__file__).parent / "data" / "wycheproof"
POINT = b"\x04"


class Vector(msgspec.Struct, frozen=True):
    """One of them: whose, over what, and whether it holds."""

    number: str
    key: bytes
    message: bytes
    signature: bytes
    valid: bool


def vectors(name: str) -> Iterator[Vector]:
    key = b""
    for line in (FOLDER / name).read_text().splitlines():
        word, *rest = line.split("\t")
        if word == "key":
            key = bytes.fromhex(rest[0])
        else:
            message, signature = (bytes.fromhex(one) for one in rest[1:])
            yield Vector(rest[0], key, message, signature, word == "valid")


def p256(key: bytes, message: bytes, signature: bytes) -> bool:
    """With the key as a point, as it stands there."""
    assert key.startswith(POINT)
    return verify_p256(P256_SPKI + key.removeprefix(POINT), message, signature)


@pytest.mark.parametrize(
    ("name", "verify", "valid", "invalid"),
    [("ed25519.tsv", verify_signature, 88, 63), ("p256.tsv", p256, 174, 310)],
)
def test_each_signature_gets_the_verdict_that_was_published(
    name: str, verify: Callable[[bytes, bytes, bytes], bool], valid: int, invalid: int
) -> None:
    all_of_them = list(vectors(name))
    assert Counter(one.valid for one in all_of_them) == {True: valid, False: invalid}
    wrong = [
        one.number
        for one in all_of_them
        if verify(one.key, one.message, one.signature) != one.valid
    ]
    assert wrong == []
