"""Verification of an export: replay its events, make every file again, compare every byte.

The numbered steps are those of `docs/export.md`: 1 Shape, 2 Bag, 3 Events, 4 Leaves, 5 Root,
6 Blobs, 7 Replay, 8 Seal, 9 Anchors, 10 Binding, 11 Since. Every step that can run does run, every
failure names its place, and nothing is read here but through `Archive`: no clock, no network, no
database. The container itself (step 1) was checked by whoever opened the archive, except for its
bodies, which are read here; the SHA-256 of the file is that of these bodies as they were read,
behind headers that are made again, and of the tail that was found to belong there.
"""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from domain.attestation import MAX_ATTESTATION_BYTES
from domain.attestation_record import follows_from
from domain.digest import format_digest, parse_digest
from domain.errors import Damaged, DeedbookError, Invalid
from domain.events import (
    MAX_LINE_BYTES,
    AttestationRecorded,
    EventData,
    Recorded,
    parse,
)
from domain.merkle import leaf_hash
from domain.names import check_project, run_stream
from projections import manifest as lists
from projections.bundle import (
    FORMAT_VERSION,
    Bundle,
    BundleFold,
    Measure,
    Member,
    Scope,
    Selection,
    Source,
    read_scope,
    select,
)
from projections.verify_anchors import Anchors
from projections.verify_evidence import ORIGIN, Evidence
from projections.verify_order import Order
from projections.verify_report import (
    Findings,
    Report,
    State,
    Summary,
    notes_on,
    shown,
)
from projections.verify_seal import Computed, check_head, check_seal
from projections.zip_layout import local_header

MAX_EVENTS = 100_000_000
MAX_SMALL_FILE_BYTES = 64 * 1024
MAX_EXPLAINED_BYTES = 16 * 1024 * 1024
"""A manifest that is wrong is decoded to say where, unless it is larger."""
LEAF_LINE_BYTES = 65


class ArchiveEntry(Protocol):
    """A file in the archive; its path begins with the top folder."""

    @property
    def path(self) -> str:
        """With the top folder."""

    @property
    def size_bytes(self) -> int:
        """Of the body."""

    @property
    def crc32(self) -> int:
        """As its header has it."""


class Archive(Protocol):
    """An opened archive, whose container is known to be the one encoding of its entries."""

    @property
    def entries(self) -> Sequence[ArchiveEntry]:
        """In order of path."""

    @property
    def tail(self) -> bytes:
        """What stands behind the last body: the directory and the end records."""

    def chunks(self, entry: ArchiveEntry) -> Iterator[bytes]:
        """The body of an entry, in bounded pieces; may be read more than once."""


NOTHING = Evidence()


def verify(archive: Archive, evidence: Evidence = NOTHING) -> Report:
    """Run every step that can run, on an archive whose container is canonical."""
    return _Verification(archive, evidence).run()


class _Verification:
    def __init__(self, archive: Archive, evidence: Evidence) -> None:
        self._archive = archive
        self._evidence = evidence
        self._findings = Findings()
        self._anchors = Anchors(evidence, self._findings)
        self._folder = archive.entries[0].path.partition("/")[0] if archive.entries else ""
        self._prefix = len(self._folder) + 1
        self._events = Measure()
        self._leaves = Measure()
        self._whole = hashlib.sha256()
        self._attested: dict[bytes, list[Recorded]] = {}

    def run(self) -> Report:
        findings = self._findings
        claimed = self._read_claims()
        bundle: Bundle | None = None
        fold: BundleFold | None = None
        if claimed is not None:
            fold = self._replay(*claimed)
            if fold is not None and not findings.failed("events"):
                bundle = fold.finish(self._events, self._leaves)
        self._read_bodies(bundle)
        tree = None
        summary = Summary(files=len(self._archive.entries))
        if claimed is not None:
            scope, tree = claimed
            summary = Summary(
                origin=tree.origin,
                scope=scope.name,
                position=tree.size,
                root=tree.root,
                manifest=None if bundle is None else format_digest(bundle.manifest_sha256),
                events=None if fold is None else fold.events,
                withheld=None if fold is None else tree.size - fold.events,
                erased=None if bundle is None else len(bundle.erased),
                files=len(self._archive.entries),
            )
        self._check_outside(tree, fold, bundle, summary)
        asked = self._anchors.asked(tree)
        checks = findings.checks(asked)
        state: State = "VERIFIED" if self._anchors.anchored else "VERIFIED-UNANCHORED"
        if any(check.ok is None for check in checks):
            state = "INCOMPLETE"
        if any(check.ok is False for check in checks):
            state = "FAILED"
        return Report(
            state=state,
            checks=checks,
            summary=summary,
            zip_sha256=self._whole.hexdigest(),
            notes=notes_on(state, summary),
            forked=self._anchors.forked,
        )

    def _check_outside(
        self,
        tree: lists.Tree | None,
        fold: BundleFold | None,
        bundle: Bundle | None,
        summary: Summary,
    ) -> None:
        """Steps 8 to 11: what the reader brings, against what was computed."""
        computed = Computed(
            folder=self._folder,
            zip_sha256=self._whole.digest(),
            manifest_sha256=None if bundle is None else bundle.manifest_sha256,
            origin=summary.origin,
            position=summary.position,
            root=None if fold is None else fold.root(),
            scope=summary.scope,
        )
        seal = check_seal(self._evidence, computed, self._findings)
        self._anchors.check(tree, computed.root)
        check_head(self._evidence, seal, summary.position or 0, self._findings)

    # What the export says of itself

    def _read_claims(self) -> tuple[Scope, lists.Tree] | None:
        """Scope, origin and size, from the two small files that have them; all checked later."""
        findings = self._findings
        reason = "could not run: tree.json or bag-info.txt cannot be read"
        try:
            tree = self._read_tree()
            scope = self._read_bag_info(tree)
            check_project(tree.origin.partition(".")[0])
            folder = scope.folder(tree.origin, tree.size)
            if folder != self._folder:
                findings.fail(
                    "bag", f"the top folder is {shown(self._folder)}, its contents say {folder}"
                )
        except DeedbookError as error:
            findings.fail("bag", error.detail)
            for step in ("events", "leaves", "root", "blobs", "replay"):
                findings.could_not_run(step, reason)
            return None
        return scope, tree

    def _read_tree(self) -> lists.Tree:
        raw = self._small(lists.TREE_PATH)
        try:
            tree = msgspec.json.decode(raw, type=lists.Tree)
            root = parse_digest(tree.root)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Invalid) as error:
            raise Damaged("archive-malformed", f"{lists.TREE_PATH}: {error}") from None
        if not 0 <= tree.size <= MAX_EVENTS or ORIGIN.fullmatch(tree.origin) is None:
            raise Damaged("archive-malformed", f"{lists.TREE_PATH}: origin or size is not one")
        if lists.encode_tree(tree.origin, root, tree.size) != raw:
            raise Damaged("archive-malformed", f"{lists.TREE_PATH}: not in canonical form")
        return tree

    def _read_bag_info(self, tree: lists.Tree) -> Scope:
        raw = self._small(lists.BAG_INFO_PATH)
        lines = raw.decode("ascii", "replace").split("\n")
        name = lines[1].removeprefix("Deedbook-Scope: ") if len(lines) > 1 else ""
        try:
            scope = read_scope(name)
        except Invalid:
            raise Damaged(
                "archive-malformed", f"{lists.BAG_INFO_PATH}: line 2 does not name a scope"
            ) from None
        payload = [one for one in self._archive.entries if self._inside(one).startswith("data/")]
        expected = lists.bag_info(
            format_version=FORMAT_VERSION,
            scope=scope.name,
            origin=tree.origin,
            size=tree.size,
            oxum=f"{sum(one.size_bytes for one in payload)}.{len(payload)}",
        )
        if raw != expected:
            at = _first_difference(raw, expected)
            self._findings.fail(
                "bag",
                f"{lists.BAG_INFO_PATH}, byte {at}: differs from what tree.json and the files give "
                f"({shown(expected.decode())})",
            )
        return scope

    # Steps 3 to 5: the events, their leaves, the root

    def _replay(self, scope: Scope, tree: lists.Tree) -> BundleFold | None:
        findings = self._findings
        entry = self._find(lists.EVENTS_PATH)
        if entry is None:
            findings.fail("events", f"{lists.EVENTS_PATH} is not there")
            for step in ("leaves", "root", "blobs", "replay"):
                findings.could_not_run(step, "could not run: there are no events")
            return None
        selection = self._select(scope, entry)
        fold = BundleFold(tree.origin, selection)
        if scope.run is None:
            self._fold_all(fold, entry, tree)
        else:
            self._fold_some(fold, entry, tree, selection)
        if not findings.failed("events"):
            findings.ran(
                "events", f"{fold.events} events, each canonical, none missing in its stream"
            )
        if not findings.failed("leaves"):
            what = "each the hash of its line" if scope.run is None else "each event has its own"
            findings.ran("leaves", f"{fold.size} leaves, {what}")
        root = format_digest(fold.root())
        if fold.size != tree.size:
            findings.fail("root", f"tree.json says size {tree.size}, there are {fold.size} leaves")
        elif root != tree.root:
            findings.fail("root", f"the root over {fold.size} leaves is {root}, not {tree.root}")
        else:
            findings.ran("root", f"the root over {fold.size} leaves is {root}")
        return fold

    def _select(self, scope: Scope, entry: ArchiveEntry) -> Selection:
        if scope.run is None:
            return select(scope, ())
        stream = run_stream(scope.run)
        named: list[EventData] = []
        for line, _, _ in self._lines(entry):
            try:
                recorded = parse(line)
            except DeedbookError:
                continue  # the fold that follows names it
            if recorded.stream == stream:
                named.append(recorded.data)
        return select(scope, named)

    def _fold_all(self, fold: BundleFold, entry: ArchiveEntry, tree: lists.Tree) -> None:
        """The whole project: positions are exactly 1..N, and every line is a leaf."""
        order = Order(self._findings, fold)
        self._anchors.note(fold)
        for line, number, offset in self._lines(entry, self._events):
            place = f"{lists.EVENTS_PATH}, line {number} (byte {offset})"
            recorded = order.read(line, place)
            if recorded is not None:
                if recorded.position != number:
                    self._findings.fail(
                        "events",
                        f"{place}: position {recorded.position} stands where {number} belongs",
                    )
                order.take(recorded, place)
                self._note_attestation(recorded)
            fold.leaf(leaf_hash(line))
            self._anchors.note(fold)
        if fold.size != tree.size:
            self._findings.fail(
                "events",
                f"{lists.EVENTS_PATH} has {fold.size} events, positions 1 to {tree.size} belong there",
            )
        if self._find(lists.LEAVES_PATH) is not None:
            self._findings.fail("leaves", f"{lists.LEAVES_PATH} does not belong into this scope")

    def _fold_some(
        self, fold: BundleFold, entry: ArchiveEntry, tree: lists.Tree, selection: Selection
    ) -> None:
        """A narrower scope: leaves.txt has all N leaves, each event hashes to its own."""
        findings = self._findings
        order = Order(findings, fold)
        listed = self._find(lists.LEAVES_PATH)
        if listed is None:
            findings.fail("leaves", f"{lists.LEAVES_PATH} is not there")
        given = iter(()) if listed is None else self._leaf_lines(listed, self._leaves)
        self._anchors.note(fold)
        leaf = b""
        last = 0
        for line, number, offset in self._lines(entry, self._events):
            place = f"{lists.EVENTS_PATH}, line {number} (byte {offset})"
            recorded = order.read(line, place)
            if recorded is None:
                continue
            if not last < recorded.position <= tree.size:
                findings.fail("events", f"{place}: position {recorded.position} after {last}")
                continue
            last = recorded.position
            if not selection.takes(recorded.stream):
                findings.fail("events", f"{place}: its stream does not belong into this scope")
            order.take(recorded, place)
            self._note_attestation(recorded)
            while fold.size < recorded.position:
                found = next(given, None)
                if found is None:
                    break
                leaf = found
                fold.leaf(leaf)
                self._anchors.note(fold)
            if fold.size != recorded.position or leaf != leaf_hash(line):
                findings.fail(
                    "leaves",
                    f"{place}: it does not hash to line {recorded.position} of {lists.LEAVES_PATH}",
                )
        for leaf in given:
            fold.leaf(leaf)
            self._anchors.note(fold)
        if fold.size != tree.size:
            findings.fail(
                "leaves", f"{lists.LEAVES_PATH} has {fold.size} lines, {tree.size} belong there"
            )

    def _note_attestation(self, recorded: Recorded) -> None:
        """Its event says what follows from its content, so that is derived again below."""
        if isinstance(recorded.data, AttestationRecorded):
            digest = recorded.data.content.digest
            with suppress(Invalid):  # a digest that is none was named already
                self._attested.setdefault(parse_digest(digest), []).append(recorded)

    def _lines(
        self, entry: ArchiveEntry, measure: Measure | None = None
    ) -> Iterator[tuple[bytes, int, int]]:
        """Each line without its newline, its number from 1, and its byte offset."""
        rest, number, offset = b"", 0, 0
        for chunk in self._archive.chunks(entry):
            if measure is not None:
                measure.add(chunk)
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                number += 1
                yield line, number, offset
                offset += len(line) + 1
            if len(rest) > MAX_LINE_BYTES:
                self._findings.fail(
                    "events",
                    f"{lists.EVENTS_PATH}, line {number + 1} (byte {offset}): longer than "
                    f"{MAX_LINE_BYTES} bytes; not read further",
                )
                return
        if rest:
            self._findings.fail(
                "events", f"{lists.EVENTS_PATH}, byte {offset}: the last line has no newline"
            )

    def _leaf_lines(self, entry: ArchiveEntry, measure: Measure) -> Iterator[bytes]:
        rest, number, sound = b"", 0, True
        for chunk in self._archive.chunks(entry):
            measure.add(chunk)
            if not sound:
                continue
            text = rest + chunk
            whole = len(text) - len(text) % LEAF_LINE_BYTES
            rest = text[whole:]
            for at in range(0, whole, LEAF_LINE_BYTES):
                number += 1
                leaf = _leaf(text[at : at + LEAF_LINE_BYTES])
                if leaf is None:
                    self._findings.fail(
                        "leaves", f"{lists.LEAVES_PATH}, line {number}: not a leaf hash in hex"
                    )
                    sound = False
                    break
                yield leaf
        if sound and rest:
            self._findings.fail("leaves", f"{lists.LEAVES_PATH}: the last line is cut")

    # Steps 1, 2, 6 and 7: one pass over all bodies

    def _read_bodies(self, bundle: Bundle | None) -> None:
        """Read each body once, in order, and compare it with what the events imply."""
        findings = self._findings
        expected = iter(bundle.members if bundle is not None else ())
        awaited = next(expected, None)
        payload, tags = hashlib.sha256(), hashlib.sha256()
        digests: dict[str, bytes] = {}
        blobs = files = 0
        for entry in self._archive.entries:
            path = self._inside(entry)
            sha256 = self._digest(entry)
            if path == lists.PAYLOAD_LIST_PATH and sha256 != payload.digest():
                self._explain_list(entry, "data/", digests)
            if path == lists.TAG_LIST_PATH and sha256 != tags.digest():
                self._explain_list(entry, "", digests)
            digests[path] = sha256
            line = lists.digest_line(path, sha256)
            (payload if path.startswith("data/") else tags).update(line)
            while awaited is not None and awaited.path < path:
                self._miss(awaited)
                awaited = next(expected, None)
            if awaited is not None and awaited.path == path:
                self._compare(entry, sha256, awaited)
                blobs += awaited.source is Source.BLOB
                files += awaited.source is not Source.BLOB
                awaited = next(expected, None)
            elif bundle is not None:
                findings.fail("blobs", f"{shown(path)} is not implied by any event")
        while awaited is not None:
            self._miss(awaited)
            awaited = next(expected, None)
        for path in (
            lists.BAG_PATH,
            lists.BAG_INFO_PATH,
            lists.PAYLOAD_LIST_PATH,
            lists.TAG_LIST_PATH,
            lists.MANIFEST_PATH,
        ):
            if path not in digests:
                findings.fail("bag", f"{path} is not there")
        self._whole.update(self._archive.tail)
        self._check_manifest(bundle, digests)
        if not findings.failed("shape"):
            findings.ran(
                "shape",
                f"{len(self._archive.entries)} files, encoded as an export and no other way",
            )
        if not findings.failed("bag"):
            findings.ran("bag", f"both lists name all {len(digests)} files and no other")
        if bundle is None:
            for step in ("blobs", "replay"):
                findings.could_not_run(step, "could not run: the events cannot be folded")
            return
        if not findings.failed("blobs"):
            gone = f", {len(bundle.erased)} erased" if bundle.erased else ""
            findings.ran("blobs", f"{blobs} contents, each with the digest in its event{gone}")
        if not findings.failed("replay"):
            findings.ran("replay", f"{files} files made again from the events, all the same")

    def _digest(self, entry: ArchiveEntry) -> bytes:
        digest, crc32 = hashlib.sha256(), 0
        self._whole.update(local_header(entry.path, entry.size_bytes, entry.crc32))
        for chunk in self._archive.chunks(entry):
            self._whole.update(chunk)
            digest.update(chunk)
            crc32 = zlib.crc32(chunk, crc32)
        if crc32 != entry.crc32:
            self._findings.fail(
                "shape", f"{shown(entry.path)}: the body does not have the CRC-32 of its header"
            )
        return digest.digest()

    def _miss(self, member: Member) -> None:
        if member.source is Source.BLOB:
            self._findings.fail(
                "blobs",
                f"{member.path} ({format_digest(member.sha256)}) is not there, and no event "
                "records that it was erased",
            )
        else:
            self._findings.fail("replay", f"{member.path} follows from the events and is not there")

    def _compare(self, entry: ArchiveEntry, sha256: bytes, member: Member) -> None:
        if sha256 == member.sha256 and entry.size_bytes == member.size_bytes:
            if member.source is Source.BLOB and sha256 in self._attested:
                self._check_attested(entry, self._attested.pop(sha256))
            return
        if member.source is Source.BLOB:
            self._findings.fail(
                "blobs",
                f"{member.path} is {format_digest(sha256)} with {entry.size_bytes} bytes, its "
                f"event says {format_digest(member.sha256)} with {member.size_bytes}",
            )
            return
        if member.content is None:
            self._findings.fail("shape", f"{member.path} was not the same when read again")
            return
        at = 0
        for chunk in self._archive.chunks(entry):
            begin = member.content[at : at + len(chunk)]
            if chunk != begin:
                at += _first_difference(chunk, begin)
                break
            at += len(chunk)
        self._findings.fail(
            "replay", f"{member.path}, byte {at}: differs from what the events give"
        )

    def _check_attested(self, entry: ArchiveEntry, events: Sequence[Recorded]) -> None:
        """Whether the events say of an attestation what its bytes say."""
        raw = b""
        if entry.size_bytes <= MAX_ATTESTATION_BYTES:
            raw = b"".join(self._archive.chunks(entry))
        for one in events:
            assert isinstance(one.data, AttestationRecorded)
            try:
                follows = follows_from(one.data, raw)
            except DeedbookError:
                follows = False
            if not follows:
                self._findings.fail(
                    "replay",
                    f"{self._inside(entry)}: position {one.position} says of this attestation what "
                    "is not in it",
                )

    def _explain_list(self, entry: ArchiveEntry, prefix: str, digests: dict[str, bytes]) -> None:
        """Name the first line of a bag's list that is not the one that belongs there."""
        path = self._inside(entry)
        names = sorted(name for name in digests if name.startswith("data/") == (prefix == "data/"))
        wanted = iter(lists.digest_line(name, digests[name]) for name in names)
        rest, number = b"", 0
        for chunk in self._archive.chunks(entry):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                number += 1
                if line + b"\n" != next(wanted, b""):
                    self._findings.fail(
                        "bag",
                        f"{path}, line {number}: {shown(line.decode('ascii', 'replace'))} does "
                        "not agree with the files",
                    )
                    return
            if len(rest) > MAX_LINE_BYTES:
                break
        self._findings.fail("bag", f"{path}, line {number + 1}: cut, or a file is not listed")

    def _check_manifest(self, bundle: Bundle | None, digests: dict[str, bytes]) -> None:
        """`manifest.json` lists every other payload file; replay has compared it already if it ran."""
        sha256 = digests.get(lists.MANIFEST_PATH)
        if sha256 is None or (bundle is not None and bundle.manifest_sha256 == sha256):
            return
        entry = self._find(lists.MANIFEST_PATH)
        assert entry is not None
        if entry.size_bytes > MAX_EXPLAINED_BYTES:
            self._findings.fail("bag", f"{lists.MANIFEST_PATH} is not the one that belongs here")
            return
        raw = b"".join(self._archive.chunks(entry))
        try:
            listed = msgspec.json.decode(raw, type=lists.Manifest, strict=True)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._findings.fail("bag", f"{lists.MANIFEST_PATH}: {error}")
            return
        sizes = {self._inside(one): one.size_bytes for one in self._archive.entries}
        belong = [
            (path, sizes[path], format_digest(digest))
            for path, digest in digests.items()
            if path.startswith("data/") and path != lists.MANIFEST_PATH
        ]
        given = [(one.path, one.size_bytes, one.digest) for one in listed.files]
        for one, other in zip(given, belong, strict=False):
            if one != other:
                self._findings.fail(
                    "bag",
                    f"{lists.MANIFEST_PATH}: {shown(one[0])} is listed where {other[0]} with "
                    f"{other[1]} bytes and {other[2]} belongs",
                )
                return
        if len(given) != len(belong):
            self._findings.fail(
                "bag", f"{lists.MANIFEST_PATH} lists {len(given)} files, there are {len(belong)}"
            )

    # Reading

    def _inside(self, entry: ArchiveEntry) -> str:
        return entry.path[self._prefix :]

    def _find(self, path: str) -> ArchiveEntry | None:
        """The entry with this path, by bisection: entries are in order."""
        entries, wanted = self._archive.entries, f"{self._folder}/{path}"
        low, high = 0, len(entries)
        while low < high:
            middle = (low + high) // 2
            if entries[middle].path < wanted:
                low = middle + 1
            else:
                high = middle
        if low < len(entries) and entries[low].path == wanted:
            return entries[low]
        return None

    def _small(self, path: str) -> bytes:
        entry = self._find(path)
        if entry is None:
            raise Damaged("archive-malformed", f"{path} is not there")
        if entry.size_bytes > MAX_SMALL_FILE_BYTES:
            raise Damaged("archive-malformed", f"{path} has {entry.size_bytes} bytes")
        return b"".join(self._archive.chunks(entry))


def _leaf(line: bytes) -> bytes | None:
    if line[64:] != b"\n":
        return None
    try:
        leaf = bytes.fromhex(line[:64].decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return None
    return leaf if leaf.hex().encode() == line[:64] else None


def _first_difference(one: bytes, other: bytes) -> int:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))
