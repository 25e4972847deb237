"""The public halves of a ledger's keys as files: for our verifier, for Sigstore's, and for openssl."""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path

from domain.base64_text import encode64
from domain.trust import Trust, encode_trust, trusted_root

PEM_COLUMNS = 64

_logger = logging.getLogger("deedbook.keys")


def public_files(trust: Trust) -> Mapping[str, bytes]:
    """Name and content of each."""
    return {
        "trusted_root.json": trusted_root(trust),
        "trust.json": encode_trust(trust),
        "seal.pub": _pem(trust.seal_keys[-1].spki),
    }


def write_public_files(folder: Path, trust: Trust) -> None:
    """Put them next to the keys, where they differ; that this fails is no reason not to serve."""
    for name, content in public_files(trust).items():
        file = folder / name
        with contextlib.suppress(OSError):
            if file.is_file() and file.read_bytes() == content:
                continue
        part = file.with_name(f"{name}.part")
        try:
            part.write_bytes(content)
            part.replace(file)
        except OSError as error:
            _logger.warning("%s cannot be written: %s", file, error.strerror or error)
            return


def _pem(spki: bytes) -> bytes:
    """A public key as OpenSSL reads it (RFC 7468)."""
    text = encode64(spki)
    lines = [text[at : at + PEM_COLUMNS] for at in range(0, len(text), PEM_COLUMNS)]
    return "\n".join(
        ["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]
    ).encode()
