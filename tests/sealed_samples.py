"""A ledger in memory: its seal log, with keys of its own, and exports that it sealed."""

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.ed25519_key import FileSigner
from adapters.p256_key import FileSealSigner
from domain.checkpoint import Checkpoint, format_checkpoint
from domain.dsse import pae
from domain.events import ArtifactErased, ArtifactWritten, ProjectCreated
from domain.merkle import consistency_proof, leaf_hash, tree_root
from domain.seal import Head, Seal, encode_statement
from domain.seal_log import NextEntry, SignedStatement, next_entry
from domain.signed_note import format_note, sign
from domain.tlog_proof import ConsistencyProof, format_consistency
from domain.trust import LogKey, SealKey, Trust
from projections.bundle import Scope
from tests.export_samples import ORIGIN, MemoryLog, files_of, fold, zip_of

HOST = "ledger.example"
HEAD = Head("3c8f0a3d1f3c6d0b5a1e7f2d9c4b8a6e5d7f1c20", "https://git.example/alpha")


def log_signer(seed: int) -> FileSigner:
    """A key for checkpoints that only tests have: the same for the same seed."""
    secret = hashlib.sha256(f"log key {seed} of a test".encode()).digest()
    return FileSigner(Ed25519PrivateKey.from_private_bytes(secret))


def seal_signer(seed: int) -> FileSealSigner:
    """A key for seals, likewise."""
    secret = hashlib.sha256(f"seal key {seed} of a test".encode()).digest()
    return FileSealSigner(ec.derive_private_key(int.from_bytes(secret) >> 8, ec.SECP256R1()))


class MemoryLedger:
    """Seals exports as a ledger does, and signs checkpoints of projects."""

    def __init__(self, seed: int = 1, host: str = HOST) -> None:
        self.host = host
        self.log_signer = log_signer(seed)
        self.seal_signer = seal_signer(seed)
        self.leaves: list[bytes] = []
        self._frontier: tuple[bytes, ...] = ()

    def trust(self, *, until: int | None = None) -> Trust:
        """What a reader keeps of it."""
        keys = (SealKey(self.seal_signer.spki, 0, until),)
        return Trust(self.host, (LogKey(self.log_signer.public_key),), keys)

    def log(self, statement: bytes, signer: FileSealSigner | None = None) -> NextEntry:
        """Sign and log a statement."""
        sealing = signer or self.seal_signer
        signed = SignedStatement(statement, sealing.sign_dsse(pae(statement)), sealing.spki)
        entry = next_entry(self.host, len(self.leaves), self._frontier, signed, [self.log_signer])
        self.leaves.append(entry.leaf)
        self._frontier = entry.frontier
        return entry

    def seal(
        self, log: MemoryLog, content: bytes, scope: Scope = Scope(), head: Head | None = None
    ) -> bytes:
        """The sidecar of an export."""
        return self.log(encode_statement(described(log, content, scope, head))).sidecar

    def checkpoint(self, lines: Sequence[bytes], origin: str = ORIGIN) -> str:
        """The signed checkpoint of a project's log."""
        root = tree_root([leaf_hash(line) for line in lines])
        text = format_checkpoint(Checkpoint(origin, len(lines), root))
        return format_note(sign(text, origin, self.log_signer))

    def consistency(self, old: int, lines: Sequence[bytes]) -> str:
        """The proof that a log grew from an older size."""
        hashes = consistency_proof(old, [leaf_hash(line) for line in lines])
        proof = ConsistencyProof(old, tuple(hashes), self.checkpoint(lines))
        return format_consistency(proof)


def described(
    log: MemoryLog, content: bytes, scope: Scope = Scope(), head: Head | None = None
) -> Seal:
    """What a seal says of an export."""
    bundle, _, _ = fold(log.lines, scope)
    return Seal(
        file_name=f"{bundle.folder}.zip",
        zip_sha256=hashlib.sha256(content).digest(),
        manifest_sha256=bundle.manifest_sha256,
        origin=ORIGIN,
        position=len(log.lines),
        root=tree_root([leaf_hash(line) for line in log.lines]),
        scope=scope.name,
        head=head,
    )


def small_log(size: int = 4, *, fork: int | None = None, erased: bool = False) -> MemoryLog:
    """A project with two documents; from position `fork` on, another history."""
    log = MemoryLog()
    log.add("project", ProjectCreated(title="Alpha"))
    for position in range(2, size + 1):
        stream = "artifact/PRD/main" if position % 2 else "artifact/NOTE/main"
        other = " of another history" if fork is not None and position >= fork else ""
        text = f"# Document {position}{other}\n".encode()
        log.add(stream, ArtifactWritten(**log.content(text)))
    if erased:
        text = f"# Document {size}\n".encode()
        log.add(
            "erasures",
            ArtifactErased(
                artifact="artifact/NOTE/main" if size % 2 == 0 else "artifact/PRD/main",
                artifact_version=(size - 1) // 2 if size % 2 else size // 2,
                digest=log.content(text)["digest"],
                reason="asked for",
            ),
        )
    return log


def export_of(log: MemoryLog, scope: Scope = Scope()) -> bytes:
    """The ZIP of a log."""
    return zip_of(files_of(log.lines, log.blobs, scope))
