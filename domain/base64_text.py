"""Base64 in its one spelling (RFC 4648 section 4): padded, without line breaks, unused bits zero."""

import base64
import binascii


def encode64(raw: bytes) -> str:
    """The text."""
    return base64.b64encode(raw).decode()


def decode64(text: str) -> bytes | None:
    """The bytes; None for every text that `encode64` would not give."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if encode64(raw) == text else None
