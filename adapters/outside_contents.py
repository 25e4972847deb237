"""Contents outside the database: the port to whatever keeps them, and reading with every byte checked."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from domain.digest import format_digest
from domain.errors import Damaged, DeedbookError, NotFound, Unavailable

PIECE_BYTES = 1024 * 1024
ONE_BY_ONE = 8
"""As many are asked for singly; of more, the store's list is read."""
MAX_LISTED = 1_000_000


class ObjectStore(Protocol):
    """Keeps objects by addresses that we choose.

    Its guarantees: an address is written once and never again with other bytes; after `put` the object
    is there, whole, for everybody; after a failed `put` it may be. Only the holder of the store's
    secret reads or lists. Every call ends within its time limit. It vouches for no byte: whoever reads
    compares with the digest.
    """

    def put(self, address: str, content: bytes) -> None:
        """Keep an object; repeating it after a failure is safe.

        Raises:
            Unavailable: `blob-store-unavailable`.
        """

    def pieces(self, address: str) -> Iterator[bytes]:
        """The object's bytes, in small pieces.

        Raises:
            NotFound: `content-missing`.
            Unavailable: `blob-store-unavailable`, also when it broke off.
        """

    def size(self, address: str) -> int | None:
        """The object's size, None when it is not there.

        Raises:
            Unavailable: `blob-store-unavailable`.
        """

    def listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The address and size of each object whose address begins so, in no order.

        Raises:
            Unavailable: `blob-store-unavailable`.
        """

    def delete(self, addresses: Sequence[str]) -> None:
        """Remove up to 100 objects; those that are not there are no error.

        Raises:
            Unavailable: `blob-store-unavailable`.
        """


class Kept(msgspec.Struct, frozen=True):
    """A content as its row has it: where it lies, and what it must be."""

    address: str
    sha256: bytes
    size_bytes: int


class OutsideContents:
    """The contents of a ledger that lie in an object store, if it has one.

    Args:
        store: None when the settings name none: then nothing is put outside, and what lies there
            already cannot be read.
        above_bytes: Larger contents are put outside.
        random_bytes: For addresses that nobody guesses and that no two uploads share.
    """

    def __init__(
        self,
        store: ObjectStore | None = None,
        *,
        above_bytes: int = 0,
        random_bytes: Callable[[int], bytes] | None = None,
    ) -> None:
        self._store = store
        self._above_bytes = above_bytes
        self._random_bytes = random_bytes

    @property
    def there(self) -> bool:
        """Whether the ledger has a store."""
        return self._store is not None

    @property
    def store(self) -> ObjectStore:
        """The store.

        Raises:
            Unavailable: `blob-store-unavailable`, naming the setting.
        """
        if self._store is None:
            raise Unavailable(
                "blob-store-unavailable",
                "This content lies in Vercel Blob: set BLOB_READ_WRITE_TOKEN to the token of that "
                "store and start the ledger again, or upload the same bytes again.",
            )
        return self._store

    def takes(self, size_bytes: int) -> bool:
        """Whether a content of this size is put outside."""
        return self._store is not None and size_bytes > self._above_bytes

    def new_address(self, project: str, sha256: bytes) -> str:
        """An address that was never used: in the project's own part, by digest, and not to be guessed.

        It is never written twice. So a reader never gets an older object from a cache, and two
        uploads of the same bytes, or two ledgers that share a store, are never in each other's way.
        """
        assert self._random_bytes is not None
        return f"{project}/{sha256.hex()}/{self._random_bytes(16).hex()}"

    def pieces(self, kept: Kept, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, a mebibyte at a time.

        The store is read to the end also for a part: the last piece is given when the digest and size
        of the whole are right, so that no read goes unchecked.

        Raises:
            NotFound: `content-missing`.
            Damaged: `content-damaged`, before the last piece.
            Unavailable: `blob-store-unavailable`.
        """
        stop = kept.size_bytes if stop is None else min(stop, kept.size_bytes)
        digest, size, held = hashlib.sha256(), 0, b""
        for piece in _joined(self.store.pieces(kept.address)):
            digest.update(piece)
            part = piece[max(start - size, 0) : max(stop - size, 0)]
            size += len(piece)
            if size > kept.size_bytes:
                break
            if part:
                if held:
                    yield held
                held = part
        if size != kept.size_bytes or digest.digest() != kept.sha256:
            raise damaged(kept)
        if held:
            yield held

    def read(self, kept: Kept) -> bytes:
        """The whole content, checked; raises what `pieces` raises."""
        return b"".join(self.pieces(kept))

    def whole(self, kept: Kept) -> bool:
        """Whether the object is there with every byte right; False also when it cannot be asked.

        Raises:
            Unavailable: `blob-store-unavailable`, for a store that is set and does not answer.
        """
        if self._store is None:
            return False
        try:
            for _ in self.pieces(kept):
                pass
        except (NotFound, Damaged):
            return False
        return True

    def missing(self, project: str, contents: Sequence[Kept]) -> Mapping[bytes, DeedbookError]:
        """What is wrong, by SHA-256, with those that are not there with their size; no content is read.

        A few are asked for one by one. For more the project's list is read, a thousand at a time, and
        only what it does not show is asked for.

        Raises:
            Unavailable: `blob-store-unavailable`.
        """
        store = self.store if contents else None
        sizes: dict[str, int] = {}
        if store is not None and len(contents) > ONE_BY_ONE:
            wanted = {one.address for one in contents}
            for count, (address, size) in enumerate(store.listed(f"{project}/")):
                if address in wanted:
                    sizes[address] = size
                if len(sizes) == len(wanted) or count == MAX_LISTED:
                    break
        wrong: dict[bytes, DeedbookError] = {}
        for one in contents:
            assert store is not None
            found = sizes.get(one.address)
            found = store.size(one.address) if found is None else found
            if found is None:
                wrong[one.sha256] = not_there(format_digest(one.sha256))
            elif found != one.size_bytes:
                wrong[one.sha256] = damaged(one)
        return wrong


NOTHING_OUTSIDE = OutsideContents()
"""Of a ledger without a store."""


def not_there(name: str) -> NotFound:
    """The error for an object that is gone."""
    return NotFound(
        "content-missing",
        f"The content {name} is gone from the blob store: upload the same bytes again.",
    )


def damaged(kept: Kept) -> Damaged:
    """The error for an object that is not what was recorded."""
    return Damaged(
        "content-damaged",
        f"The bytes of {format_digest(kept.sha256)} in the blob store are not those that were "
        "recorded: upload the same bytes again, and run deedbook doctor --verify.",
    )


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of a mebibyte."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)
