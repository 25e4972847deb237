"""Checkpoints as use cases: sign a project's log, and hand out its tiles, entries and proofs.

Everything is read from stored nodes, and an inclusion or consistency proof is checked before it leaves.
"""

from adapters.postgres_checkpoints import Behind, Known, PostgresCheckpoints, Signed
from domain.checkpoint import MAX_SIZE
from domain.errors import Damaged, NotFound, Unavailable
from domain.merkle import HASH_BYTES, verify_consistency, verify_inclusion
from domain.signed_note import Signer
from domain.tiles import TILE_HEIGHT, Tile, format_bundle
from domain.tlog_proof import ConsistencyProof, TlogProof
from domain.tree_nodes import (
    LEVEL_HEIGHT,
    Group,
    Nodes,
    boundary,
    consistency_ranges,
    groups_for,
    inclusion_ranges,
)

LEVELS_A_TILE = TILE_HEIGHT // LEVEL_HEIGHT


class Checkpoints:
    """The checkpoints of a ledger's projects.

    Args:
        store: Where they are kept.
        signer: None in a process without the key: it hands out what another one signed.
    """

    def __init__(self, store: PostgresCheckpoints, signer: Signer | None) -> None:
        self._store = store
        self._signer = signer

    @property
    def signs(self) -> bool:
        """Whether this process has the key."""
        return self._signer is not None

    def latest(self, project: str) -> Signed:
        """The checkpoint of the log as it is now; without the key, the newest that there is.

        Raises:
            NotFound: `project-not-found`.
            Unavailable: `checkpoint-unsigned`.
            Damaged: `checkpoint-refused`.
        """
        known = self._store.find(project)
        if self._signer is not None and (
            known.signed is None or known.signed.size != known.log_size
        ):
            self._store.sign(project, self._signer)
            known = self._store.find(project)
        return _signed(project, known, None)

    def sign_now(self, project: str) -> bool:
        """Sign the log as it is now; answers False when another process is at it.

        Raises:
            NotFound: `project-not-found`.
            Damaged: `checkpoint-refused`.
        """
        assert self._signer is not None
        return self._store.sign(project, self._signer, wait=False) is not None

    def behind(self) -> list[Behind]:
        """The logs that have grown since they were signed."""
        return self._store.behind()

    def tile(self, project: str, tile: Tile) -> bytes:
        """The hashes of a tile, of the log that the newest checkpoint covers.

        Raises:
            NotFound: `project-not-found`, `tile-not-found`.
            Damaged: `tree-damaged`.
        """
        _check_covered(MAX_SIZE, tile)
        level, stop = tile.level * LEVELS_A_TILE, tile.first + tile.width
        known, raw = self._store.hashes(project, level, tile.first, stop)
        _check_covered(_size_of(known), tile)
        if len(raw) != HASH_BYTES * tile.width:
            raise _damaged(project)
        return raw

    def entries(self, project: str, tile: Tile) -> bytes:
        """The events below a tile of level 0, as a bundle.

        Raises:
            NotFound: `project-not-found`, `tile-not-found`.
            Damaged: `tree-damaged`.
        """
        _check_covered(MAX_SIZE, tile)
        known, lines = self._store.lines(project, tile.first, tile.first + tile.width)
        _check_covered(_size_of(known), tile)
        if len(lines) != tile.width:
            raise _damaged(project)
        return format_bundle(lines)

    def inclusion(self, project: str, position: int, size: int | None = None) -> TlogProof:
        """The proof that the event at a position is in the log of a checkpoint.

        Args:
            project: Which log.
            position: Of the event, from 1.
            size: Of a checkpoint that was signed; the newest when left away.

        Raises:
            NotFound: `project-not-found`, `position-not-found`, `checkpoint-not-found`.
            Unavailable: `checkpoint-unsigned`.
            Damaged: `checkpoint-refused`, `tree-damaged`.
        """
        index = position - 1

        signed, nodes = self._read(project, size, position, [index])
        leaf = nodes.root((index, position))
        proof = [nodes.root(one) for one in inclusion_ranges(index, signed.size)]
        if not verify_inclusion(leaf, index, signed.size, proof, signed.root):
            self._store.forget_nodes(project)
            raise _damaged(project)
        return TlogProof(index, tuple(proof), signed.note)

    def consistency(self, project: str, old: int, size: int | None = None) -> ConsistencyProof:
        """The proof that the log of a checkpoint begins with that of an older size.

        Args:
            project: Which log.
            old: The older size; of 0 there is nothing to prove.
            size: Of a checkpoint that was signed; the newest when left away.

        Raises:
            NotFound: `project-not-found`, `position-not-found`, `checkpoint-not-found`.
            Unavailable: `checkpoint-unsigned`.
            Damaged: `checkpoint-refused`, `tree-damaged`.
        """
        proof, _ = self._grown(project, old, size)
        return proof

    def root_at(self, project: str, position: int) -> bytes:
        """The root that the log had at a position, which its newest checkpoint vouches for.

        Raises:
            NotFound: `project-not-found`, `position-not-found`.
            Unavailable: `checkpoint-unsigned`.
            Damaged: `checkpoint-refused`, `tree-damaged`.
        """
        _, root = self._grown(project, position, None)
        return root

    def _grown(self, project: str, old: int, size: int | None) -> tuple[ConsistencyProof, bytes]:
        """The proof that the log grew from an older size, and the root that it had there."""
        signed, nodes = self._read(project, size, old, boundary(old))
        old_root = nodes.root((0, old))
        steps = consistency_ranges(old, signed.size) if old else []
        proof = [nodes.root(one) for one in steps]
        if old and not verify_consistency(old, signed.size, proof, old_root, signed.root):
            self._store.forget_nodes(project)
            raise _damaged(project)
        return ConsistencyProof(old, tuple(proof), signed.note), old_root

    def _read(
        self, project: str, size: int | None, position: int, indexes: list[int]
    ) -> tuple[Signed, Nodes]:
        """The checkpoint of a size, or the newest, that covers a position, and nodes of its tree."""

        def plan(of: int) -> list[Group]:
            return groups_for(indexes, of) if position <= of else []

        known, nodes = self._store.nodes(project, size, plan)
        signed = known.signed
        short = signed is None or signed.size < position <= known.log_size
        if self._signer is not None and size is None and short:
            self._store.sign(project, self._signer)
            known, nodes = self._store.nodes(project, size, plan)
        signed = _signed(project, known, size)
        if position > signed.size:
            raise NotFound(
                "position-not-found",
                f"The checkpoint of {project} covers {signed.size} events; {position} is beyond it.",
                members={"position": signed.size},
            )
        return signed, nodes


def _signed(project: str, known: Known, size: int | None) -> Signed:
    if known.signed is not None:
        return known.signed
    if size is not None:
        raise NotFound(
            "checkpoint-not-found",
            f"No checkpoint of {project} was signed at {size} events; leave the size away to mean "
            "the newest.",
        )
    raise Unavailable(
        "checkpoint-unsigned",
        f"No checkpoint of {project} has been signed yet, and this process has no key for it: ask "
        "one that has, or see DEEDBOOK_LOG_KEY.",
    )


def _size_of(known: Known) -> int:
    return 0 if known.signed is None else known.signed.size


def _check_covered(size: int, tile: Tile) -> None:
    if tile.size_needed() > size:
        raise NotFound(
            "tile-not-found",
            "The newest checkpoint does not cover this tile: read the checkpoint, and the tiles "
            "that its size gives.",
        )


def _damaged(project: str) -> Damaged:
    return Damaged(
        "tree-damaged",
        f"The events of {project} do not lead to the root that was signed: run deedbook doctor "
        "--verify.",
    )
