"""Seals as use cases: seal an export, hand out its sidecar, and the public keys to check it with."""

from collections.abc import Sequence

import msgspec

from adapters.postgres_seals import PostgresSeals, Sealed, Subject, check_subject
from app.checkpoints import Checkpoints
from app.exports import Exports, Whole
from domain.digest import parse_digest
from domain.dsse import DsseSigner, pae
from domain.errors import Damaged, Unavailable
from domain.seal import Head, Seal, check_head, encode_statement, parse_statement
from domain.seal_log import SignedStatement
from domain.signed_note import Signer
from domain.trust import Trust
from projections.manifest import Tree

__all__ = ["SealMade", "Sealed", "Seals"]


class SealMade(msgspec.Struct, frozen=True):
    """A seal in a list: its index in the seal log, from 0, and what it says."""

    index: int
    seal: Seal


class Seals:
    """The seals of a ledger's exports.

    Args:
        store: Where the seal log is.
        exports: What is sealed.
        checkpoints: Vouch for the roots.
        signer: Signs the seal log; None in a process without that key.
        seal_signer: Signs seals; likewise.
    """

    def __init__(
        self,
        store: PostgresSeals,
        exports: Exports,
        checkpoints: Checkpoints,
        signer: Signer | None,
        seal_signer: DsseSigner | None,
    ) -> None:
        self._store = store
        self._exports = exports
        self._checkpoints = checkpoints
        self._signer = signer
        self._seal_signer = seal_signer

    def seal(self, project: str, position: int, scope: str, head: Head | None) -> Sealed:
        """Seal an export, for a commit if one is given; the same again answers the same sidecar.

        Args:
            project: Which one.
            position: The last that the export covers.
            scope: `project`, or what part of it.
            head: The commit for which it is sealed.

        Raises:
            NotFound, Gone, Invalid, Damaged, Unavailable: As of the export.
            Unavailable: `seal-unsigned`: this process has not both keys.
            Conflict: `signing-key-retired`.
            Damaged: `checkpoint-refused`, `export-differs`.
        """
        if head is not None:
            check_head(head)
        whole = self._exports.whole(project, position, scope)
        statement = encode_statement(self._described(whole, head))
        if self._signer is None or self._seal_signer is None:
            found = self._store.find(statement)
            if found is not None:
                return found
            raise Unavailable(
                "seal-unsigned",
                "This process has not the keys that seal: ask one that has, or see "
                "DEEDBOOK_SEAL_KEY and DEEDBOOK_LOG_KEY.",
            )
        signature = self._seal_signer.sign_dsse(pae(statement))
        subject = Subject(project, position, whole.record.scope)
        signed = SignedStatement(statement, signature, self._seal_signer.spki)
        return self._store.append(signed, subject, self._signer)

    def find(self, project: str, position: int, scope: str, commit: str | None) -> Sealed:
        """The newest seal of an export, for a commit or for none.

        Raises:
            NotFound: `seal-not-found`.
        """
        subject = Subject(project, position, scope)
        matching = (
            one
            for one in self._store.of_export(subject)
            if _commit_of(parse_statement(one.statement)) == commit
        )
        return check_subject(next(matching, None), subject)

    def of_file(self, zip_sha256: bytes) -> Sealed | None:
        """A seal of the export with this SHA-256: the newest by a key that is valid where it stands.

        Raises:
            NotFound: `signing-key-absent`.
        """
        found = self._store.of_file(zip_sha256)
        trust = self.trust()
        for one in found:
            key = trust.seal_key(one.hint)
            if key is not None and key.valid(one.index):
                return one
        return found[0] if found else None

    def listed(self, project: str, limit: int) -> list[SealMade]:
        """The newest seals of a project's exports, newest first."""
        return _made(self._store.of_project(project, limit))

    def of_export(self, project: str, position: int, scope: str) -> list[SealMade]:
        """All seals of one export, newest first."""
        return _made(self._store.of_export(Subject(project, position, scope)))

    def trust(self) -> Trust:
        """The ledger's public keys, and where each is valid.

        Raises:
            NotFound: `signing-key-absent`.
        """
        return self._store.trust()

    def _described(self, whole: Whole, head: Head | None) -> Seal:
        """What is said of an export; its root is the one that the project's checkpoints vouch for."""
        record = whole.record
        assert record.zip_sha256 is not None
        tree = msgspec.json.decode(whole.tree, type=Tree)
        root = whole.signed_root
        if root is None:
            root = self._checkpoints.root_at(record.project, record.position)
        if parse_digest(tree.root) != root:
            raise Damaged(
                "export-differs",
                f"{record.file_name} has another root than the log of {record.project} at position "
                f"{record.position}: run deedbook doctor --verify.",
            )
        return Seal(
            file_name=record.file_name,
            zip_sha256=record.zip_sha256,
            manifest_sha256=record.manifest_sha256,
            origin=tree.origin,
            position=record.position,
            root=root,
            scope=record.scope,
            head=head,
        )


def _made(found: Sequence[Sealed]) -> list[SealMade]:
    return [SealMade(one.index, parse_statement(one.statement)) for one in found]


def _commit_of(seal: Seal) -> str | None:
    return None if seal.head is None else seal.head.commit
