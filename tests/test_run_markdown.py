"""A run as Markdown: what is on the page, and that nothing in it is read as Markdown of somebody else."""

from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.remote.sticky_comment import MAX_COMMENT_CHARACTERS
from domain.markdown_text import code
from domain.verification import Counts
from projections.run_gates import Gate, Gates
from projections.run_markdown import (
    MAX_PAGE_CHARACTERS,
    ROWS,
    Export,
    Origin,
    Verified,
    run_markdown,
)
from projections.timeline import (
    Item,
    ShownApproval,
    ShownCheck,
    ShownDeployment,
    ShownEffect,
    Timeline,
)

HOSTILE = (
    "</code></table><img src=x onerror=y>|a|\\`x` **b** _c_ ~~d~~ [l](https://e.example) ![i](x) "
    "<!-- deedbook: alpha --> @everyone #1 &amp; &#60; https://e.example www.e.example a@e.example "
    "\u202etxet \u200b$x$ :smile: - [ ] x"
)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


class Read(HTMLParser):
    """Tags and text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def timeline(text: str, many: int = 1) -> Timeline:
    """A run in which every text that somebody else writes is this one."""
    return Timeline(
        run="gh-1-1",
        title=text,
        phase="succeeded",
        position=9,
        created="",
        finished=None,
        duration_ms=None,
        repository="https://github.com/o/r",
        base_commit="a" * 40,
        head_commit="b" * 40,
        pull_request=None,
        waiting_for=None,
        actors=(text,),
        steps=(),
        checks=(
            *(
                ShownCheck(text, "test", "PASSED", 3, counts=Counts(total=2_000, passed=2_000))
                for _ in range(many)
            ),
            ShownCheck("replaced", "test", "FAILED", 2, in_force=False),
            ShownCheck("lint", "lint", "FAILED", 4),
        ),
        approvals=(
            ShownApproval("a1", "deploy.production", 4, decision="granted", decided_by=text),
            ShownApproval("a2", text, 4, decision="rejected", decided_by="x", approver=text),
            ShownApproval("a3", "repo.merge", 4),
        ),
        effects=(ShownEffect("e1", "deploy.production", text, text, 5),),
        deployments=(
            ShownDeployment("vercel", text, "b" * 40, "succeeded", 6, url="https://x.example"),
        ),
        items=(Item(2, 2, "", "x", "PatchSetRecorded", text, "neutral", ()),),
        items_cut=False,
    )


GATES = Gates(
    run="gh-1-1",
    position=9,
    holds=False,
    gates=(Gate("state", holds=True, detail="ok"), Gate("steps", holds=False, detail="no")),
)
EXPORT = Export(
    name="alpha-gh-1-1.zip",
    sha256="c" * 64,
    size_bytes=1_234,
    verified=Verified("VERIFIED"),
    link="https://github.com/o/r/actions/runs/1/artifacts/2",
    pinned=True,
)
ORIGIN = Origin(project="alpha", head="b" * 40, job="https://github.com/o/r/actions/runs/1")


def page(text: str = "Add a login", **changes: object) -> str:
    return run_markdown(timeline(text), GATES, msgspec.structs.replace(EXPORT, **changes), ORIGIN)


def test_the_page_says_what_happened() -> None:
    made = page()
    read = Read(MARKDOWN.render(made))
    for text in (
        "Deedbook: Add a login",
        "Run gh-1-1 of alpha, succeeded, at position 9",
        "✅ Add a login",
        "2,000 total, 2,000 passed",
        "❌ lint",
        "✅ granted",
        "❌ rejected",
        "⚪ open",
        "Gates: not all hold",
        "VERIFIED: genuine and complete",
        "1,234 bytes",
        "c" * 64,
        f"deedbook verify alpha-gh-1-1.zip --trust trust.json --head {'b' * 40}",
        "not that what was recorded is true",
    ):
        assert text in read.text, text
    assert "replaced" not in read.text
    assert read.links == [EXPORT.link, ORIGIN.job]
    assert read.tags.count("table") == 5


def test_no_text_of_others_changes_what_the_page_is() -> None:
    plain, hostile = (Read(MARKDOWN.render(page(text))) for text in ("x", HOSTILE))
    assert hostile.tags == plain.tags
    assert hostile.links == plain.links
    assert "<!--" not in page(HOSTILE)
    assert "\u202e" not in page(HOSTILE)


@given(st.text(max_size=120))
def test_foreign_text_is_one_code_element_whatever_it_is(text: str) -> None:
    made = code(text)
    for before, after in (("", ""), ("- ", ""), ("**x** ", " y"), ("| h |\n|---|\n| ", " |")):
        read = Read(MARKDOWN.render(f"{before}{made}{after}"))
        assert read.tags.count("code") == 1
        assert set(read.tags) <= {
            "code",
            "p",
            "ul",
            "li",
            "strong",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
    inner = made.removeprefix("<code>").removesuffix("</code>")
    assert all(one.isalnum() or not one.isascii() or one in " &#;" for one in inner)
    assert "\n" not in made


def test_foreign_text_reads_as_it_was_written() -> None:
    assert Read(code("a_b <c> |")).text == "a_b <c> |"
    assert Read(code("a\nb\t c")).text == "a b c"
    assert Read(code("a\u202eb")).text == "a\\u202eb"
    assert Read(code("x" * 300)).text == "x" * 199 + "…"
    assert Read(code("é漢")).text == "é漢"


def test_long_lists_are_cut_and_say_so() -> None:
    made = run_markdown(timeline("x" * 20, many=5_000), GATES, EXPORT, ORIGIN)
    assert "… and 4,951 more" in made
    assert made.count("2,000 total") == ROWS[0]


@pytest.mark.parametrize("text", ["x" * 5_000, "<" * 5_000])
def test_the_page_always_fits_into_a_comment(text: str) -> None:
    made = run_markdown(timeline(text, many=5_000), GATES, EXPORT, ORIGIN)
    assert 0 < len(made) <= MAX_PAGE_CHARACTERS < MAX_COMMENT_CHARACTERS
    assert "VERIFIED" in made


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("VERIFIED-UNANCHORED", "✅ **VERIFIED-UNANCHORED**"),
        ("INCOMPLETE", "❌ **INCOMPLETE**"),
        ("FAILED", "❌ **FAILED**"),
        ("", "❌ **NOT VERIFIED**"),
        ("ANYTHING", "❌ **NOT VERIFIED**"),
    ],
)
def test_every_result_of_the_check_has_its_words(state: str, said: str) -> None:
    assert said in page(verified=Verified(state, ("why <not>",)))
    assert "why <not>" in Read(MARKDOWN.render(page(verified=Verified(state, ("why <not>",))))).text


def test_keys_that_came_from_the_ledger_are_named_as_such() -> None:
    assert "came from the ledger" in page(pinned=False)
    assert "came from the ledger" not in page()


@pytest.mark.parametrize(
    "link", ["http://x.example", "https://x.example/a)b", "https://x.example/ y", "javascript:x"]
)
def test_an_address_that_is_none_is_no_link(link: str) -> None:
    assert Read(MARKDOWN.render(page(link=link))).links == [ORIGIN.job]


def test_a_fork_is_named_as_such() -> None:
    origin = msgspec.structs.replace(ORIGIN, from_fork=True)
    assert "comes from a fork" in run_markdown(timeline("x"), GATES, EXPORT, origin)
    assert "comes from a fork" not in page()


def test_a_file_with_a_strange_name_stays_one_word_of_the_command() -> None:
    assert "verify a__rm_-rf_.zip --trust" in page(name="a; rm -rf .zip".replace("f .", "f$."))
