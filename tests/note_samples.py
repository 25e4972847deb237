"""A log of three events with published keys, as its formats have it: computed by hand once.

The key is test 1 of RFC 8032, section 7.1; nobody else should use it.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.ed25519_key import FileSigner
from domain.merkle import leaf_hash
from domain.signed_note import NoteKey
from tests.export_samples import PUBLISHED_LINES

SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
ALPHA = NoteKey("alpha.ledger.example", PUBLIC)
ALPHA_KEY = "alpha.ledger.example+43d827ce+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
LEDGER_KEY = "ledger.example+3d9d4b31+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
LEAVES = tuple(leaf_hash(line) for line in PUBLISHED_LINES)
ROOT_OF_3 = bytes.fromhex("1fc89e6fe4b4eec240edebc9f595dc9f452f24d0600baf7733942cdf0bf90553")
TEXT = "alpha.ledger.example\n3\nH8ieb+S07sJA7evJ9ZXcn0UvJNBgC693M5Qs3wv5BVM=\n"
SIGNATURE = (
    "— alpha.ledger.example Q9gnzgf6oxTmJfO8A2oeGlMC0AVdt27liysasYI8UEJClMWkYN+kEqSdTKLN2kcQHbUzK"
    "+PSx1AzSZgtOrr+eurTmwI=\n"
)
NOTE = f"{TEXT}\n{SIGNATURE}"
PROOF = f"""\
c2sp.org/tlog-proof@v1
index 1
tmE7X1jNXVEQ8AdgV/HuDYMOdcbvx/UiwVlsJjEuY8A=
Os6zVpWk/ubI3Jue6W7vz+uo/89hR5IYbt0wEMSVNcc=

{NOTE}"""
CONSISTENCY = f"""\
old 1
Sk73vSKIeRxbw4cMgAQ6SPZrcN30WG1Xzb/N0U1YZgg=
Os6zVpWk/ubI3Jue6W7vz+uo/89hR5IYbt0wEMSVNcc=

{NOTE}"""


def published_signer() -> FileSigner:
    """A signer with the published key."""
    return FileSigner(Ed25519PrivateKey.from_private_bytes(SECRET))
