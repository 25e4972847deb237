"""Recording a verification: read everything first, then send; by the command, into a ledger that runs."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click
import httpx2
import msgspec
import pytest
from click.testing import CliRunner

from adapters.git_here import look_around
from adapters.report import READERS
from app.cli import record_verification
from app.cli.choices import Choices
from app.cli.record_verification import verification_command
from app.remote.record_verification import (
    MAX_FILES,
    Prepared,
    ReportFile,
    Stated,
    prepare,
    read_file,
)
from domain.errors import DeedbookError, Invalid, TooLarge
from domain.verification import Category, read_verification
from tests.git_samples import Repository
from tests.report_samples import FOLDER, ROOTS, sample
from tests.serving import Served

PASSING = b'<testsuite name="pytest"><testcase name="x" time="0.5"/></testsuite>'


def given(*samples: str) -> list[ReportFile]:
    return [ReportFile(name, sample(name)) for name in samples]


def prepared(*samples: str, stated: Stated | None = None) -> Prepared:
    return prepare(given(*samples), stated or Stated(), roots=ROOTS)


def refused(files: list[ReportFile], stated: Stated | None = None) -> DeedbookError:
    with pytest.raises(DeedbookError) as caught:
        prepare(files, stated or Stated(), roots=ROOTS)
    return caught.value


def test_several_files_are_several_checks_of_one_report() -> None:
    found = prepared("pytest-xunit2.xml", "ruff.json", "mypy.jsonl", "codeql-valid-sarif.sarif")
    report = read_verification(found.document)
    assert [(check.name, check.category) for check in report.checks] == [
        ("pytest tests", "test"),
        ("ruff", "lint"),
        ("mypy", "typecheck"),
        ("LGTM.com", "security"),
        ("CodeQL command-line toolchain", "security"),
    ]
    assert found.data.result == report.result == "FAILED"
    assert found.data.name is None
    assert [one.media_type for one in found.data.sources] == [
        "application/xml",
        "application/json",
        "application/x-ndjson",
        "application/sarif+json",
    ]
    assert [check.name for check in found.data.checks] == [check.name for check in report.checks]
    assert found.data.content is not None
    assert found.data.content.size_bytes == len(found.document)


def test_the_same_files_give_the_same_bytes() -> None:
    names = ("googletest.xml", "eslint.json")
    assert prepared(*names).document == prepared(*names).document


def test_checks_of_one_name_are_told_apart_by_their_files() -> None:
    files = [ReportFile(f"out/{name}.xml", PASSING) for name in "ab"]
    found = prepare(files, Stated())
    assert [check.name for check in found.data.checks] == ["pytest (a.xml)", "pytest (b.xml)"]
    assert len(found.data.sources) == 1  # equal bytes are one content
    files = [ReportFile("out/a.xml", PASSING)] * 2
    names = [check.name for check in prepare(files, Stated()).data.checks]
    assert names == ["pytest (a.xml) #1", "pytest (a.xml) #2"]


def test_what_is_stated_wins_over_what_the_file_says() -> None:
    stated = Stated(
        name="unit",
        category="build",
        command=("pytest", "-q", "a b"),
        exit_code=3,
        duration_ms=7,
        commit="c" * 40,
    )
    report = prepare([ReportFile("x", PASSING)], stated).report
    [check] = report.checks
    assert (check.name, check.category, check.command) == ("unit", "build", ("pytest", "-q", "a b"))
    assert (check.exit_code, check.duration_ms, check.result) == (3, 7, "FAILED")
    assert report.commit == "c" * 40


def test_a_zero_exit_code_does_not_hide_a_failure() -> None:
    assert prepared("surefire-circle.xml", stated=Stated(exit_code=0)).data.result == "FAILED"


def test_files_of_one_runner_are_merged_without_loss() -> None:
    names = ["surefire-circle.xml", "surefire-flaky.xml", "surefire-circle.xml"]
    found = prepared(*names, stated=Stated(merge=True, name="surefire", exit_code=1))
    [check] = found.report.checks
    assert check.name == "surefire"
    assert check.counts.total == 8 + 2 + 8
    assert check.counts.flaky == 1
    assert check.claimed is not None
    assert check.claimed.total == 8 + 1 + 8
    assert [one.level for one in check.findings] == ["error"] * 4 + ["warning"]
    assert check.duration_ms == 201 + 1_324 + 201
    assert read_verification(found.document) == found.report
    assert refused(given("ruff.json", "mypy.jsonl"), Stated(merge=True)).code == "validation-failed"


@pytest.mark.parametrize(
    ("files", "stated", "code"),
    [
        ([], Stated(), "validation-failed"),
        ([], Stated(exit_code=0), "validation-failed"),
        (given("ruff.json", "mypy.jsonl"), Stated(exit_code=0), "validation-failed"),
        (given("ruff.json"), Stated(commit="HEAD"), "validation-failed"),
        (given("ruff.json"), Stated(command=("x" * 40_000,)), "event-too-large"),
        ([ReportFile("x", PASSING)] * (MAX_FILES + 1), Stated(), "event-too-large"),
        ([ReportFile("x", PASSING)] * 51, Stated(), "too-many-checks"),
        ([ReportFile("x", bytes(70_000_000))] * 2, Stated(), "report-too-large"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(
    files: list[ReportFile], stated: Stated, code: str
) -> None:
    assert refused(files, stated).code == code


def test_a_merge_of_as_many_files_as_there_may_be_fits_in_an_event() -> None:
    files = [ReportFile("x", PASSING + b" " * index) for index in range(MAX_FILES)]
    found = prepare(files, Stated(merge=True))
    assert len(found.data.sources) == MAX_FILES
    assert found.data.checks[0].counts.passed == MAX_FILES


def test_a_problem_names_the_file() -> None:
    error = refused([*given("ruff.json"), ReportFile("out/broken.xml", b"<testsuite>")])
    assert isinstance(error, Invalid)
    assert error.detail.startswith("out/broken.xml: This is no JUnit report")


def test_no_more_is_read_of_a_file_than_the_limit() -> None:
    class Endless:
        read_bytes = 0

        def read(self, size: int, /) -> bytes:
            piece = min(size, 1_000_000)
            self.read_bytes += piece
            return bytes(piece)

    endless = Endless()
    with pytest.raises(TooLarge):
        read_file("endless", endless)
    assert endless.read_bytes < 40_000_000


def test_the_choices_are_those_of_the_layers_below() -> None:
    assert tuple(READERS) == record_verification.FORMATS
    assert msgspec.inspect.type_info(Category) == msgspec.inspect.LiteralType(
        tuple(sorted(record_verification.CATEGORIES))
    )


def test_git_says_where_the_command_stands(tmp_path: Path) -> None:
    assert look_around(tmp_path) == (None, None)
    repository = Repository(tmp_path / "repository")
    (tmp_path / "repository" / "deep").mkdir()
    assert look_around(tmp_path / "repository" / "deep").root == str(tmp_path / "repository")
    sha = repository.commit(a="x")
    assert look_around(tmp_path / "repository" / "deep").head == sha


Typed = Callable[..., str]


@pytest.fixture
def run_id(command_line: None, http: httpx2.Client, project: str) -> str:
    """A run that has begun."""
    events = [
        {"stream": "run/r1", "type": "RunCreated", "data": {"title": "A run"}},
        {"stream": "run/r1", "type": "RunStarted", "data": {}},
    ]
    made = http.post(f"/v1/projects/{project}/events", json={"events": events})
    assert made.status_code == 201, made.text
    return "r1"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Runs the command by itself; answers what it printed."""

    def type_it(*words: str, given: bytes = b"") -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        verification_command.main(list(words), standalone_mode=False, obj=Choices())
        written = capfd.readouterr()
        return written.out + written.err

    return type_it


def size(http: httpx2.Client, project: str) -> int:
    return int(http.head(f"/v1/projects/{project}/events").headers["Deedbook-Position"])


def test_the_command_records_the_report_and_the_files(
    typed: Typed, run_id: str, http: httpx2.Client, project: str, served: Served
) -> None:
    said = typed(
        *("--run", run_id, "--commit", "c" * 40, "--root", ROOTS[0]),
        *(str(FOLDER / name) for name in ("pytest-xunit1.xml", "ruff-run.sarif")),
    )
    assert "15 total, 5 passed, 4 failed" in said
    assert "FAILED: recorded at position 4" in said
    lines = http.get(
        f"/v1/projects/{project}/events", headers={"Accept": "application/x-ndjson"}
    ).text.splitlines()
    data = json.loads(lines[3])["data"]
    assert data["result"] == "FAILED"
    assert data["commit"] == "c" * 40
    assert data["checks"][0]["counts"]["total"] == 15
    blobs = f"/v1/projects/{project}/blobs"
    report = read_verification(http.get(f"{blobs}/{data['content']['digest']}").content)
    assert [check.counts.total for check in report.checks] == [15, None]
    originals = [http.get(f"{blobs}/{one['digest']}").content for one in data["sources"]]
    assert originals == [sample("pytest-xunit1.xml"), sample("ruff-run.sarif")]
    assert [report.checks[0].sources[0].digest] == [data["sources"][0]["digest"]]


def test_the_command_reads_standard_input(
    typed: Typed, run_id: str, http: httpx2.Client, project: str
) -> None:
    said = typed("--run", run_id, "--name", "clean", "--format", "ruff", "-", given=b"[]")
    assert "PASSED: recorded at position 4" in said
    assert size(http, project) == 4


def test_a_check_without_a_file_is_its_exit_code(
    typed: Typed, run_id: str, http: httpx2.Client, project: str
) -> None:
    words = ("--command", "make 'all of it'", "--exit-code", "2", "--duration", "1.5")
    said = typed("--run", run_id, "--category", "build", *words)
    assert "FAILED: recorded at position 4" in said
    assert "make all of it" in said


def test_a_dry_run_shows_and_records_nothing(
    typed: Typed, run_id: str, http: httpx2.Client, project: str
) -> None:
    said = typed("--dry-run", str(FOLDER / "jest.xml"))
    counts = "11 total, 5 passed, 4 failed, 1 errors, 1 skipped"
    assert f"  {counts}\n" in said
    assert f"the file states 8 total, 3 failed, 1 errors; it contains {counts}." in said
    assert "nothing was" in said
    assert size(http, project) == 3


def test_absolute_paths_are_those_below_the_repository_here_or_the_folders_named(
    typed: Typed, command_line: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    Repository(repository)
    (repository / "deep").mkdir()
    monkeypatch.chdir(repository / "deep")
    line = b'{"file":"%s","line":1,"column":0,"message":"m","severity":"error"}'
    assert "FAILED" in typed("--dry-run", "-", given=line % bytes(repository / "a.py"))
    words = ("--dry-run", "--root", "../../elsewhere", "--root", "C:\\build", "-")
    assert "FAILED" in typed(*words, given=line % bytes(tmp_path / "elsewhere" / "a.py"))
    assert "FAILED" in typed(*words, given=line % b"C:/build/a.py")
    with pytest.raises(Invalid):
        typed("--dry-run", "-", given=line % bytes(tmp_path / "elsewhere" / "a.py"))


def test_a_bad_file_among_good_ones_leaves_nothing_recorded(
    typed: Typed, run_id: str, http: httpx2.Client, project: str, tmp_path: Path, served: Served
) -> None:
    bad = tmp_path / "bad.sarif"
    bad.write_bytes(sample("codeql-valid-sarif.sarif").replace(b'"main.js"', b'"../../x"'))
    good = PASSING + b"<!-- only here -->"
    (tmp_path / "good.xml").write_bytes(good)
    with pytest.raises(Invalid) as caught:
        typed("--run", run_id, str(tmp_path / "good.xml"), str(bad))
    assert caught.value.code == "path-outside-repository"
    assert str(bad) in caught.value.detail
    assert size(http, project) == 3
    [found] = prepare([ReportFile("good.xml", good)], Stated()).data.sources
    assert http.get(f"/v1/projects/{project}/blobs/{found.digest}").status_code == 404


@pytest.mark.parametrize(
    "words",
    [
        ("x.xml",),
        ("--run", "r1", "not-there.xml"),
        ("--dry-run", "--duration", "soon", "--exit-code", "0", "--name", "x"),
        ("--dry-run", "--command", "'", "--exit-code", "0"),
        ("--dry-run", "--format", "trx", "x"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], typed: Typed, run_id: str) -> None:
    with pytest.raises(click.UsageError):
        typed(*words)


def test_the_command_explains_itself() -> None:
    said = CliRunner().invoke(verification_command, ["--help"])
    assert said.exit_code == 0
    assert "Record a verification from the reports in FILE" in said.output


def test_a_secret_in_a_report_is_replaced_before_it_is_read_or_kept() -> None:
    token = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    raw = (
        f'<testsuite name="pytest"><testcase name="x"><failure message="{token}">{token}'
        "</failure></testcase></testsuite>"
    ).encode()
    found = prepare([ReportFile("junit.xml", raw)], Stated(), roots=ROOTS)
    assert found.replaced == 2
    assert token.encode() not in found.document
    assert token.encode() not in found.files[0].raw
    assert found.data.checks[0].counts.failed == 1
