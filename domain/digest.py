"""Digests in our own spelling: `sha256:` and 64 lower-case hex digits."""

import hashlib

from domain.errors import Invalid


def digest_of(content: bytes) -> str:
    """The digest of `content`, such as `sha256:e3b0…b855` for nothing."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def format_digest(sha256: bytes) -> str:
    """The spelling of a raw 32-byte SHA-256."""
    if len(sha256) != 32:
        raise Invalid("validation-failed", "A SHA-256 has 32 bytes.")
    return "sha256:" + sha256.hex()


def parse_digest(text: str) -> bytes:
    """The raw 32 bytes of a digest; refuses every spelling that `format_digest` would not give.

    Raises:
        Invalid: `validation-failed`.
    """
    try:
        sha256 = bytes.fromhex(text[7:])
    except ValueError:
        sha256 = b""
    if len(sha256) != 32 or format_digest(sha256) != text:
        raise Invalid(
            "validation-failed", "A digest is written sha256: and 64 lower-case hex digits."
        )
    return sha256
