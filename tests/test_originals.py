"""Originals: the file whose text an artifact is, kept beside it, and in exports that ask for it."""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import msgspec
import psycopg
import pytest

from adapters.doctor import examine_rows
from app.bundle_import import import_bundle
from app.cli.root import run
from app.offline.verify import verify_file
from domain.digest import digest_of, parse_digest
from domain.errors import Conflict, Gone, Invalid, NotFound, Unavailable
from domain.events import ArtifactVersionName, ArtifactWritten, Content, RunCreated
from projections.bundle import Scope, read_scope, subject_of
from projections.bundle_paths import check_path
from tests.export_samples import MemoryLog, files_of, sample_log, zip_of
from tests.ledger_samples import another_database, erase, open_ledger, write_export
from tests.test_outside_contents import LARGE, Opened
from tests.test_verify import check, details, failed_steps
from tests.vercel_double import VercelDouble

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PDF = b"%PDF-1.7 not really\n"
TEXT = b"# The text of it\n"
GOLDEN = Path(__file__).parent / "golden" / "originals-6.json"


def log_with_originals() -> MemoryLog:
    """Two documents with originals, of which one has two versions; one without; a run."""
    log = MemoryLog()

    def write(key: str, text: bytes, original: bytes | None, media_type: str = "") -> None:
        held = None if original is None else Content(**log.content(original, media_type))
        log.add(f"artifact/PRD/{key}", ArtifactWritten(**log.content(text), original=held))

    write("main", b"# One\n", b"PDF one", "application/pdf")
    write("main", b"# Two\n", b"PDF two", "application/pdf")
    write("Plan", b"# Plan\n", b"DOCX", DOCX)
    write("odd", b"# Odd\n", b"what", "application/x-unheard-of")
    write("none", b"# None\n", None)
    named = ArtifactVersionName(kind="PRD", key="main", version=1, digest=digest_of(b"# One\n"))
    log.add("run/r1", RunCreated(title="A run", artifacts=(named,)))
    return log


def test_the_scopes_with_originals_have_names() -> None:
    for scope in (Scope(originals=True), Scope("r1", originals=True)):
        assert read_scope(scope.name) == scope
    assert Scope(originals=True).name == "project+originals"
    assert Scope("r1", originals=True).folder("alpha.x", 6) == "alpha-r1-6-originals"
    for bad in ("+originals", "project+originals+originals", "run:+originals", "project+Originals"):
        with pytest.raises(Invalid):
            read_scope(bad)


def test_an_export_with_originals_is_the_one_kept_as_a_golden_file() -> None:
    log = log_with_originals()
    files = files_of(log.lines, log.blobs, Scope(originals=True))
    whole = zip_of(files)
    listed = {"(zip)": {"digest": digest_of(whole), "size_bytes": len(whole)}}
    for path, body in sorted(files.items()):
        listed[path] = {"digest": digest_of(body), "size_bytes": len(body)}
        check_path(path)
    text = msgspec.json.format(msgspec.json.encode(listed), indent=2).decode() + "\n"
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_originals_lie_by_version_and_say_what_they_are() -> None:
    log = log_with_originals()
    files = files_of(log.lines, log.blobs, Scope(originals=True))
    inside = {path.partition("/")[2]: body for path, body in files.items()}
    originals = {path: body for path, body in inside.items() if "originals" in path}
    assert originals == {
        "data/originals/PRD/Plan+1.v1.docx": b"DOCX",
        "data/originals/PRD/main.v2.pdf": b"PDF two",
        "data/originals/PRD/odd.v1.bin": b"what",
    }
    listed = json.loads(inside["data/manifest.json"])["files"]
    (main,) = [one for one in listed if one["path"] == "data/originals/PRD/main.v2.pdf"]
    assert main == {
        "what": "original",
        "kind": "PRD",
        "key": "main",
        "version": 2,
        "position": 2,
        "media_type": "application/pdf",
        "path": "data/originals/PRD/main.v2.pdf",
        "size_bytes": 7,
        "digest": digest_of(b"PDF two"),
    }
    assert subject_of(main["path"]) == "the original of artifact/PRD/main version 2"
    assert b"data/originals/" in inside["data/README.md"]


def test_of_a_run_the_originals_of_the_versions_that_it_names_come_along() -> None:
    log = log_with_originals()
    files = files_of(log.lines, log.blobs, Scope("r1", originals=True))
    assert [path for path in files if "/originals/" in path] == [
        "alpha-r1-6-originals/data/originals/PRD/main.v1.pdf"
    ]
    assert check(files).sound


def test_the_plain_scopes_have_none() -> None:
    log = log_with_originals()
    for scope in (Scope(), Scope("r1")):
        files = files_of(log.lines, log.blobs, scope)
        assert not [path for path in files if "/originals" in path]
        assert b"originals" not in b"".join(
            body for path, body in files.items() if not path.endswith("events.jsonl")
        )


def test_a_project_without_originals_can_be_exported_with_them() -> None:
    log = sample_log()
    plain = files_of(log.lines, log.blobs)
    files = files_of(log.lines, log.blobs, Scope(originals=True))
    assert {path.partition("/")[2] for path in files} == {path.partition("/")[2] for path in plain}


def test_verify_compares_originals_with_their_events() -> None:
    log = log_with_originals()
    good = files_of(log.lines, log.blobs, Scope(originals=True))
    assert check(good).sound
    path = next(one for one in good if one.endswith("main.v2.pdf"))
    changed = check({**good, path: b"PDF 2wo"})
    assert "blobs" in failed_steps(changed)
    assert "data/originals/PRD/main.v2.pdf" in details(changed)
    assert "blobs" in failed_steps(check({name: good[name] for name in good if name != path}))


@pytest.mark.parametrize(
    "path",
    [
        "alpha-6-originals/data/originals/PRD/main.v1.exe",
        "alpha-6-originals/data/originals/PRD/../x.v1.pdf",
        "alpha-6-originals/data/originals/main.v1.pdf",
        "alpha-6-original/data/originals/PRD/main.v1.pdf",
        "alpha-6/data/artifacts/PRD/main.v1.docx",
    ],
)
def test_no_other_path_is_one_of_an_original(path: str) -> None:
    with pytest.raises(Invalid):
        check_path(path)


def put(http: httpx2.Client, project: str, content: bytes) -> str:
    """Upload; answers the digest."""
    digest = digest_of(content)
    assert http.put(f"/v1/projects/{project}/blobs/{digest}", content=content).status_code == 201
    return digest


def write(http: httpx2.Client, project: str, original: dict[str, object] | None) -> httpx2.Response:
    body: dict[str, object] = {"content": TEXT.decode()}
    if original is not None:
        body["original"] = original
    return http.post(f"/v1/projects/{project}/artifacts/PRD/main/versions", json=body)


def named(content: bytes = PDF, **changed: object) -> dict[str, object]:
    return {
        "digest": digest_of(content),
        "size_bytes": len(content),
        "media_type": "application/pdf",
        **changed,
    }


def test_an_original_is_uploaded_named_and_read_back(http: httpx2.Client, project: str) -> None:
    put(http, project, PDF)
    assert write(http, project, named()).status_code == 201
    assert write(http, project, None).status_code == 201
    place = f"/v1/projects/{project}/artifacts/PRD/main/versions"
    got = http.get(f"{place}/1/original")
    assert got.content == PDF
    assert got.headers["content-type"] == "application/pdf"
    assert http.get(f"{place}/1/original", headers={"Range": "bytes=1-3"}).content == b"PDF"
    assert http.get(f"{place}/1/content").content == TEXT
    none = http.get(f"{place}/2/original")
    assert (none.status_code, none.json()["code"]) == (404, "original-not-found")
    whole = http.get(f"/v1/projects/{project}/exports/2.zip?originals=true")
    assert whole.headers["content-disposition"].endswith(f'"{project}-2-originals.zip"')
    assert PDF in whole.content
    assert PDF not in http.get(f"/v1/projects/{project}/exports/2.zip").content
    listed = http.get(f"/v1/projects/{project}/exports/2/manifest?originals=true").json()
    assert "original" in {one["what"] for one in listed["files"]}


@pytest.mark.parametrize(
    ("original", "code", "pointer"),
    [
        (named(b"never uploaded"), "blob-not-found", None),
        (named(size_bytes=3), "digest-mismatch", None),
        (named(media_type="PDF"), "validation-failed", "/original/media_type"),
        (named(digest="sha256:x"), "validation-failed", "/original/digest"),
        ({"digest": "x"}, "validation-failed", "/original"),
    ],
)
def test_an_original_that_is_not_right_is_one_problem_and_nothing_is_recorded(
    http: httpx2.Client, project: str, original: dict[str, object], code: str, pointer: str | None
) -> None:
    put(http, project, PDF)
    refused = write(http, project, original)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    if pointer is not None:
        assert refused.json()["errors"][0]["pointer"] == pointer
    assert http.get(f"/v1/projects/{project}").json()["position"] == 1


@pytest.fixture
def opened(database_url: str, double: VercelDouble) -> Iterator[Opened]:
    with ExitStack() as closing:
        yield Opened(database_url, double, closing)


def write_with_original(opened: Opened, original: bytes = PDF) -> int:
    receipt = opened.ledger.write_artifact(
        "alpha",
        "PRD",
        "main",
        TEXT,
        original=Content(
            digest=opened.ledger.stage_blob("alpha", original),
            size_bytes=len(original),
            media_type="application/pdf",
        ),
        actor="user:ada",
    )
    return receipt.entries[0].position


def test_an_original_lies_outside_however_small_and_the_text_does_not(opened: Opened) -> None:
    position = write_with_original(opened)
    assert [one.body for one in opened.double.objects.values()] == [PDF]
    assert opened.ledger.blobs.read("alpha", parse_digest(digest_of(PDF))) == PDF
    record = opened.ledger.exports.layout("alpha", position, "project+originals")
    whole = b"".join(opened.ledger.exports.stream(record))
    assert PDF in whole
    assert record.size_bytes == len(whole)
    assert opened.findings() == []


def test_a_large_original_is_sent_outside_once(opened: Opened) -> None:
    write_with_original(opened, LARGE)
    assert [one.body for one in opened.double.objects.values()] == [LARGE]
    write_with_original(opened, LARGE)
    assert len(opened.double.objects) == 1
    assert opened.rows("SELECT 1 FROM upload") == []


def test_without_a_store_an_original_lies_in_the_database(opened: Opened) -> None:
    opened.ledger = opened.open(token=None)
    position = write_with_original(opened)
    assert opened.double.objects == {}
    record = opened.ledger.exports.layout("alpha", position, "project+originals")
    assert PDF in b"".join(opened.ledger.exports.stream(record))


def test_an_original_that_cannot_be_sent_outside_records_nothing(opened: Opened) -> None:
    opened.double.failures = [(503, "service_unavailable", {})] * 3
    with pytest.raises(Unavailable) as raised:
        write_with_original(opened)
    assert raised.value.code == "blob-store-unavailable"
    assert opened.ledger.log.head("alpha").size == 1
    assert write_with_original(opened) == 2
    assert [one.body for one in opened.double.objects.values()] == [PDF]


def test_a_gone_original_fails_the_export_that_needs_it_and_no_other(opened: Opened) -> None:
    position = write_with_original(opened)
    exports = opened.ledger.exports
    before = b"".join(exports.stream(exports.layout("alpha", position, "project+originals")))
    opened.double.objects.clear()
    with pytest.raises(NotFound) as raised:
        exports.layout("alpha", position, "project+originals")
    assert raised.value.code == "content-missing"
    assert "the original of artifact/PRD/main version 1" in raised.value.detail
    assert f"PUT /v1/projects/alpha/blobs/{digest_of(PDF)}" in raised.value.detail
    assert b"".join(exports.stream(exports.layout("alpha", position)))
    opened.ledger.stage_blob("alpha", PDF)
    again = exports.layout("alpha", position, "project+originals")
    assert b"".join(exports.stream(again)) == before


def test_an_import_sends_out_what_belongs_outside(
    opened: Opened, postgres_server: str, template_database: str, tmp_path: Path
) -> None:
    write_with_original(opened)
    position = opened.write()
    file = tmp_path / "alpha.zip"
    sha256 = write_export(opened.ledger, file, position, "project+originals")
    with (
        ExitStack() as closing,
        VercelDouble().running() as double,
        another_database(postgres_server, template_database) as url,
    ):
        other = Opened(url, double, closing, projects=())
        double.failures = [(503, "service_unavailable", {})] * 3
        with pytest.raises(Unavailable):
            import_bundle(other.ledger, file, progress=lambda done, total: None)
        assert other.rows("SELECT 1 FROM project_log") == []
        import_bundle(other.ledger, file, progress=lambda done, total: None)
        assert sorted(len(one.body) for one in double.objects.values()) == [len(PDF), len(LARGE)]
        assert other.findings() == []
        assert other.rows("SELECT 1 FROM upload") == []
        again = write_export(other.ledger, tmp_path / "again.zip", position, "project+originals")
        assert again == sha256
        with pytest.raises(Conflict):
            import_bundle(other.ledger, file, progress=lambda done, total: None)
        assert len(double.objects) == 2


def test_an_erased_original_is_listed_and_has_no_file(opened: Opened) -> None:
    write_with_original(opened)
    erase(opened.ledger, opened.url, "alpha", "artifact/PRD/main", 1, PDF)
    position = opened.ledger.position("alpha", None)
    exports = opened.ledger.exports
    record = exports.layout("alpha", position, "project+originals")
    erased = json.loads(exports.manifest(record))["erased"]
    assert [(one["what"], one["digest"]) for one in erased] == [("original", digest_of(PDF))]
    assert PDF not in b"".join(exports.stream(record))
    assert opened.findings() == []
    with pytest.raises(Gone) as raised:
        exports.layout("alpha", 2, "project+originals")
    assert raised.value.members == {"first_position": position}
    assert b"".join(exports.stream(exports.layout("alpha", 2)))


def test_an_import_keeps_originals_when_the_export_has_them(
    opened: Opened, postgres_server: str, template_database: str, tmp_path: Path
) -> None:
    position = write_with_original(opened)
    digests = {}
    for scope in ("project", "project+originals"):
        digests[scope] = write_export(opened.ledger, tmp_path / f"{scope}.zip", position, scope)
        report = verify_file(tmp_path / f"{scope}.zip", progress=lambda done, total: None)
        assert report.sound
    for scope in digests:
        with (
            another_database(postgres_server, template_database) as url,
            open_ledger(url, host="elsewhere.example") as other,
        ):
            import_bundle(other, tmp_path / f"{scope}.zip", progress=lambda done, total: None)
            with psycopg.connect(url) as connection:
                assert not list(
                    examine_rows(connection, project=None, progress=lambda done, total=None: None)
                )
            assert write_export(other, tmp_path / "again.zip", position) == digests["project"]
            if scope == "project":
                with pytest.raises(NotFound) as raised:
                    other.exports.layout("alpha", position, "project+originals")
                assert raised.value.code == "content-missing"
                other.stage_blob("alpha", PDF)
            again = write_export(other, tmp_path / "again.zip", position, "project+originals")
            assert again == digests["project+originals"]


@pytest.mark.usefixtures("command_line")
def test_the_command_line_puts_gets_and_exports_originals(
    project: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(*words: str, expected: int = 0) -> str:
        assert run(words) == expected
        return capsys.readouterr().out

    monkeypatch.setattr(sys, "stdin", None)
    Path("plan.md").write_bytes(TEXT)
    Path("plan.pdf").write_bytes(PDF)
    naming = ("--kind", "PRD", "--key", "plan")
    typed("artifact", "put", "plan.md", *naming, "--original", "plan.pdf")
    typed("artifact", "get", "PRD", "plan", "--original", "-o", "back.pdf")
    assert Path("back.pdf").read_bytes() == PDF
    typed("artifact", "get", "PRD", "plan", "-o", "back.md")
    assert Path("back.md").read_bytes() == TEXT
    typed("export", "--originals")
    file = Path(f"{project}-2-originals.zip")
    assert PDF in file.read_bytes()
    assert verify_file(file, progress=lambda done, total: None).sound
    typed("artifact", "put", "-", *naming, "--original", "-", expected=2)
    typed("artifact", "put", "plan.md", *naming)
    typed("artifact", "get", "PRD", "plan", "--original", "-o", "none.pdf", expected=5)
    assert hashlib.sha256(file.read_bytes()).hexdigest() in typed(
        "--json", "export", "--at", "2", "--originals"
    )
