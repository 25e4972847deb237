"""A digest has one spelling, and only that one is read."""

import hashlib

import pytest

from domain.digest import digest_of, format_digest, parse_digest
from domain.errors import Invalid

SHA256 = hashlib.sha256(b"").digest()
HEX = SHA256.hex()


def test_a_digest_is_read_back_as_it_was_written() -> None:
    assert format_digest(SHA256) == digest_of(b"") == f"sha256:{HEX}"
    assert parse_digest(f"sha256:{HEX}") == SHA256


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"sha512:{HEX}",
        f"SHA256:{HEX}",
        f"sha256:{HEX.upper()}",
        f"sha256: {HEX}",
        f"sha256:{HEX[:32]} {HEX[32:]}",
        f"sha256:{HEX}\n",
        f"sha256:{HEX[:-2]}",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}00",
        f"sha256:{HEX[:-1]}g",
        f"sha256:{HEX[:-1]}\u0661",
    ],
)
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="64 lower-case hex digits"):
        parse_digest(text)
