"""How signatures are checked: with the `cryptography` package."""

from adapters.signature_check import verify_p256, verify_signature
from projections.verify_evidence import Signatures

SIGNATURES = Signatures(ed25519=verify_signature, p256=verify_p256)
