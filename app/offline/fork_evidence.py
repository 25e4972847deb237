"""Portable proof that a ledger showed two histories: two seals of one log that contradict each other.

Whoever holds it and the ledger's public keys can check it, without either export: the newer seal's root
is shown to belong to a log whose beginning has another root than the older seal says.
"""

from pathlib import Path

import msgspec

from adapters.zip_reader import open_archive
from domain import canonical
from domain.base64_text import decode64, encode64
from domain.digest import format_digest, parse_digest
from domain.errors import Damaged, DeedbookError
from domain.merkle import HASH_BYTES, consistency_proof, leaf_hash, tree_root, verify_consistency
from domain.seal import parse_statement
from domain.sigstore_bundle import parse_bundle
from domain.trust import Trust
from projections.bundle_paths import check_path
from projections.manifest import EVENTS_PATH, LEAVES_PATH
from projections.verify_evidence import Signatures
from projections.verify_seal import check_signed

FORMAT_VERSION = 1
MAX_EVIDENCE_BYTES = 16_000_000
LEAF_LINE_BYTES = 2 * HASH_BYTES + 1


class Fork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two exports of one log that cannot both be its history.

    Attributes:
        older: The sidecar of the older export; None if it was not sealed, which proves nothing.
        newer: Of the newer one.
        root: The root of the newer log at the older one's position.
        consistency: That this root is the beginning of the newer log (RFC 6962 section 2.1.2), base64.
    """

    format_version: int = FORMAT_VERSION
    older: msgspec.Raw | None
    newer: msgspec.Raw | None
    root: str
    consistency: tuple[str, ...]


def make_fork(newer: Path, older_size: int, sidecars: tuple[bytes | None, bytes | None]) -> bytes:
    """The proof, of a newer export whose first events are not those of an older one.

    Args:
        newer: The export; it was verified before.
        older_size: The older one's position.
        sidecars: Of the older and of the newer one.

    Raises:
        Malformed: `archive-unreadable`.
        Damaged: The archive was changed meanwhile.
    """
    leaves = _leaves(newer)
    older, sealed = sidecars
    proof = consistency_proof(older_size, leaves)
    return canonical.write(
        Fork(
            older=None if older is None else msgspec.Raw(older),
            newer=None if sealed is None else msgspec.Raw(sealed),
            root=format_digest(tree_root(leaves[:older_size])),
            consistency=tuple(encode64(one) for one in proof),
        )
    )


def check_fork(raw: bytes, trust: Trust, signatures: Signatures) -> str:
    """What is proved, as a sentence.

    Raises:
        Damaged: `fork-not-proved`: with the reason.
    """
    if len(raw) > MAX_EVIDENCE_BYTES:
        raise _not(f"it has more than {MAX_EVIDENCE_BYTES} bytes")
    try:
        fork = msgspec.json.decode(raw, type=Fork)
        if fork.older is None or fork.newer is None:
            raise _not("one of the exports was not sealed")
        seals = []
        for given in (fork.older, fork.newer):
            sidecar = parse_bundle(bytes(given))
            check_signed(sidecar, trust, signatures)
            seals.append(parse_statement(sidecar.statement))
        older, newer = seals
        root = parse_digest(fork.root)
        hashes = [decode64(one) or b"" for one in fork.consistency]
    except msgspec.MsgspecError as error:
        raise _not(str(error)[:200]) from None
    except DeedbookError as error:
        raise _not(error.detail) from None
    if older.origin != newer.origin:
        raise _not(f"the seals are of {older.origin} and of {newer.origin}")
    if root == older.root:
        raise _not("both seals agree on the older root")
    if not verify_consistency(older.position, newer.position, hashes, root, newer.root):
        raise _not("the newer log is not shown to begin with the root that is given")
    return (
        f"{trust.ledger} sealed two histories of {older.origin}: at position {older.position} its "
        f"root was {format_digest(older.root)}, and in the log that it sealed at position "
        f"{newer.position} that root is {format_digest(root)}."
    )


def _leaves(file: Path) -> list[bytes]:
    """All leaf hashes of an export."""
    with open_archive(file, check_path) as archive:
        inside = {one.path.partition("/")[2]: one for one in archive.entries}
        listed = inside.get(LEAVES_PATH)
        raw = b"".join(archive.chunks(listed or inside[EVENTS_PATH]))
    if listed is None:
        return [leaf_hash(line) for line in raw.split(b"\n")[:-1]]
    return [
        bytes.fromhex(raw[at : at + LEAF_LINE_BYTES].decode("ascii").strip())
        for at in range(0, len(raw), LEAF_LINE_BYTES)
    ]


def _not(why: str) -> Damaged:
    return Damaged("fork-not-proved", f"This does not prove a fork: {why}.")
