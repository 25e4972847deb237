"""Names: what is refused, and that no two keys can meet in one path on any file system."""

import re
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.names import (
    MAX_SEGMENT_BYTES,
    ArtifactStream,
    NamedStream,
    RunStream,
    artifact_stream,
    check_key,
    check_kind,
    check_project,
    check_run_id,
    escape_key,
    parse_stream,
    run_stream,
    unescape_key,
)

EXAMPLES = {
    "main": "main",
    "ADR-0006": "ADR-0006+7",
    "README": "README+3f",
    "Readme": "Readme+1",
    "readme": "readme",
    "\u00e9": "=c3=a9",
    "e\u0301": "e=cc=81",
    "K": "K+1",
    "\u212a": "=e2=84=aa",
    "con": "=63on",
    "CON": "=43ON+3",
    "lpt1.txt": "=6cpt1.txt",
    "a b": "a=20b",
    "100%": "100=25",
    "x+y": "x=2by",
    "C:\\x": "C=3a=5cx+1",
    "-rf": "=2drf",
    "end.": "end=2e",
    ".hidden": "=2ehidden",
    "~": "=7e",
    "\u65e5\u672c": "=e6=97=a5=e6=9c=ac",
    "a\u202eb": "a=e2=80=aeb",
}
"""The published table of the escape."""

DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)")
TRICKY = st.text(
    st.sampled_from(
        "aAbBkKsSiIzZ019._-+=%~ :\\\u00e9\u212a\u017f\u0130\u0131\u00df\ufb01e\u0301\u202e"
    ),
    min_size=1,
    max_size=30,
)
DEVICES = st.builds(
    lambda name, capitals, rest: (
        "".join(c.upper() if capitals >> at & 1 else c for at, c in enumerate(name)) + rest
    ),
    st.sampled_from(["con", "prn", "aux", "nul", "com1", "com0", "lpt9", "conx", "co"]),
    st.integers(0, 15),
    st.sampled_from(["", ".", ".txt", ".tar.gz", " ", "-", "+1"]),
)
ANY = st.text(min_size=1, max_size=90)


def accepted(key: str) -> bool:
    try:
        check_key(key)
    except Invalid:
        return False
    return True


KEYS = (TRICKY | DEVICES | ANY).filter(accepted)


@pytest.mark.parametrize(("key", "segment"), EXAMPLES.items())
def test_the_published_examples_of_the_escape_hold_both_ways(key: str, segment: str) -> None:
    assert escape_key(key) == segment
    assert unescape_key(segment) == key


@given(KEYS)
def test_a_segment_leads_back_to_its_key_and_is_safe_on_every_file_system(key: str) -> None:
    segment = escape_key(key)
    assert unescape_key(segment) == key
    assert re.fullmatch(r"[A-Za-z0-9_=][A-Za-z0-9._=+-]*", segment)
    assert not segment.endswith(".")
    assert len(segment) <= MAX_SEGMENT_BYTES
    assert not DEVICE.match(segment)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert unicodedata.normalize(form, segment) == segment


@given(KEYS, KEYS)
@example("README", "readme")
@example("K", "\u212a")
@example("\u00e9", "e\u0301")
@example("a+1", "A")
@example("s", "\u017f")
def test_two_keys_never_meet_even_where_case_is_ignored(one: str, other: str) -> None:
    assume(one != other)
    assert escape_key(one).casefold() != escape_key(other).casefold()


@given(TRICKY.filter(accepted))
def test_variants_in_case_of_one_key_never_meet(key: str) -> None:
    variants = {key, key.lower(), key.upper(), key.swapcase(), key.title(), key.casefold()}
    segments = [escape_key(one).casefold() for one in variants if accepted(one)]
    assert len(set(segments)) == len(segments)


@given(KEYS)
def test_the_key_survives_a_file_system_that_changed_the_case(key: str) -> None:
    body, plus, mask = escape_key(key).partition("+")
    lowered = body.lower()
    capitals = int(mask, 16) if plus else 0
    letters = iter(range(len(lowered)))
    restored = re.sub(
        r"=[0-9a-f]{2}|[a-z]",
        lambda found: (
            found[0]
            if len(found[0]) > 1
            else (found[0].upper() if capitals >> next(letters) & 1 else found[0])
        ),
        lowered,
    )
    assert restored == body


@given(st.text("aB09._-=+ cf%", max_size=12) | st.text(max_size=12))
@example("a+0")
@example("a+1")
@example("A")
@example("A+01")
@example("A+1+1")
@example("A+3")
@example("=41")
@example("=2D")
@example("=2f")
@example("=00")
@example("=c3")
@example("=61")
@example("=2e")
@example("con")
@example(".a")
@example("a.")
@example("")
def test_a_segment_that_the_escape_would_not_give_is_refused(segment: str) -> None:
    try:
        key = unescape_key(segment)
    except Invalid as error:
        assert error.code == "validation-failed"
        assert error.pointer == "/path"
    else:
        assert escape_key(key) == segment


@pytest.mark.parametrize(
    "segment",
    [
        "a+0",
        "a+1",
        "A",
        "A+01",
        "A+1+1",
        "A+3",
        "=41",
        "=2D",
        "=2f",
        "=00",
        "=c3",
        "=61",
        "con",
        "",
    ],
)
def test_these_segments_in_particular_are_refused(segment: str) -> None:
    with pytest.raises(Invalid):
        unescape_key(segment)


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "a\nb",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\x9f",
        "\ud800",
        "a\udfff",
        "x" * 91,
        "\u65e5" * 11,
        "A" * 72,
        "x" * 1_000_000,
    ],
)
def test_keys_without_a_place_in_a_path_are_refused(key: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_key(key)
    assert caught.value.code == "validation-failed"
    assert caught.value.pointer == "/key"
    with pytest.raises(Invalid):
        escape_key(key)


def test_a_key_with_nul_is_refused_by_the_name_of_the_problem() -> None:
    with pytest.raises(Invalid) as caught:
        check_key("a\0b")
    assert caught.value.code == "nul-character"


@pytest.mark.parametrize(
    "key", ["x" * 90, "\u65e5" * 10, "A" * 67, "...", "\u2028", "\u200f", "\ufeff"]
)
def test_keys_at_the_limit_and_odd_ones_are_taken(key: str) -> None:
    assert unescape_key(escape_key(key)) == key


@pytest.mark.parametrize("slug", ["a", "0", "alpha", "a-b", "a--b", "x" * 32])
def test_a_project_is_one_dns_label(slug: str) -> None:
    check_project(slug)


@pytest.mark.parametrize(
    "slug", ["", "-", "-a", "a-", "A", "a_b", "a.b", "a b", "a\n", "x" * 33, "\u00e9", "\u0661"]
)
def test_a_project_that_is_no_dns_label_is_refused(slug: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_project(slug)
    assert caught.value.pointer == "/slug"


@pytest.mark.parametrize("kind", ["A", "PRD", "ADR_0006", "X" * 32, "CONSOLE", "COM10"])
def test_kinds_are_capitals(kind: str) -> None:
    check_kind(kind)


@pytest.mark.parametrize(
    "kind",
    ["", "prd", "1A", "_A", "A-B", "A.B", "X" * 33, "A\n", "\u00c9", "CON", "NUL", "COM1", "LPT0"],
)
def test_a_kind_that_cannot_be_a_folder_is_refused(kind: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_kind(kind)
    assert caught.value.pointer == "/kind"


@pytest.mark.parametrize("run_id", ["r1", "8f", "0" * 36, "019a9f60-7c00-7000-8a00-000000000001"])
def test_run_ids_are_short(run_id: str) -> None:
    check_run_id(run_id)


@pytest.mark.parametrize("run_id", ["", "R1", "a.b", "a/b", "0" * 37, "r1\n", "con", "nul", "com1"])
def test_a_run_id_that_cannot_be_a_folder_is_refused(run_id: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_run_id(run_id)
    assert caught.value.pointer == "/run_id"


def test_streams_are_named_after_what_they_are_about() -> None:
    assert artifact_stream("PRD", "main") == "artifact/PRD/main"
    assert run_stream("r1") == "run/r1"
    assert parse_stream("artifact/PRD/main") == ArtifactStream("PRD", "main")
    assert parse_stream("run/r1") == RunStream("r1")
    assert parse_stream("project") == NamedStream("project")
    assert parse_stream("erasures") == NamedStream("erasures")


@given(st.from_regex(r"[A-Z][A-Z0-9_]{0,31}", fullmatch=True), KEYS)
def test_a_streams_name_leads_back_to_its_artifact(kind: str, key: str) -> None:
    assume(not DEVICE.match(kind))
    assert parse_stream(artifact_stream(kind, key)) == ArtifactStream(kind, key)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "projects",
        "project/",
        "erasures/x",
        "run",
        "run/",
        "run/R",
        "run/a/b",
        "artifact",
        "artifact/",
        "artifact/PRD",
        "artifact/PRD/",
        "artifact/prd/main",
        "artifact/PRD/a/b",
        "artifact/PRD/..",
        "artifact//main",
        "/artifact/PRD/main",
        "Project",
    ],
)
def test_a_name_that_is_no_streams_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_stream(name)
    assert caught.value.code == "validation-failed"


def test_kinds_and_keys_are_checked_before_a_stream_is_named() -> None:
    for kind, key in (("prd", "main"), ("PRD", "a/b")):
        with pytest.raises(Invalid):
            artifact_stream(kind, key)
    with pytest.raises(Invalid):
        run_stream("R")
