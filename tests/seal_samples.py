"""A seal of the published log with published keys, as its formats have it: computed by hand once.

The seal key is that of RFC 6979, appendix A.2.5; nobody else should use it.
"""

from cryptography.hazmat.primitives.asymmetric import ec

from adapters.p256_key import FileSealSigner
from domain.base64_text import decode64
from domain.hashed_rekord import LeafKey, encode_leaf
from domain.log_entry import LogEntry
from domain.seal import Seal
from domain.signed_note import NoteKey
from domain.sigstore_bundle import SignedSeal
from tests.note_samples import PUBLIC, ROOT_OF_3

SEAL_SECRET = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
LEDGER = NoteKey("ledger.example", PUBLIC)
ZIP_SHA256 = bytes.fromhex("6fea513e5226954d9d062cab306c9a4cf2e9aeec15b4c61ac68fb0256d9098f3")
MANIFEST_SHA256 = bytes.fromhex("83951bfe5b9045bb10eacca8f71d46d65d4124c5635ec29631e122042fa5179f")
HINT = "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"
PAE_SHA256 = "fd2ca01a5aa9da485378fcc24722b56c56a6867d4549694c2e696c444122b432"
SEAL = Seal(
    file_name="alpha-3.zip",
    zip_sha256=ZIP_SHA256,
    manifest_sha256=MANIFEST_SHA256,
    origin="alpha.ledger.example",
    position=3,
    root=ROOT_OF_3,
    scope="project",
)
STATEMENT = (
    b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"formatVersion":1,"manifest":"sha256:'
    b'83951bfe5b9045bb10eacca8f71d46d65d4124c5635ec29631e122042fa5179f","origin":"alpha.ledger.exam'
    b'ple","position":3,"root":"sha256:1fc89e6fe4b4eec240edebc9f595dc9f452f24d0600baf7733942cdf0bf9'
    b'0553","scope":"project"},"predicateType":"https://deedbook.example/export-seal/v1","subject":'
    b'[{"digest":{"sha256":"6fea513e5226954d9d062cab306c9a4cf2e9aeec15b4c61ac68fb0256d9098f3"},"nam'
    b'e":"alpha-3.zip"}]}'
)
SIGNATURE = decode64(
    "MEQCIB3BMa6t38yTw/PvYHNd5RPf/Hq36EjyGXZ6dlM3G+xAAiBkHo5McAgTW48ytmM5hU8f/lUYLvTeNfGur5cHQFUetA=="
)
SPKI = decode64(
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8maQa6elW"
    "KLxk8vGyDC1+n1F3o8KU1EYimQ=="
)
LEAF = (
    b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"S'
    b'HA2_256","digest":"/SygGlqp2khTePzCRyK1bFamhn1FSWlMLmlsREEitDI="},"signature":{"content":"MEQC'
    b'IB3BMa6t38yTw/PvYHNd5RPf/Hq36EjyGXZ6dlM3G+xAAiBkHo5McAgTW48ytmM5hU8f/lUYLvTeNfGur5cHQFUetA=="'
    b',"verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"MFkwEwYHKoZIzj0CA'
    b"QYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1"
    b'F3o8KU1EYimQ=="}}}}}}'
)
LEAF_HASH = bytes.fromhex("d72b254667fcb15556bd9cf41ebcf07fa5e42af289de53b3f927fc1d57a8e740")
CHECKPOINT = (
    "ledger.example\n1\n1yslRmf8sVVWvZz0Hrzwf6XkKvKJ3lOz+Sf8HVeo50A=\n\n"
    "— ledger.example PZ1LMZHo/GhSw/sEHCTWgvc/RigfqDOqcUCZ44hCx7B5pTch/2YtiAInlRaR2eZk1Rmu4L3g1XsJXk"
    "VZuB+WvCbY/A0=\n"
)
BUNDLE_BYTES = 2_272


def published_seal_signer() -> FileSealSigner:
    """A signer with the published key."""
    return FileSealSigner(ec.derive_private_key(SEAL_SECRET, ec.SECP256R1()))


def published_sidecar() -> SignedSeal:
    """The first seal of a ledger."""
    assert SIGNATURE is not None
    assert SPKI is not None
    return SignedSeal(
        statement=STATEMENT,
        signature=SIGNATURE,
        hint=HINT,
        entry=LogEntry(
            log_id=LEDGER.log_id,
            index=0,
            body=encode_leaf(bytes.fromhex(PAE_SHA256), SIGNATURE, LeafKey(SPKI)),
            proof_index=0,
            size=1,
            root=LEAF_HASH,
            hashes=(),
            checkpoint=CHECKPOINT,
        ),
    )
