"""The export as a fold: which files it has, in which order, with which bytes.

An export is a pure function of (project, position, scope, format version). Contents that artifacts
and runs name are not read here: a member of source BLOB is given by its digest. The event lines and
leaves are not held either: they run through a `Measure` on their way, and are made again when sent.
Everything else is small and made here. See `docs/export.md` for the layout.
"""

import hashlib
import zlib
from collections.abc import Iterable
from enum import IntEnum

import msgspec

from domain import canonical, merkle
from domain.digest import format_digest, parse_digest
from domain.errors import Damaged, Invalid
from domain.events import (
    ArtifactErased,
    ArtifactWritten,
    Content,
    EventData,
    Recorded,
    RecordErased,
    contents_of,
)
from domain.names import (
    ArtifactStream,
    RunStream,
    artifact_stream,
    escape_key,
    parse_stream,
    run_stream,
    unescape_key,
)
from projections import manifest as lists
from projections.bundle_readme import readme
from projections.bundle_runs import RunFold, artifacts_named
from projections.manifest import Described, ErasedContent, Manifest, ManifestFile

FORMAT_VERSION = 1
"""Raised by every change of exported bytes."""

ERASURES_STREAM = "erasures"

EXTENSIONS = {
    "application/gzip": "gz",
    "application/javascript": "js",
    "application/json": "json",
    "application/ld+json": "jsonld",
    "application/pdf": "pdf",
    "application/sarif+json": "sarif",
    "application/toml": "toml",
    "application/x-ndjson": "ndjson",
    "application/xml": "xml",
    "application/yaml": "yaml",
    "application/zip": "zip",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/webp": "webp",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "html",
    "text/javascript": "js",
    "text/markdown": "md",
    "text/plain": "txt",
    "text/x-diff": "diff",
    "text/x-patch": "patch",
    "text/x-python": "py",
    "text/xml": "xml",
    "text/yaml": "yaml",
}
"""Part of format version 1: a media type that is not here is `bin`."""

_OFFICE = "application/vnd.openxmlformats-officedocument"
EXTENSIONS_OF_ORIGINALS = {
    **EXTENSIONS,
    "application/epub+zip": "epub",
    "application/msword": "doc",
    "application/rtf": "rtf",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.text": "odt",
    f"{_OFFICE}.presentationml.presentation": "pptx",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "message/rfc822": "eml",
}
"""The same for originals. It is a table of its own, since that of the others cannot grow."""

ORIGINALS = "+originals"
"""The end of the name of a scope that has them."""


class Scope(msgspec.Struct, frozen=True):
    """What an export covers: the whole project, or one run and what it names.

    Attributes:
        originals: With the uploaded files of the artifact versions that it shows.
    """

    run: str | None = None
    originals: bool = False

    @property
    def name(self) -> str:
        """As it stands in `bag-info.txt`: `project` or `run:<id>`, then perhaps `+originals`."""
        covered = "project" if self.run is None else f"run:{self.run}"
        return f"{covered}{ORIGINALS if self.originals else ''}"

    def folder(self, origin: str, position: int) -> str:
        """The top folder; the file is named the same, with `.zip`.

        The project is named as in the log's origin, so that an imported log gives the same bytes.
        """
        project = origin.partition(".")[0]
        middle = "" if self.run is None else f"{self.run}-"
        return f"{project}-{middle}{position}{'-originals' if self.originals else ''}"


def read_scope(text: str) -> Scope:
    """The scope of that name.

    Raises:
        Invalid: `invalid-parameter`.
    """
    covered = text.removesuffix(ORIGINALS)
    originals = covered != text
    if covered == "project":
        return Scope(originals=originals)
    word, _, run = covered.partition(":")
    try:
        if word == "run" and isinstance(parse_stream(run_stream(run)), RunStream):
            return Scope(run, originals)
    except Invalid:
        pass
    raise Invalid(
        "invalid-parameter",
        "A scope is `project`, or `run:` and the id of a run; then perhaps `+originals`.",
    )


class Source(IntEnum):
    """Where the bytes of a member come from."""

    BLOB = 0
    KEPT = 1
    EVENTS = 2
    LEAVES = 3


class Member(msgspec.Struct, frozen=True, gc=False):
    """One file of the export; `path` is relative to the top folder.

    Attributes:
        crc32: None for a blob: events do not say it, the ledger and the archive do.
        content: The bytes, when the source is KEPT.
    """

    path: str
    size_bytes: int
    sha256: bytes
    source: Source
    crc32: int | None = None
    content: bytes | None = None


class Bundle(msgspec.Struct, frozen=True):
    """A whole export without the contents that lie in blobs.

    Attributes:
        members: In order of path, which is ASCII, so by bytes as well.
        size: The position N: how many leaves the tree has.
        events: How many event lines are in scope.
        erased: The contents that belong here and were erased.
    """

    folder: str
    members: tuple[Member, ...]
    origin: str
    root: bytes
    size: int
    events: int
    manifest_sha256: bytes
    erased: tuple[ErasedContent, ...]


class Measure:
    """Size, CRC-32 and SHA-256 of bytes that pass by and are not kept."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.crc32 = 0
        self._sha256 = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Let the next bytes pass."""
        self.size_bytes += len(chunk)
        self.crc32 = zlib.crc32(chunk, self.crc32)
        self._sha256.update(chunk)

    @property
    def sha256(self) -> bytes:
        """Of all bytes so far."""
        return self._sha256.digest()


class Selection(msgspec.Struct, frozen=True):
    """Which streams a scope takes in, and which artifact versions it shows.

    Attributes:
        streams: None means all of them.
        versions: (stream, version) pairs; None means the latest of each artifact.
    """

    scope: Scope
    streams: frozenset[str] | None = None
    versions: frozenset[tuple[str, int]] | None = None

    def takes(self, stream: str) -> bool:
        """Whether events of this stream are in the export."""
        return self.streams is None or stream in self.streams


def select(scope: Scope, run_events: Iterable[EventData]) -> Selection:
    """What a scope takes in.

    Args:
        scope: The scope.
        run_events: For the scope of a run, all its events up to the position.
    """
    if scope.run is None:
        return Selection(scope)
    versions: set[tuple[str, int]] = set()
    for data in run_events:
        for name in artifacts_named(data):
            try:
                versions.add((artifact_stream(name.kind, name.key), name.version))
            except Invalid:  # a name that no artifact can have takes nothing in
                continue
    streams = {stream for stream, _ in versions} | {run_stream(scope.run), ERASURES_STREAM}
    return Selection(scope, frozenset(streams), frozenset(versions))


class _Version(msgspec.Struct, frozen=True, gc=False):
    name: ArtifactStream
    version: int
    position: int
    sha256: bytes
    size_bytes: int
    media_type: str
    citations: bytes | None
    original: Content | None


class _CitationsFile(msgspec.Struct, frozen=True):
    kind: str
    key: str
    version: int
    citations: msgspec.Raw


class _Planned(msgspec.Struct, frozen=True, gc=False):
    """A member of the payload with what the manifest says of it."""

    member: Member
    described: Described


class BundleFold:
    """Folds a log up to a position into the files of its export.

    Call `leaf` for every position in order, `event` for every event in scope, and `finish` once.
    """

    def __init__(self, origin: str, selection: Selection) -> None:
        self.size = 0
        self.events = 0
        self._origin = origin
        self._selection = selection
        self._frontier: list[bytes] = []
        self._names: dict[str, ArtifactStream] = {}
        self._shown: dict[tuple[str, int], _Version] = {}
        self._erased: dict[bytes, int] = {}
        self._runs: dict[str, RunFold] = {}

    def leaf(self, leaf: bytes) -> None:
        """Extend the tree by the next position's leaf hash."""
        merkle.extend(self._frontier, self.size, leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root over the leaves so far."""
        return merkle.root_of(self._frontier)

    def event(self, recorded: Recorded) -> None:
        """Take in the next event in scope."""
        self.events += 1
        data = recorded.data
        match data:
            case ArtifactWritten():
                self._write(recorded, data)
            case ArtifactErased() | RecordErased():
                self._erased.setdefault(parse_digest(data.digest), recorded.position)
            case _ if recorded.stream.startswith("run/"):
                fold = self._runs.get(recorded.stream)
                if fold is None:
                    fold = self._runs[recorded.stream] = RunFold(_run_id(recorded.stream))
                fold.event(recorded)
            case _ if contents_of(data):
                raise Damaged(
                    "event-malformed",
                    f"Position {recorded.position}: a {recorded.type} stands in a run's stream.",
                )
            case _:
                pass

    def _write(self, recorded: Recorded, data: ArtifactWritten) -> None:
        stream, wanted = recorded.stream, self._selection.versions
        name = self._names.get(stream)
        if name is None:
            name = self._names[stream] = _artifact_of(recorded)
        if wanted is not None and (stream, recorded.version) not in wanted:
            return
        version = _Version(
            name,
            recorded.version,
            recorded.position,
            parse_digest(data.digest),
            data.size_bytes,
            data.media_type,
            canonical.write(data.citations) if data.citations else None,
            data.original if self._selection.scope.originals else None,
        )
        # Of one version, or of the latest only: the key decides which of them stays.
        self._shown[stream, 0 if wanted is None else recorded.version] = version

    def finish(self, events: Measure, leaves: Measure) -> Bundle:
        """All members, in order.

        Args:
            events: Of the lines in scope, each with its newline.
            leaves: Of the leaf hashes of all positions, in hex, each with its newline.
        """
        planned: list[_Planned] = []
        erased: list[ErasedContent] = []
        for version in self._shown.values():
            self._plan_artifact(version, planned, erased)
        for stream, fold in self._runs.items():
            self._plan_run(_run_id(stream), fold, planned, erased)
        whole = self._selection.scope.run is None
        planned.append(_streamed(lists.EVENTS_PATH, events, Source.EVENTS, "events"))
        if not whole:
            planned.append(_streamed(lists.LEAVES_PATH, leaves, Source.LEAVES, "leaves"))
        root = self.root()
        tree = lists.encode_tree(self._origin, root, self.size)
        planned.append(_made(lists.TREE_PATH, tree, Described(what="tree")))
        page = readme(whole_project=whole, originals=self._selection.scope.originals)
        planned.append(_made(lists.README_PATH, page, Described(what="readme")))
        planned.sort(key=lambda one: one.member.path)
        erased.sort(key=_order_of_erased)
        listed = lists.encode_manifest(
            Manifest(tuple(_listed(one) for one in planned), tuple(erased))
        )
        members = [one.member for one in planned]
        members.append(kept(lists.MANIFEST_PATH, listed))
        members.sort(key=_path)
        tags = self._tag_files(members)
        return Bundle(
            folder=self._selection.scope.folder(self._origin, self.size),
            members=tuple(sorted((*members, *tags), key=_path)),
            origin=self._origin,
            root=root,
            size=self.size,
            events=self.events,
            manifest_sha256=hashlib.sha256(listed).digest(),
            erased=tuple(erased),
        )

    def _plan_artifact(
        self, version: _Version, planned: list[_Planned], erased: list[ErasedContent]
    ) -> None:
        name = version.name
        described = Described(
            what="artifact",
            kind=name.kind,
            key=name.key,
            version=version.version,
            position=version.position,
            media_type=version.media_type,
        )
        tail = f"{name.kind}/{escape_key(name.key)}.v{version.version}"
        path = f"data/artifacts/{tail}.{_extension(version.media_type)}"
        self._plan_blob(path, version.sha256, version.size_bytes, described, planned, erased)
        if version.original is not None:
            media_type = version.original.media_type
            self._plan_blob(
                f"data/originals/{tail}.{EXTENSIONS_OF_ORIGINALS.get(media_type, 'bin')}",
                parse_digest(version.original.digest),
                version.original.size_bytes,
                msgspec.structs.replace(described, what="original", media_type=media_type),
                planned,
                erased,
            )
        if version.citations is not None:
            cited = _CitationsFile(
                name.kind, name.key, version.version, msgspec.Raw(version.citations)
            )
            described = Described(
                what="citations", kind=name.kind, key=name.key, version=version.version
            )
            path = f"data/citations/{tail}.json"
            planned.append(_made(path, canonical.write(cited), described))

    def _plan_run(
        self, run: str, fold: RunFold, planned: list[_Planned], erased: list[ErasedContent]
    ) -> None:
        paths: dict[str, str] = {}
        for file in fold.files:
            path = f"data/runs/{run}/{file.name}.{_extension(file.content.media_type)}"
            described = Described(
                what="record",
                run=run,
                version=file.version,
                position=file.position,
                media_type=file.content.media_type,
            )
            size_bytes = file.content.size_bytes
            if self._plan_blob(path, file.sha256, size_bytes, described, planned, erased):
                paths[file.name] = path
        summary = fold.encode(paths, self._erased)
        described = Described(what="run", run=run)
        planned.append(_made(f"data/runs/{run}/bundle.json", summary, described))

    def _plan_blob(
        self,
        path: str,
        sha256: bytes,
        size_bytes: int,
        described: Described,
        planned: list[_Planned],
        erased: list[ErasedContent],
    ) -> bool:
        erased_at = self._erased.get(sha256)
        if erased_at is None:
            planned.append(_Planned(Member(path, size_bytes, sha256, Source.BLOB), described))
            return True
        erased.append(_listed_erased(described, sha256, size_bytes, erased_at))
        return False

    def _tag_files(self, payload: list[Member]) -> list[Member]:
        oxum = f"{sum(one.size_bytes for one in payload)}.{len(payload)}"
        info = lists.bag_info(
            format_version=FORMAT_VERSION,
            scope=self._selection.scope.name,
            origin=self._origin,
            size=self.size,
            oxum=oxum,
        )
        tags = [
            kept(lists.BAG_INFO_PATH, info),
            kept(lists.BAG_PATH, lists.BAG_DECLARATION),
            kept(
                lists.PAYLOAD_LIST_PATH,
                lists.digest_lines((one.path, one.sha256) for one in payload),
            ),
        ]
        tagged = lists.digest_lines((one.path, one.sha256) for one in tags)
        return [*tags, kept(lists.TAG_LIST_PATH, tagged)]


def subject_of(path: str) -> str:
    """Whose content lies at a path of the payload, for people."""
    parts = path.split("/")
    if len(parts) == 4 and parts[1] in {"artifacts", "originals"}:
        segment, _, rest = parts[3].rpartition(".")[0].rpartition(".v")
        of = "the original of " if parts[1] == "originals" else ""
        return f"{of}{artifact_stream(parts[2], unescape_key(segment))} version {rest}"
    if len(parts) == 4 and parts[1] == "runs":
        return f"{run_stream(parts[2])}, {parts[3]}"
    return path


def kept(path: str, content: bytes) -> Member:
    """A member whose bytes are made here."""
    sha256 = hashlib.sha256(content).digest()
    return Member(path, len(content), sha256, Source.KEPT, zlib.crc32(content), content)


def _made(path: str, content: bytes, described: Described) -> _Planned:
    return _Planned(kept(path, content), described)


def _streamed(path: str, measure: Measure, source: Source, what: str) -> _Planned:
    member = Member(path, measure.size_bytes, measure.sha256, source, measure.crc32)
    return _Planned(member, Described(what=what))


def _listed(planned: _Planned) -> ManifestFile:
    member, described = planned.member, planned.described
    return ManifestFile(
        what=described.what,
        kind=described.kind,
        key=described.key,
        run=described.run,
        version=described.version,
        position=described.position,
        media_type=described.media_type,
        path=member.path,
        size_bytes=member.size_bytes,
        digest=format_digest(member.sha256),
    )


def _listed_erased(
    described: Described, sha256: bytes, size_bytes: int, erased_at: int
) -> ErasedContent:
    return ErasedContent(
        what=described.what,
        kind=described.kind,
        key=described.key,
        run=described.run,
        version=described.version,
        position=described.position,
        media_type=described.media_type,
        digest=format_digest(sha256),
        size_bytes=size_bytes,
        erased_at=erased_at,
    )


def _path(member: Member) -> str:
    return member.path


def _order_of_erased(one: ErasedContent) -> tuple[int, str, int]:
    return (one.position or 0, one.digest, one.version or 0)


def _artifact_of(recorded: Recorded) -> ArtifactStream:
    name = parse_stream(recorded.stream)
    if not isinstance(name, ArtifactStream):
        raise Damaged(
            "event-malformed",
            f"Position {recorded.position}: an artifact is written in its own stream.",
        )
    return name


def _run_id(stream: str) -> str:
    name = parse_stream(stream)
    assert isinstance(name, RunStream)
    return name.run_id


def _extension(media_type: str) -> str:
    return EXTENSIONS.get(media_type, "bin")
