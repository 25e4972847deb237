"""Which artifact a document is: by its front matter, its number, its name, its title, and its path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.artifact import IMPLEMENTATION_KINDS, MAX_TITLE_CHARACTERS
from domain.documents import (
    MAX_FRONT_MATTER_LINES,
    MAX_SCANNED_CHARACTERS,
    Recognised,
    front_matter,
    is_markdown,
    key_of,
    recognise,
    title_of,
)
from domain.names import check_key, check_kind, escape_key


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("PRD.md", "PRD"),
        ("docs/prd-search.md", "PRD"),
        ("docs/Product Requirements.md", "PRD"),
        ("docs/product-requirements-document.md", "PRD"),
        ("Architecture-Overview.md", "ARCHITECTURE_OVERVIEW"),
        ("ARCHITECTURE.md", "ARCHITECTURE_OVERVIEW"),
        ("docs/architecture/overview.md", "ARCHITECTURE_OVERVIEW"),
        ("overview.md", "DOCUMENT"),
        ("docs/security_model.md", "SECURITY_MODEL"),
        ("docs/threat-model.md", "SECURITY_MODEL"),
        ("docs/security.md", "SECURITY_MODEL"),
        ("SECURITY.md", "SECURITY"),
        (".github/SECURITY.md", "SECURITY"),
        ("Roadmap.markdown", "ROADMAP"),
        ("codex-prompts.md", "CODEX_PROMPTS"),
        ("README.de.md", "README"),
        ("pkg/readme.md", "README"),
        ("CHANGES.md", "CHANGELOG"),
        ("LICENCE.md", "LICENSE"),
        ("CODE_OF_CONDUCT.md", "CODE_OF_CONDUCT"),
        ("SPEC-0008.md", "SPEC_0008"),
        ("spec8-x.md", "SPEC_0008"),
        ("docs/ADR_0006_use-postgres.md", "ADR_0006"),
        ("docs/adr/0006-use-postgres.md", "ADR_0006"),
        ("docs/decisions/006.md", "ADR_0006"),
        ("docs/specifications/0012 search.md", "SPEC_0012"),
        ("docs/adr/06-too-short.md", "DOCUMENT"),
        ("docs/notes/0006-x.md", "DOCUMENT"),
        ("0006-x.md", "DOCUMENT"),
        ("adr-123456789.md", "DOCUMENT"),
        ("adr.md", "DOCUMENT"),
        ("notes.md", "DOCUMENT"),
    ],
)
def test_a_name_says_the_kind(path: str, kind: str) -> None:
    assert recognise(path, "text\n").kind == kind


@pytest.mark.parametrize(
    ("matter", "kind"),
    [
        ("kind: PRD", "PRD"),
        ("Kind: 'ADR_0001'", "ADR_0001"),
        ('kind: "MY_OWN" # said', "MY_OWN"),
        ("kind: not a kind", "DOCUMENT"),
        ("kind: PATCHSET", "DOCUMENT"),
        ("adr: 6", "ADR_0006"),
        ("adr: ADR-6", "ADR_0006"),
        ("spec: 0008", "SPEC_0008"),
        ("id: SPEC-0008", "SPEC_0008"),
        ("id: 8", "DOCUMENT"),
        ("adr: 0", "ADR_0000"),
        ("adr: 12345", "ADR_12345"),
        ("adr: six", "DOCUMENT"),
        ("title: 'ADR-7: Use it'", "ADR_0007"),
        ("title: PRD of search", "PRD"),
        ("title: Product requirements", "PRD"),
        ("title: PRDs are fine", "DOCUMENT"),
    ],
)
def test_front_matter_says_the_kind(matter: str, kind: str) -> None:
    assert recognise("notes.md", f"---\n{matter}\n---\ntext\n").kind == kind


def test_front_matter_goes_before_the_name_and_the_name_before_the_title() -> None:
    assert recognise("ADR-1.md", "---\nspec: 2\n---\n# PRD\n").kind == "SPEC_0002"
    assert recognise("ADR-1.md", "# PRD\n").kind == "ADR_0001"
    assert recognise("README.md", "# ADR-3\n").kind == "README"
    assert recognise("x.md", "# ADR-3: a\n") == Recognised("ADR_0003", "x", "ADR-3: a")


@given(st.text(max_size=60), st.text(max_size=200))
def test_everything_has_a_kind_and_a_key_that_an_artifact_may_have(path: str, text: str) -> None:
    found = recognise(path, text)
    check_kind(found.kind)
    check_key(found.key)
    assert found.kind not in IMPLEMENTATION_KINDS
    assert found.title is None or 1 <= len(found.title) <= MAX_TITLE_CHARACTERS


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("README.md", "README"),
        ("docs/specs/SPEC-0008.md", "docs.specs.SPEC-0008"),
        ("a.b.md", "a._b"),
        ("README.de.md", "README._de"),
    ],
)
def test_a_plain_path_is_its_own_key(path: str, key: str) -> None:
    assert key_of(path) == key


@pytest.mark.parametrize(
    "path",
    [
        "docs/Über uns.md",
        "_x.md",
        "a/_b.md",
        "A.MD",
        "a.markdown",
        ".github/x.md",
        "a//b.md",
        "a..b.md",
        "x" * 100 + ".md",
        "X" * 80 + ".md",
        '"a\\377.md"',
        "-.md",
        "ø.md",
        "a.md/b",
        "a.__00.md",
    ],
)
def test_another_path_is_told_by_its_digest(path: str) -> None:
    readable, mark, digest = key_of(path).rpartition(".__")
    assert mark
    assert readable
    assert len(digest) == 32


def test_a_long_path_keeps_its_readable_end() -> None:
    key = key_of("docs/an overview/of Everything that is.md")
    assert key.startswith("docs.an-overview.of-everything-that-is.__")
    assert ".end.__" in key_of("/".join(["folder"] * 30) + "/end.md")


PIECES = st.sampled_from(["a", "A", "b", ".", "/", "_", "__", "._", "-", " ", "md", "å", '"', "0"])


@given(st.lists(PIECES, max_size=8), st.lists(PIECES, max_size=8))
def test_different_paths_never_meet_in_one_key(one: list[str], other: list[str]) -> None:
    first, second = "".join(one) + ".md", "".join(other) + ".md"
    if first != second:
        assert key_of(first) != key_of(second)
        assert escape_key(key_of(first)).lower() != escape_key(key_of(second)).lower()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.md", True), ("A.MD", True), ("x/y.Markdown", True), ("a.mdx", False), ("md", False)],
)
def test_markdown_is_told_by_the_name(name: str, expected: bool) -> None:
    assert is_markdown(name) == expected


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# One\n", "One"),
        ("text\n\n   # One ##\n# Two", "One"),
        ("# \n#\n#One\n## Two\n# Three #x", "Three #x"),
        ("    # code\n# Real", "Real"),
        ("```\n# code\n```\n# Real\n", "Real"),
        ("~~~ sh\n# code\n~~~~\n# Real\n", "Real"),
        ("````\n```\n# code\n````\n# Real\n", "Real"),
        ("```\n``` not closed\n# code\n", None),
        ("---\ntitle: Stated\n---\n# One\n", "Stated"),
        ("---\ntitle: [a, b]\n---\n# One\n", "One"),
        ("\ufeff# One\r\ntext", "One"),
        ("# a\x1b[31m\u202eb\n", "a [31m b"),
        ("#\tOne\t#\n", "One"),
        ("# " + "x" * 301, "x" * 299 + "…"),
        ("", None),
        ("no heading\n", None),
    ],
)
def test_a_title_is_stated_or_the_first_heading(text: str, title: str | None) -> None:
    assert title_of(text) == title


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("---\na: 1\nB-b: two words\n---\n", {"a": "1", "b-b": "two words"}),
        ("---\na: 1\na: 2\n...\n", {"a": "1"}),
        ("---\na: 'it''s'\nb: \"x\\ty\"\n---\n", {"a": "it"}),
        (
            "---\na: |\n  b: 1\nc: >x\nd:\ne: # none\nf: a#b\ng: a # b\n---\n",
            {"f": "a#b", "g": "a"},
        ),
        ("---\n- a: 1\n a: 2\na:1\n: 3\n---\n", {}),
        ("---\r\na: 1\r\n---\r\n", {"a": "1"}),
        ("---\na: 'open\n---\n", {}),
        ("---\na: 1\n", {}),
        (" ---\na: 1\n---\n", {}),
        ("text\n---\na: 1\n---\n", {}),
        ("", {}),
    ],
)
def test_front_matter_is_flat_scalars_only(text: str, found: dict[str, str]) -> None:
    assert front_matter(text) == found


def test_only_the_start_of_a_document_is_looked_at() -> None:
    assert title_of("x" * MAX_SCANNED_CHARACTERS + "\n# Late\n") is None
    lines = "".join(f"a{n}: x\n" for n in range(MAX_FRONT_MATTER_LINES))
    assert front_matter(f"---\n{lines}---\n") == {}
    assert len(front_matter("---\na: " + "x" * 5_000 + "\n---\n")["a"]) == 1_000
