"""Logs and exports made in memory, for tests of what is in an export and of those who read one."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import TypedDict

import msgspec

from domain import canonical
from domain.citation import Citation
from domain.digest import digest_of
from domain.events import (
    ApprovalRecorded,
    ArtifactVersionName,
    ArtifactWritten,
    Content,
    EventData,
    PatchSetRecorded,
    PlanRecorded,
    ProjectCreated,
    RunCreated,
    RunFinished,
    RunStarted,
    StoredLine,
    TranscriptRecorded,
    VerificationRecorded,
    encode_line,
    parse,
)
from domain.merkle import leaf_hash
from projections import manifest as lists
from projections.bundle import Bundle, BundleFold, Measure, Member, Scope, Source, select
from projections.manifest import Manifest, ManifestFile
from projections.zip_layout import central_record, end_records, local_header

ORIGIN = "alpha.ledger.example"
PRD = b"# PRD 1\n"
PUBLISHED_LINES = (
    (
        b'{"actor":"user:ada","data":{"digest":"sha256:b2ff6d2fd87d90514ef85ae89f892c12538ae92fc70d655b'
        b'2991eb69107ceb83","media_type":"text/markdown","size_bytes":8},"id":"019a9f60-7c00-7000-8a00-'
        b'000000000001","position":1,"stream":"artifact/PRD/main","time":"2026-11-20T10:00:00.000000Z",'
        b'"type":"ArtifactWritten","version":1}'
    ),
    (
        b'{"actor":"build:ci","data":{"result":"PASSED"},"id":"019a9f60-7c00-7000-8a00-000000000002",'
        b'"position":2,"stream":"run/r1","time":"2026-11-20T10:00:01.000000Z","type":'
        b'"VerificationRecorded","version":1}'
    ),
    (
        b'{"actor":"user:bob","data":{"decision":"approved"},"id":"019a9f60-7c00-7000-8a00-000000000003'
        b'","position":3,"stream":"run/r1","time":"2026-11-20T10:00:02.000000Z","type":'
        b'"ApprovalRecorded","version":2}'
    ),
)
"""The three events whose digests are published with the format."""

HOSTILE_KEYS = (
    *("con", "CON", "lpt1.txt", "aux", "README", "Readme", "readme", "-rf", "--help", "end."),
    *(".hidden", "~", "a b", " ", "100%", "%2e%2e", "x+y", "C:\\x", "\\\\host\\share", "a\u202eb"),
    *("caf\u00e9", "cafe\u0301", "\u212a", "K", "\u65e5\u672c", "a'b", 'a"b', "$(id)", "`id`"),
    *("a;b", "a|b", "a*b?", "<a>", "a\ufeff", "....", "a..b", "=2e", "x.v1", "\U0001f600", "a~1"),
    "x" * 90,
)
"""Keys that some file system, shell or archiver would take amiss."""


class ContentMembers(TypedDict):
    """The members with which an event names a content."""

    digest: str
    size_bytes: int
    media_type: str


class MemoryLog:
    """A log as a list of lines, and the contents that belong to it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.blobs: dict[bytes, bytes] = {}
        self._versions: dict[str, int] = {}

    def content(self, content: bytes, media_type: str = "text/markdown") -> ContentMembers:
        """Keep a content; the members with which an event names it."""
        sha256 = hashlib.sha256(content).digest()
        self.blobs[sha256] = content
        return {
            "digest": f"sha256:{sha256.hex()}",
            "size_bytes": len(content),
            "media_type": media_type,
        }

    def add(self, stream: str, data: EventData, *, actor: str = "user:ada") -> int:
        """Append an event; answers its position."""
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        position = len(self.lines) + 1
        self.lines.append(
            encode_line(
                StoredLine(
                    actor=actor,
                    data=msgspec.Raw(canonical.write(data)),
                    id=f"019a9f60-7c00-7000-8a00-{position:012x}",
                    position=position,
                    stream=stream,
                    time=f"2026-11-20T{10 + position // 3600}:{position // 60 % 60:02}"
                    f":{position % 60:02}.000000Z",
                    type=type(data).__name__,
                    version=version,
                )
            )
        )
        return position


def fold(
    lines: Sequence[bytes],
    scope: Scope = Scope(),
    origin: str = ORIGIN,
) -> tuple[Bundle, bytes, bytes]:
    """The bundle of a log, its events file and its leaves file."""
    parsed = [parse(line) for line in lines]
    stream = f"run/{scope.run}"
    selection = select(scope, [one.data for one in parsed if one.stream == stream])
    folded = BundleFold(origin, selection)
    for one, line in zip(parsed, lines, strict=True):
        folded.leaf(leaf_hash(line))
        if selection.takes(one.stream):
            folded.event(one)
    inside = [line for one, line in zip(parsed, lines, strict=True) if selection.takes(one.stream)]
    events = b"".join(line + b"\n" for line in inside)
    leaves = b"".join(leaf_hash(line).hex().encode() + b"\n" for line in lines)
    measures = Measure(), Measure()
    measures[0].add(events)
    measures[1].add(leaves)
    return folded.finish(*measures), events, leaves


def files_of(
    lines: Sequence[bytes],
    blobs: Mapping[bytes, bytes],
    scope: Scope = Scope(),
) -> dict[str, bytes]:
    """Every file of an export, by its whole path."""
    bundle, events, leaves = fold(lines, scope)

    def content(member: Member) -> bytes:
        match member.source:
            case Source.BLOB:
                return blobs[member.sha256]
            case Source.EVENTS:
                return events
            case Source.LEAVES:
                return leaves
            case Source.KEPT:
                assert member.content is not None
                return member.content

    return {f"{bundle.folder}/{one.path}": content(one) for one in bundle.members}


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """The one encoding of a set of files."""
    bodies: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for path in sorted(files):
        content = files[path]
        crc32 = zlib.crc32(content)
        directory.append(central_record(path, len(content), crc32, offset))
        bodies += (local_header(path, len(content), crc32), content)
        offset += len(bodies[-2]) + len(content)
    central = b"".join(directory)
    return b"".join((*bodies, central, end_records(len(files), len(central), offset)))


def mended(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files with both lists, and the payload's size, made to agree: what a forger does."""
    folder = next(iter(files)).partition("/")[0]
    fixed = dict(files)
    payload = sorted(path for path in files if path.startswith(f"{folder}/data/"))

    def listed(paths: Sequence[str]) -> bytes:
        return "".join(
            f"{hashlib.sha256(fixed[path]).hexdigest()}  {path.removeprefix(folder + '/')}\n"
            for path in paths
        ).encode()

    info = fixed[f"{folder}/bag-info.txt"].splitlines()
    info[3] = f"Payload-Oxum: {sum(len(fixed[path]) for path in payload)}.{len(payload)}".encode()
    fixed[f"{folder}/bag-info.txt"] = b"\n".join(info) + b"\n"
    fixed[f"{folder}/manifest-sha256.txt"] = listed(payload)
    tags = [f"{folder}/{name}" for name in ("bag-info.txt", "bagit.txt", "manifest-sha256.txt")]
    fixed[f"{folder}/tagmanifest-sha256.txt"] = listed(tags)
    return fixed


def published_zip() -> bytes:
    """The example published with the format: three events, one content, no README and no run."""
    bundle, events, _ = fold(PUBLISHED_LINES)
    contents = {
        "data/artifacts/PRD/main.v1.md": PRD,
        "data/events.jsonl": events,
        "data/tree.json": lists.encode_tree(ORIGIN, bundle.root, 3),
    }
    contents["data/manifest.json"] = lists.encode_manifest(
        Manifest(
            tuple(
                ManifestFile(path=path, size_bytes=len(content), digest=digest_of(content))
                for path, content in contents.items()
            )
        )
    )
    contents["bagit.txt"] = lists.BAG_DECLARATION
    contents["bag-info.txt"] = lists.bag_info(
        format_version=1, scope="project", origin=ORIGIN, size=3, oxum=""
    )
    return zip_of(mended({f"alpha-3/{path}": body for path, body in contents.items()}))


def hostile_log() -> MemoryLog:
    """An artifact for each hostile key."""
    log = MemoryLog()
    for key in HOSTILE_KEYS:
        log.add(f"artifact/NOTE/{key}", ArtifactWritten(**log.content(key.encode())))
    return log


def sample_log() -> MemoryLog:
    """A small project with a bit of everything."""
    log = MemoryLog()
    log.add("project", ProjectCreated(title="Alpha", description="A sample – with a dash."))
    log.add("artifact/PRD/main", ArtifactWritten(**log.content(b"# Alpha\n\nFirst.\n")))
    cited = (Citation(index=1, url="https://example.com/spec", title="Spec"),)
    log.add(
        "artifact/PRD/main",
        ArtifactWritten(
            **log.content(b"# Alpha\n\nSecond [1](citation:1).\n"), title="Alpha", citations=cited
        ),
    )
    log.add("artifact/ADR/Readme", ArtifactWritten(**log.content(b"# One\n")))
    log.add("artifact/ADR/README", ArtifactWritten(**log.content(b"# Another\n")))
    log.add(
        "artifact/NOTE/caf\u00e9 \u65e5\u672c",
        ArtifactWritten(**log.content(b"\x00\x01", "application/x-unknown")),
    )
    log.add("artifact/NOTE/empty", ArtifactWritten(**log.content(b"", "text/plain")))
    named = ArtifactVersionName(
        kind="PRD", key="main", version=1, digest=digest_of(b"# Alpha\n\nFirst.\n")
    )
    log.add("run/r1", RunCreated(title="First run", artifacts=(named,)), actor="agent:x")
    log.add("run/r1", RunStarted(), actor="agent:x")
    plan = Content(**log.content(b'{"steps":[]}', "application/json"))
    log.add("run/r1", PlanRecorded(content=plan), actor="agent:x")
    patch = Content(**log.content(b'{"files":[]}', "application/json"))
    log.add("run/r1", PatchSetRecorded(commits=("c0ffee",), content=patch), actor="agent:x")
    log.add("run/r1", VerificationRecorded(result="PASSED", name="tests"), actor="build:ci")
    output = Content(**log.content(b"ok\n", "text/plain"))
    log.add(
        "run/r1",
        TranscriptRecorded(command=("make",), exit_code=0, duration_ms=12, content=output),
        actor="build:ci",
    )
    log.add("run/r1", ApprovalRecorded(decision="approved", reason="fine"), actor="user:bob")
    log.add("run/r1", RunFinished(outcome="succeeded"), actor="agent:x")
    log.add("run/other", RunCreated(title="Second run"), actor="agent:y")
    return log
