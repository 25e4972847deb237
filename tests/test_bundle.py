"""What is in an export: the files, their names, their order and their bytes."""

import hashlib
import io
import zipfile
from pathlib import Path

import msgspec
import pytest

from domain.digest import digest_of
from domain.errors import Damaged, Invalid
from domain.events import (
    ArtifactErased,
    ArtifactVersionName,
    ArtifactWritten,
    Content,
    DeploymentRecorded,
    PlanRecorded,
    RunCreated,
    SideEffectFinished,
)
from projections.bundle import Scope, Source, read_scope, subject_of
from projections.manifest import Manifest
from tests.export_samples import (
    PRD,
    MemoryLog,
    files_of,
    fold,
    mended,
    published_zip,
    sample_log,
    zip_of,
)

GOLDEN = Path(__file__).parent / "golden"


def _manifest(files: dict[str, bytes]) -> Manifest:
    raw = next(content for path, content in files.items() if path.endswith("/data/manifest.json"))
    return msgspec.json.decode(raw, type=Manifest)


def test_the_published_example_comes_out_with_its_published_digests() -> None:
    archive = published_zip()
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.read("alpha-3/bag-info.txt").endswith(b"\nPayload-Oxum: 1257.4\n")
        assert hashlib.sha256(opened.read("alpha-3/data/manifest.json")).hexdigest() == (
            "83951bfe5b9045bb10eacca8f71d46d65d4124c5635ec29631e122042fa5179f"
        )
    assert len(archive) == 3044
    assert hashlib.sha256(archive).hexdigest() == (
        "6fea513e5226954d9d062cab306c9a4cf2e9aeec15b4c61ac68fb0256d9098f3"
    )


def test_a_small_projects_export_is_the_one_kept_as_a_golden_file() -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs)
    made = {
        path: {"size_bytes": len(files[path]), "digest": digest_of(files[path])} for path in files
    }
    archive = zip_of(files)
    made["(zip)"] = {"size_bytes": len(archive), "digest": digest_of(archive)}
    text = msgspec.json.format(msgspec.json.encode(made, order="sorted")).decode() + "\n"
    assert text == (GOLDEN / "sample-16.json").read_text(encoding="utf-8")


def test_members_are_in_order_of_bytes_and_the_bag_lists_name_them_all() -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs)
    assert [path.encode() for path in files] == sorted(path.encode() for path in files)
    assert mended(files) == files


def test_the_latest_version_of_each_artifact_is_there_under_an_escaped_name() -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs)
    artifacts = {path: body for path, body in files.items() if "/data/artifacts/" in path}
    assert {path.partition("/data/artifacts/")[2]: body for path, body in artifacts.items()} == {
        "ADR/README+3f.v1.md": b"# Another\n",
        "ADR/Readme+1.v1.md": b"# One\n",
        "NOTE/caf=c3=a9=20=e6=97=a5=e6=9c=ac.v1.bin": b"\x00\x01",
        "NOTE/empty.v1.txt": b"",
        "PRD/main.v2.md": b"# Alpha\n\nSecond [1](citation:1).\n",
    }


def test_citations_stand_beside_the_artifact_that_has_some() -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs)
    cited = {path: body for path, body in files.items() if "/data/citations/" in path}
    assert list(cited) == ["alpha-16/data/citations/PRD/main.v2.json"]
    value = msgspec.json.decode(cited["alpha-16/data/citations/PRD/main.v2.json"])
    assert value["kind"] == "PRD"
    assert value["key"] == "main"
    assert value["version"] == 2
    assert [one["url"] for one in value["citations"]] == ["https://example.com/spec"]


def test_a_run_has_a_summary_with_its_phase_and_the_contents_of_its_records() -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs)
    inside = {
        path.partition("/data/runs/")[2]: body for path, body in files.items() if "/runs/" in path
    }
    assert list(inside) == [
        "other/bundle.json",
        "r1/bundle.json",
        "r1/patchset.v4.json",
        "r1/plan.v3.json",
        "r1/transcript.v6.txt",
    ]
    assert inside["r1/transcript.v6.txt"] == b"ok\n"
    summary = msgspec.json.decode(inside["r1/bundle.json"])
    assert summary["phase"] == "succeeded"
    assert summary["title"] == "First run"
    assert [one["type"] for one in summary["records"]] == [
        "RunCreated",
        "RunStarted",
        "PlanRecorded",
        "PatchSetRecorded",
        "VerificationRecorded",
        "TranscriptRecorded",
        "ApprovalRecorded",
        "RunFinished",
    ]
    assert summary["records"][2]["content"]["path"] == "data/runs/r1/plan.v3.json"
    assert summary["records"][4]["outcome"] == "PASSED"


def test_the_manifest_says_what_every_other_file_is() -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs)
    listed = _manifest(files).files
    payload = [path.partition("/")[2] for path in files if "/data/" in path]
    assert [one.path for one in listed] == [
        path for path in payload if path != "data/manifest.json"
    ]
    by_path = {one.path: one for one in listed}
    prd = by_path["data/artifacts/PRD/main.v2.md"]
    assert (prd.what, prd.kind, prd.key, prd.version, prd.position, prd.media_type) == (
        "artifact",
        "PRD",
        "main",
        2,
        3,
        "text/markdown",
    )
    assert {one.what for one in listed} == {
        "artifact",
        "citations",
        "events",
        "readme",
        "record",
        "run",
        "tree",
    }


def test_an_erased_content_is_listed_with_its_position_and_has_no_file() -> None:
    log = MemoryLog()
    log.add("artifact/PRD/main", ArtifactWritten(**log.content(PRD)))
    log.add("artifact/PRD/copy", ArtifactWritten(**log.content(PRD)))
    erased = ArtifactErased(
        artifact="artifact/PRD/main", artifact_version=1, digest=digest_of(PRD), reason="asked"
    )
    assert log.add("erasures", erased) == 3
    before = files_of(log.lines[:2], log.blobs)
    after = files_of(log.lines, {})
    assert "alpha-2/data/artifacts/PRD/main.v1.md" in before
    assert not [path for path in after if "/artifacts/" in path]
    assert [
        (one.kind, one.key, one.version, one.position, one.erased_at, one.digest, one.size_bytes)
        for one in _manifest(after).erased
    ] == [
        ("PRD", "main", 1, 1, 3, digest_of(PRD), 8),
        ("PRD", "copy", 1, 2, 3, digest_of(PRD), 8),
    ]


def test_a_runs_scope_has_its_streams_the_versions_it_names_and_everybodys_leaves() -> None:
    log = sample_log()
    files = files_of(log.lines, log.blobs, Scope("r1"))
    inside = {path.partition("/")[2]: body for path, body in files.items()}
    assert next(iter(files)).startswith("alpha-r1-16/")
    events = [msgspec.json.decode(line) for line in inside["data/events.jsonl"].splitlines()]
    assert {one["stream"] for one in events} == {"artifact/PRD/main", "run/r1"}
    assert [one["position"] for one in events] == [2, 3, 8, 9, 10, 11, 12, 13, 14, 15]
    assert [path for path in inside if path.startswith("data/artifacts/")] == [
        "data/artifacts/PRD/main.v1.md"
    ]
    assert len(inside["data/leaves.txt"].splitlines()) == 16
    whole = files_of(log.lines, log.blobs)
    assert inside["data/tree.json"] == whole["alpha-16/data/tree.json"]
    assert b"Deedbook-Scope: run:r1\n" in inside["bag-info.txt"]


def test_a_run_may_name_artifacts_that_never_were() -> None:
    log = MemoryLog()
    names = tuple(
        ArtifactVersionName(kind=kind, key=key, version=7, digest=digest_of(b""))
        for kind, key in (("PRD", "main"), ("not a kind", "../x"))
    )
    log.add("run/r1", RunCreated(title="t", artifacts=names))
    bundle, _, _ = fold(log.lines, Scope("r1"))
    assert [one for one in bundle.members if one.source is Source.BLOB] == []


def test_the_export_of_an_earlier_position_does_not_change_when_the_log_grows() -> None:
    log = sample_log()
    early = zip_of(files_of(log.lines[:9], log.blobs))
    log.add("artifact/PRD/main", ArtifactWritten(**log.content(b"# Third\n")))
    assert zip_of(files_of(log.lines[:9], log.blobs)) == early


def test_an_empty_log_gives_an_empty_but_whole_export() -> None:
    files = files_of([], {})
    assert files["alpha-0/data/events.jsonl"] == b""
    assert hashlib.sha256(b"").hexdigest().encode() in files["alpha-0/data/tree.json"]


@pytest.mark.parametrize("text", ["", "Project", "run:", "run:A", "run:a/b", "project:", "run:a:b"])
def test_a_scope_has_one_spelling(text: str) -> None:
    with pytest.raises(Invalid, match="scope"):
        read_scope(text)


def test_scopes_read_back() -> None:
    assert read_scope("project").name == "project"
    assert read_scope("run:r-1").name == "run:r-1"


def test_the_page_inside_says_nothing_of_the_machine_and_only_depends_on_the_scope() -> None:
    log = sample_log()
    one = files_of(log.lines, log.blobs)["alpha-16/data/README.md"]
    other = files_of(log.lines[:3], log.blobs)["alpha-3/data/README.md"]
    assert one == other
    assert b"sha256sum -c manifest-sha256.txt" in one
    assert b"(printf '\\0'; head -1 data/events.jsonl | tr -d '\\n') | sha256sum" in one


def test_events_in_a_stream_that_is_not_theirs_are_refused_with_their_position() -> None:
    log = MemoryLog()
    plan = Content(**log.content(b"{}", "application/json"))
    log.add("project", PlanRecorded(content=plan))
    with pytest.raises(Damaged, match="Position 1: a PlanRecorded stands in a run's stream"):
        fold(log.lines)
    log = MemoryLog()
    log.add("run/r1", ArtifactWritten(**log.content(PRD)))
    with pytest.raises(Damaged, match="Position 1: an artifact is written in its own stream"):
        fold(log.lines)


def test_a_runs_summary_says_where_it_was_deployed_and_what_became_of_a_side_effect() -> None:
    log = MemoryLog()
    log.add("run/r1", RunCreated(title="t"))
    log.add("run/r1", SideEffectFinished(effect="dns", outcome="succeeded"))
    log.add(
        "run/r1",
        DeploymentRecorded(provider="p", environment="live", commit="c0ffee", outcome="failed"),
    )
    raw = files_of(log.lines, log.blobs)["alpha-3/data/runs/r1/bundle.json"]
    records = msgspec.json.decode(raw)["records"]
    assert [(one.get("name"), one.get("outcome")) for one in records] == [
        (None, None),
        ("dns", "succeeded"),
        ("live", "failed"),
    ]


def test_a_path_is_said_by_its_subject_for_people() -> None:
    assert subject_of("data/artifacts/ADR/README+3f.v2.md") == "artifact/ADR/README version 2"
    assert subject_of("data/runs/r1/plan.v3.json") == "run/r1, plan.v3.json"
    assert subject_of("data/README.md") == "data/README.md"
