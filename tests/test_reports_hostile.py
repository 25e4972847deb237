"""Reports that are hostile, broken or not what they say: one clear problem each, and never a crash."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import report_check, report_xml
from adapters.report import READERS, read_report
from domain.errors import DeedbookError, Invalid, TooLarge
from domain.verification import (
    Counts,
    read_verification,
    verification_document,
    verification_report,
)
from tests.report_samples import FOLDER, ROOTS, only, sample

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha">%s]>
<testsuites><testsuite name="&z;"><testcase name="x"/></testsuite></testsuites>""" % b"".join(
    b'<!ENTITY %c "%s">' % (98 + index, b"&%c;" % (97 + index) * 10) for index in range(25)
)
EXTERNAL = b"""<?xml version="1.0"?>
<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<testsuite name="s"><testcase name="x"><failure>&x;</failure></testcase></testsuite>"""
CASE = b'<testcase name="x"/>'


def suite(inner: bytes = CASE, attributes: bytes = b"") -> bytes:
    return b"<testsuite name='s' " + attributes + b">" + inner + b"</testsuite>"


def refused(raw: bytes, format_name: str | None = None) -> DeedbookError:
    with pytest.raises(DeedbookError) as caught:
        read_report(raw, format_name, ROOTS)
    error = caught.value
    assert len(error.detail) < 1_000
    assert error.detail.isprintable()
    return error


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (LAUGHS, "document type or entities"),
        (EXTERNAL, "document type or entities"),
        (b"<!DOCTYPE testsuite SYSTEM 'http://127.0.0.1/x.dtd'>" + suite(), "document type"),
        (b"<!DOCTYPE testsuite [<!ENTITY % p SYSTEM 'file:///x'> %p;]>" + suite(), "document type"),
        (suite()[:-3], "breaks off"),
        (suite() + suite(), "junk after document element"),
        (b"<testsuite><testcase></testsuite>", "mismatched tag"),
        (b"<testsuite>&nbsp;</testsuite>", "undefined entity"),
        (b"<testsuite>\x00</testsuite>", "invalid token"),
        (b'<?xml version="1.0" encoding="UTF-8"?><testsuite name="\xe9"/>', "invalid token"),
        (b'<?xml version="1.0" encoding="shift_jis"?><testsuite/>', "write it in UTF-8"),
        (b'<?xml version="1.0" encoding="no-such"?><testsuite/>', "write it in UTF-8"),
        (b"<html><body>502 Bad Gateway</body></html>", "its root is 'html'"),
        (b"<" * 10_000, "not well-formed"),
        (b"<testsuite>" * 65 + b"</testsuite>" * 65, "nested over 64 deep"),
        (b"<a>" * 2_000_000, "nested over 64 deep"),
        (b"<testsuite " + b"".join(b'a%d="1" ' % n for n in range(65)) + b"/>", "64 attributes"),
    ],
    ids=range(17),
)
@pytest.mark.timeout(60)  # what is not refused early would take far longer
def test_hostile_or_broken_xml_is_refused_at_once(raw: bytes, said: str) -> None:
    error = refused(raw)
    assert isinstance(error, Invalid)
    assert error.code == "report-malformed"
    assert "JUnit" in error.detail
    assert said in error.detail


@pytest.mark.parametrize("name", list(READERS))
def test_a_report_of_100_megabytes_is_refused_unread(name: str) -> None:
    error = refused(bytes(100_000_000), name)
    assert isinstance(error, TooLarge)
    assert error.code == "report-too-large"


def test_more_elements_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_xml, "MAX_ELEMENTS", 100)
    assert only(suite(CASE * 99)).counts.total == 99
    assert "more than 100 elements" in refused(suite(CASE * 100)).detail


def test_more_findings_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_check, "MAX_ITEMS", 10)
    line = b'{"file":"a.py","line":1,"column":0,"message":"m","severity":"error"}\n'
    assert only(line * 10).counts.errors == 10
    assert "more than 10 findings" in refused(line * 11).detail


def test_suites_within_suites_and_a_suites_own_error_are_counted() -> None:
    inner = suite(b"<error message='setup'/>" + CASE) + CASE
    check = only(b"<testsuites>" + suite(suite(inner) + CASE) + suite() + b"</testsuites>")
    assert check.counts == Counts(total=5, passed=4, failed=0, errors=1, skipped=0)
    assert check.findings[0].message == "setup"


@pytest.mark.parametrize(
    ("inner", "counts"),
    [
        (b"", Counts(total=1, passed=1, failed=0, errors=0, skipped=0)),
        (b"<failure/><rerunFailure/>", Counts(total=1, passed=0, failed=1, errors=0, skipped=0)),
        (b"<error/><failure/>", Counts(total=1, passed=0, failed=1, errors=0, skipped=0)),
        (b"<error/><error/>", Counts(total=1, passed=0, failed=0, errors=1, skipped=0)),
        (b"<skipped/><failure/>", Counts(total=1, passed=0, failed=1, errors=0, skipped=0)),
        (b"<skipped/>", Counts(total=1, passed=0, failed=0, errors=0, skipped=1)),
        (b"<rerunError/>", Counts(total=1, passed=1, failed=0, errors=0, skipped=0, flaky=1)),
        (b"<flakyError/>", Counts(total=1, passed=1, failed=0, errors=0, skipped=0, flaky=1)),
        (b"<system-out>x</system-out>", Counts(total=1, passed=1, failed=0, errors=0, skipped=0)),
    ],
)
def test_a_case_ends_in_one_way(inner: bytes, counts: Counts) -> None:
    assert only(suite(b"<testcase name='x'>" + inner + b"</testcase>")).counts == counts


def test_a_namespace_a_byte_order_mark_and_other_encodings_do_no_harm() -> None:
    text = '<testsuite xmlns="urn:x" name="é"><testcase name="ü"><skipped/></testcase></testsuite>'
    spellings = [
        text.encode("utf-8-sig"),
        text.encode("utf-16"),
        f'<?xml version="1.0" encoding="iso-8859-1"?>{text}'.encode("latin-1"),
        f'<?xml version="1.0" encoding="windows-1252"?>{text}'.encode("cp1252"),
    ]
    for raw in spellings:
        check = only(raw)
        assert (check.name, check.findings[0].test) == ("é", "ü")
        assert check.counts.skipped == 1


@pytest.mark.parametrize(
    ("time_attribute", "duration_ms"),
    [
        ("1.5", 1_500),
        ("1,234.567", 1_234_567),
        ("1,234", 1_234_000),
        ("0,5", 500),
        ("0.", 0),
        ("", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e999999999", None),
        ("9" * 400, None),
        ("soon", None),
    ],
)
def test_a_time_is_whole_milliseconds_or_none(time_attribute: str, duration_ms: int | None) -> None:
    raw = suite(b"", b'time="%s"' % time_attribute.encode())
    assert only(raw).duration_ms == duration_ms


def test_counts_that_are_no_numbers_claim_nothing() -> None:
    check = only(suite(CASE, b'tests="many" failures="-1" errors="1e3" skipped=""'))
    assert check.claimed is None
    check = only(suite(CASE, b'tests="2"'))
    assert check.claimed == Counts(total=2)


def test_numbers_without_measure_are_refused_or_left_out() -> None:
    huge = b"9" * 15
    many = b"<testsuite name='a' tests='%s' time='%s'/>" % (huge, b"9" * 9) * 2_000
    assert "too large" in refused(b"<testsuites>" + many + b"</testsuites>").detail
    assert only(b"<testsuites>" + many.replace(huge, b"") + b"</testsuites>").duration_ms is None
    invocation = {"executionSuccessful": True, "exitCode": 2**60}
    error = refused(log(lambda run: run.update(invocations=[invocation])))
    assert "too large" in error.detail
    region = {"startLine": 2**60, "startColumn": -1}
    check = only(
        log(lambda run: run["results"][0]["locations"][0]["physicalLocation"].update(region=region))
    )
    assert (check.findings[0].line, check.findings[0].column) == (None, None)
    raw = sample("pytest-json-report.json").replace(b'"total": 10', b'"total": %d' % 10**17)
    assert "too large" in refused(raw).detail


def test_text_from_outside_is_made_harmless() -> None:
    raw = '{"runs":[{"tool":{"driver":{"name":"a\\u0000\\u001b[31m\\u202eb"}},"results":[{"message":{"text":"x\\u0000\\u001b]0;t\\u0007\\ny"}}]}],"version":"2.1.0"}'
    check = only(raw.encode())
    assert check.name.isprintable()
    assert "\n" in check.findings[0].message
    assert check.findings[0].message.replace("\n", "").isprintable()
    document = verification_document(verification_report([check]))
    assert b"\\u0000" not in document


def log(change: Callable[[dict[str, Any]], None] | None = None) -> bytes:
    """A SARIF log with one result, changed."""
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "t", "rules": [{"id": "R1"}]}},
        "results": [
            {
                "ruleId": "R1",
                "message": {"text": "m"},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": "a.py"},
                            "region": {"startLine": 3},
                        }
                    }
                ],
            }
        ],
    }
    if change is not None:
        change(run)
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


def at(uri: str, base: str | None = None) -> Callable[[dict[str, Any]], None]:
    def change(run: dict[str, Any]) -> None:
        location = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
        location["uri"] = uri
        if base is not None:
            location["uriBaseId"] = base
        run["originalUriBaseIds"] = {
            "SRC": {"uri": "file:///elsewhere/checkout/"},
            "SUB": {"uri": "packages/web/", "uriBaseId": "SRC"},
            "HERE": {"uri": "file:///home/runner/work/sample/deep/"},
            "WEB": {"uri": "https://example.com/blob/main/"},
            "UP": {"uri": "../", "uriBaseId": "SRC"},
            "ROUND": {"uri": "x/", "uriBaseId": "ROUND"},
        }

    return change


@pytest.mark.parametrize(
    ("uri", "base", "path"),
    [
        ("a.py", None, "a.py"),
        ("a%20b/%C3%A9.py", None, "a b/é.py"),
        ("./a/./b.py", None, "a/b.py"),
        ("a.py", "SRC", "a.py"),
        ("a.py", "SUB", "packages/web/a.py"),
        ("a.py", "HERE", "deep/a.py"),
        ("a.py", "WEB", "a.py"),
        ("a.py", "NOT-GIVEN", "a.py"),
        ("file:///home/runner/work/sample/src/a.py", None, "src/a.py"),
        ("file://localhost/home/runner/work/sample/a.py", None, "a.py"),
        ("file:/home/runner/work/sample/a.py", "SUB", "a.py"),
        ("file:///C:/code/myProject/io/kb.c", None, "io/kb.c"),
        ("src\\a.py", None, "src/a.py"),
        ("", "SRC", None),
    ],
)
def test_a_uri_leads_to_a_path_of_the_repository(
    uri: str, base: str | None, path: str | None
) -> None:
    assert only(log(at(uri, base))).findings[0].path == path


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("file:///etc/passwd", None),
        ("FILE:///etc/passwd", None),
        ("file:/etc/passwd", "SRC"),
        ("/etc/passwd", "SRC"),
        ("//host/share/x", None),
        ("file://host/share/x", None),
        ("file:///home/runner/work/sample/../../x", None),
        ("../../x", None),
        ("../../x", "SRC"),
        ("%2e%2e/%2E%2E/x", None),
        ("..%2f..%2fx", None),
        ("a/..%5c..%5cx", None),
        ("..\\..\\x", None),
        ("x", "UP"),
        ("x", "ROUND"),
        ("javascript:alert(1)", None),
        ("%6Aavascript:alert(1)", None),
        ("data:text/html,x", None),
        ("http://example.com/x", None),
        ("https://example.com/x", "SRC"),
        ("C:\\Windows\\x", None),
        ("file:///C:/Windows/x", None),
        ("a%00b", None),
        ("a%0Ab", None),
        ("a%ffb", None),
        ("a\u202eb", None),
        ("x" * 10_000, None),
        ("%41" * 2_000, None),
    ],
)
def test_a_hostile_uri_is_refused_with_its_place(uri: str, base: str | None) -> None:
    error = refused(log(at(uri, base)))
    assert isinstance(error, Invalid)
    assert error.code in {"path-outside-repository", "report-malformed"}
    place = "/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri"
    assert error.pointer == place


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "DATA:text/html,x", "vbscript:x"])
def test_a_script_is_refused_also_where_nothing_is_kept(uri: str) -> None:
    location = {"physicalLocation": {"artifactLocation": {"uri": uri}}}
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda run: run.update(artifacts=[{"location": {"uri": uri}}]),
        lambda run: run.update(originalUriBaseIds={"B": {"uri": uri}}),
        lambda run: run["results"][0].update(relatedLocations=[location]),
    ]
    for change in changes:
        error = refused(log(lambda run, change=change: change(run)))  # type: ignore[misc]
        assert error.code == "path-outside-repository"
        assert (error.pointer or "").endswith("uri")


def test_system_headers_and_web_pages_may_stand_where_nothing_is_kept() -> None:
    def change(run: dict[str, Any]) -> None:
        run["artifacts"] = [
            {"location": {"uri": "file:///usr/include/stdio.h"}},
            {"location": {"uri": "https://example.com/"}},
        ]

    assert only(log(change)).counts.warnings == 1


def rules(run: dict[str, Any], **result: object) -> None:
    run["tool"]["driver"]["rules"] = [
        {"id": "R0"},
        {"id": "R1", "defaultConfiguration": {"level": "error"}},
        {"id": "R2", "defaultConfiguration": {"level": "none"}},
        {"id": "R3", "messageStrings": {"said": {"text": "{0} is {1}"}}},
    ]
    run["tool"]["extensions"] = [
        {"name": "e", "rules": [{"id": "E0", "defaultConfiguration": {"level": "note"}}]}
    ]
    run["results"][0].update(result)


@pytest.mark.parametrize(
    ("result", "level"),
    [
        ({"ruleId": "R0"}, "warning"),
        ({"ruleId": "R1"}, "error"),
        ({"ruleId": "R1/sub"}, "error"),
        ({"ruleId": "other", "ruleIndex": 1}, "error"),
        ({"ruleId": "R2"}, "note"),
        ({"ruleId": "R1", "level": "warning"}, "warning"),
        ({"ruleId": "R1", "kind": "open"}, "note"),
        ({"ruleId": "R1", "kind": "review"}, "note"),
        ({"ruleId": "unknown"}, "warning"),
        ({"rule": {"index": 0, "toolComponent": {"index": 0}}}, "note"),
        ({"rule": {"id": "R1"}, "ruleId": "R0"}, "error"),
    ],
)
def test_the_level_of_a_result_follows_the_standard(result: dict[str, object], level: str) -> None:
    check = only(log(lambda run: rules(run, **result)))
    assert [one.level for one in check.findings] == [level]


def test_kinds_that_are_no_failures_are_counted_apart() -> None:
    def change(run: dict[str, Any]) -> None:
        kinds = ["pass", "pass", "notApplicable", "informational", "fail"]
        run["results"] = [{"message": {"text": "m"}, "kind": kind} for kind in kinds]

    counts = only(log(change)).counts
    assert counts == Counts(errors=0, warnings=1, notes=1, passed=2, skipped=1)


def test_a_message_is_taken_from_its_rule() -> None:
    message = {"id": "said", "arguments": ["This", "so"]}
    check = only(log(lambda run: rules(run, ruleId="R3", message=message)))
    assert check.findings[0].message == "This is so"


def test_a_tool_that_did_not_complete_has_failed() -> None:
    def change(run: dict[str, Any]) -> None:
        run["results"] = []
        run["invocations"] = [{"executionSuccessful": False}]

    assert only(log(change)).result == "FAILED"
    assert only(log(lambda run: run.update(results=[]))).result == "PASSED"


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.pop("results"),
        lambda run: run.pop("tool"),
        lambda run: run["tool"]["driver"].update(name=None),
        lambda run: run["results"][0].update(ruleIndex=7),
        lambda run: run["results"][0].update(level="fatal"),
        lambda run: run["results"][0].update(kind=1),
        lambda run: run["results"][0].pop("message"),
        lambda run: run["results"][0].update(rule={"index": 0, "toolComponent": {"index": 5}}),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"].update(
            artifactLocation={"index": 99}
        ),
        lambda run: run["results"][0]["locations"][0].update(physicalLocation=[]),
    ],
    ids=range(10),
)
def test_a_sarif_log_that_breaks_the_standard_is_refused_with_its_place(
    change: Callable[[dict[str, Any]], None],
) -> None:
    error = refused(log(change))
    assert error.code == "report-malformed"
    assert "SARIF" in error.detail
    assert (error.pointer or "").startswith("/runs/0")


@pytest.mark.parametrize(
    ("raw", "format_name"),
    [
        (b'{"version":"2.1.0","runs":[]}', "SARIF"),
        (b'{"version":"2.0.0","runs":[{}]}', "SARIF"),
        (b'{"runs":[]}', "SARIF"),
        (sample("semgrep-source.sarif")[:3_000], "SARIF"),
        (sample("ruff.json")[:3_000], "ruff"),
        (sample("eslint.json")[:1_000], "ESLint"),
        (sample("eslint.json").replace(b'"severity":2', b'"severity":3'), "ESLint"),
        (sample("pytest-json-report.json")[:9_000], "pytest-json-report"),
        (sample("pytest-json-report.json").replace(b'"xpassed"', b'"odd"'), "pytest-json-report"),
        (sample("mypy.jsonl")[:-20], "mypy"),
        (sample("mypy.jsonl") + b"Found 6 errors\n", "mypy"),
        (sample("tsc.txt") + b"\nFound 5 errors.\n", "tsc"),
        (sample("tsc.txt") + b"\xff", "tsc"),
    ],
    ids=range(13),
)
def test_a_broken_report_names_its_format(raw: bytes, format_name: str) -> None:
    error = refused(raw)
    assert error.code == "report-malformed"
    assert f"This is no {format_name} report" in error.detail


@pytest.mark.parametrize("raw", [b"", b"\n", b"[]", b"{}", b"[1]", b"ok", b"PK\x03\x04", b"null"])
def test_what_cannot_be_told_needs_its_format_named(raw: bytes) -> None:
    error = refused(raw)
    assert error.code == "report-format-unknown"
    assert "--format" in error.detail


@pytest.mark.parametrize("name", list(READERS))
def test_json_that_is_nested_deeply_is_refused(name: str) -> None:
    for raw in (b"[" * 1_000_000, b'{"runs":' * 100_000, b'{"tests":[' * 100_000):
        assert refused(raw, name).code == "report-malformed"


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("ruff", sample("ruff.json").replace(b"/home/runner/work/sample/", b"/etc/")),
        ("eslint", sample("eslint.json").replace(b"/home/runner/work/sample/", b"/etc/")),
        ("mypy", sample("mypy.jsonl").replace(b"typed.py", b"../../typed.py")),
        ("tsc", sample("tsc.txt").replace(b"src/a.ts", b"../src/a.ts")),
        ("pytest", sample("pytest-json-report.json").replace(b"test_create", b"/etc/test_create")),
        ("junit", sample("pytest-xunit1.xml").replace(b'file="tests/', b'file="../tests/')),
    ],
)
def test_every_format_refuses_a_path_outside_the_repository(name: str, raw: bytes) -> None:
    error = refused(raw, name)
    assert error.code == "path-outside-repository"
    assert error.pointer
    assert "--root" in error.detail


SAMPLES = [
    file.read_bytes()
    for file in sorted(FOLDER.iterdir())
    if file.is_file() and "schema" not in file.name and file.suffix != ".md"
]
FEW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def gives_a_report_or_one_problem(raw: bytes, name: str | None) -> None:
    try:
        checks = read_report(raw, name, ROOTS)
    except DeedbookError as error:
        assert error.detail.isprintable()
        return
    report = verification_report(checks)
    assert read_verification(verification_document(report)) == report


@FEW
@given(st.binary(max_size=400), st.sampled_from([None, *READERS]))
def test_random_bytes_give_a_report_or_one_problem(raw: bytes, name: str | None) -> None:
    gives_a_report_or_one_problem(raw, name)


@FEW
@given(st.data())
def test_mutated_samples_give_a_report_or_one_problem(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.integers(0, 40)))
        raw[start:end] = data.draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [b"null", b"-1", b"1e400", b'"', b"{}", b"[]", b"../", b"\\ud800", b"&#0;"]
                ),
            )
        )
    gives_a_report_or_one_problem(bytes(raw), data.draw(st.sampled_from([None, *READERS])))


@FEW
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["runs", "version", "results", "tool", "driver", "name", "message", "text"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["sarif", "ruff", "eslint", "pytest", "mypy", None]),
)
def test_any_json_gives_a_report_or_one_problem(value: object, name: str | None) -> None:
    gives_a_report_or_one_problem(json.dumps(value).encode(), name)
