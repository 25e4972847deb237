"""How signatures are checked: with the `cryptography` package."""

from adapters.ed25519_key import verify_signature
from adapters.p256_key import verify_p256
from projections.verify_evidence import Signatures

SIGNATURES = Signatures(ed25519=verify_signature, p256=verify_p256)
