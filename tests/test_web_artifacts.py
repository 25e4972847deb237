"""Pages of artifacts: a version and what belongs to it, two versions compared, a draft as far as it is written."""

import re
from collections.abc import Iterator
from html import unescape

import pytest

from app.drafts import append_text, commit_draft, discard_draft, open_draft
from app.ledger import Ledger
from app.web import artifacts, diffs, rendered
from domain.citation import CitationInput
from domain.citing import cite
from domain.draft import Draft
from domain.events import Source
from tests.draft_samples import new_id
from tests.ledger_samples import erase_for_good
from tests.serving import Served, serve
from tests.web_reader import WebReader

PAGE = "/p/alpha/artifacts/PRD/main"
HOSTILE = "<script>alert(1)</script>\"'>"
FIRST = "# The plan\n\nWe build a quick brown fox.\n"
SECOND = "# The plan\n\nWe build a quick red fox.\n\nAnd more.\n"


class Shelf:
    """A served ledger with one artifact of two versions, and a reader who is signed in."""

    def __init__(self, served: Served) -> None:
        self.served = served
        served.ledger.create_project("alpha", title="Alpha", actor="ada")
        self.write(FIRST, title="The plan")
        self.write(SECOND, title="The plan")
        self.reader = WebReader(served, served.limited("events:read", projects=("alpha",)))

    @property
    def ledger(self) -> Ledger:
        return self.served.ledger

    def write(self, content: str | bytes, key: str = "main", **more: object) -> int:
        """Write a version; answers its position."""
        raw = content.encode() if isinstance(content, str) else content
        receipt = self.ledger.write_artifact("alpha", "PRD", key, raw, actor="ada", **more)  # type: ignore[arg-type]
        return receipt.entries[0].position

    def draft(self, text: str | bytes, key: str = "main", **more: object) -> Draft:
        """A draft with a text."""
        draft, _ = open_draft(self.ledger, "alpha", "PRD", key, actor="ada", **more)  # type: ignore[arg-type]
        raw = text.encode() if isinstance(text, str) else text
        append_text(self.ledger, "alpha", "PRD", key, draft.id, 0, raw)
        return draft

    def page(self, path: str, status: int = 200) -> str:
        """A page's HTML."""
        answer = self.reader.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def words(self, path: str, status: int = 200) -> str:
        """What is read on a page, without the lines into which its source is broken."""
        main = self.page(path, status).partition("<main")[2].partition(">")[2]
        return " ".join(unescape(re.sub(r"<[^>]*>", "", main)).split())


@pytest.fixture
def shelf(database_url: str) -> Iterator[Shelf]:
    with serve(database_url) as running:
        yield Shelf(running)


def test_the_newest_version_is_shown_with_what_is_known_of_it(shelf: Shelf) -> None:
    page = shelf.page(PAGE)
    words = shelf.words(PAGE)
    assert "We build a quick red fox." in words
    assert "v2 of 2" in words
    assert "74 bytes" not in words
    assert f"{len(SECOND.encode())} bytes" in words
    digest = shelf.ledger.views.artifact("alpha", "PRD", "main", 3).digest
    assert digest.removeprefix("sha256:") in words
    assert 'href="/p/alpha/events/3"' in page
    assert 'href="/v1/projects/alpha/artifacts/PRD/main/versions/2/content"' in page
    assert "is the newest one" not in words


def test_an_older_version_says_that_it_is_not_the_newest(shelf: Shelf) -> None:
    page = shelf.page(f"{PAGE}?version=1")
    words = shelf.words(f"{PAGE}?version=1")
    assert "a quick brown fox" in words
    assert "Version 2 is the newest one: read it, or see what changed since." in words
    assert f'href="{PAGE}/diff?from=1&amp;to=2"' in page
    assert 'aria-current="page">Version 1</a>' in page


def test_at_a_position_the_page_shows_what_was_the_newest_then_and_keeps_the_position(
    shelf: Shelf,
) -> None:
    page = shelf.page(f"{PAGE}?at=2")
    words = shelf.words(f"{PAGE}?at=2")
    assert "a quick brown fox" in words
    assert "v1 of 1" in words
    assert "Version 2 is the newest one now, and version 1 was at position 2" in words
    assert 'href="/p/alpha/events/2?at=2"' in page
    assert f'action="{PAGE}"' in page
    assert shelf.reader.get(f"{PAGE}?at=2&version=2").status_code == 404


def test_before_its_first_version_an_artifact_says_when_that_came(shelf: Shelf) -> None:
    words = shelf.words(f"{PAGE}?at=1", 404)
    assert "At position 1 it was not written yet: version 1 came at position 2" in words
    assert shelf.reader.get(f"{PAGE}/diff?at=1").headers["location"] == f"{PAGE}?at=1"


def test_what_there_is_not_is_said(shelf: Shelf) -> None:
    for path in (
        "/p/alpha/artifacts/PRD/other",
        "/p/alpha/artifacts/PRD/other/diff",
        f"{PAGE}?version=3",
        f"{PAGE}?version=0",
        f"{PAGE}?version={10**17}",
        f"{PAGE}?at=9",
        f"{PAGE}/diff?from=7",
        f"{PAGE}/diff?from=-1",
        f"{PAGE}/drafts/{new_id()}",
        f"{PAGE}/drafts/nonsense",
    ):
        answer = shelf.reader.get(path)
        while answer.status_code == 303:
            answer = shelf.reader.get(answer.headers["location"])
        assert answer.status_code == 404, path
    for path in (
        f"{PAGE}?version=one",
        f"{PAGE}?other=1",
        f"{PAGE}?version={10**30}",
    ):
        assert shelf.reader.get(path).status_code == 400, path


def test_artifacts_of_other_projects_and_of_nobody_are_not_shown(shelf: Shelf) -> None:
    shelf.ledger.create_project("beta", title="Beta", actor="ada")
    for rest in ("", "/diff", f"/drafts/{new_id()}"):
        assert shelf.reader.get(f"/p/beta/artifacts/PRD/main{rest}").status_code == 403
        assert WebReader(shelf.served).get(f"{PAGE}{rest}").status_code == 303


def test_nothing_of_a_content_or_a_name_becomes_a_part_of_the_page(shelf: Shelf) -> None:
    citations = cite(
        [CitationInput(url="https://example.org/", title=HOSTILE, excerpt=HOSTILE)],
    )
    source = Source(commit="0" * 40, path=HOSTILE, repository=HOSTILE)
    for media_type in ("text/plain", "text/markdown", "application/json"):
        shelf.write(HOSTILE, "hostile", media_type=media_type, title=HOSTILE, citations=citations, source=source)  # fmt: skip
    shelf.write(f'["{HOSTILE}"]'.replace("\"'", "'"), "json", media_type="application/json")
    hostile = "/p/alpha/artifacts/PRD/hostile"
    draft = shelf.draft(HOSTILE, "hostile", title=HOSTILE, media_type="text/plain")
    for path in (
        hostile,
        f"{hostile}?version=2",
        f"{hostile}?version=1",
        f"{hostile}/diff?from=0",
        f"{hostile}/drafts/{draft.id}",
        "/p/alpha/artifacts/PRD/json",
    ):
        page = shelf.page(path)
        assert "<script>alert" not in page, path
        assert "alert(1)" in page, path
        assert " style=" not in page, path


def test_sources_stand_below_the_text_under_all_their_numbers(shelf: Shelf) -> None:
    citations = cite(
        [
            CitationInput(
                url="https://example.org/paper", title="A paper", excerpt="Logs only grow."
            ),
            CitationInput(url="urn:isbn:9780262510875", accessed="2026-02-01"),
            CitationInput(url="https://example.org/paper"),
        ]
    )
    shelf.write("See <citation:1> and <citation:3>.\n", "cited", citations=citations)
    page = shelf.page("/p/alpha/artifacts/PRD/cited")
    words = shelf.words("/p/alpha/artifacts/PRD/cited")
    assert re.findall(r'id="c-(\d)"', page) == ["1", "3", "2"]
    assert "1, 3 A paper Logs only grow." in words
    assert 'href="https://example.org/paper" rel="noopener noreferrer nofollow"' in page
    assert "read on 2026-02-01" in words
    assert 'href="urn:' not in page
    marks = dict(re.findall(r'data-cite="(\d)" id="(at-[^"]*)"', page))
    assert marks == {"1": "at-1-1", "3": "at-3-1"}
    assert re.findall(r'class="back" href="#([^"]*)"', page) == ["at-1-1", "at-3-1"]


def test_markdown_is_read_as_such_with_its_headings_to_go_to(shelf: Shelf) -> None:
    shelf.write("# One\n\n**Bold** and [@nobody].\n\n## Two *words*\n\n### Three\n", "long")
    page = shelf.page("/p/alpha/artifacts/PRD/long")
    assert "<strong>Bold</strong>" in page
    assert re.findall(r'<a href="#(h-[^"]*)">([^<]*)</a>', page) == [
        ("h-one", "One"),
        ("h-two-words", "Two words"),
        ("h-three", "Three"),
    ]
    assert '<h2 id="h-two-words">' in page
    assert re.search(r'data-cite="nobody"[^>]* data-unresolved="true"', page)
    assert 'class="outline"' not in shelf.page(PAGE)


def test_each_place_that_cites_gets_an_id_to_come_back_to() -> None:
    """As the renderer of Markdown writes them."""
    cited = '<a class="cite" data-cite="{0}" rel="nofollow" href="#c-{0}">[{0}]</a>'
    blocks = [
        f"<p>{cited.format('1')} {cited.format('1')}</p>",
        f"<p>{cited.format('nobody')} {cited.format('2')}</p>",
        '<p>&lt;a class="cite" data-cite="1" <a href="https://example.org">x</a></p>',
    ]
    marked, marks = rendered.mark_places(blocks, {"1", "2"})
    assert marks == {"1": ["at-1-1", "at-1-2"], "2": ["at-2-1"]}
    assert re.findall(r'id="([^"]*)"', "".join(marked)) == ["at-1-1", "at-1-2", "at-2-1"]
    assert marked[2] == blocks[2]


def test_json_is_laid_out_and_what_is_no_json_is_shown_as_it_is(shelf: Shelf) -> None:
    shelf.write('{"a":[1,2]}', "data", media_type="application/json")
    page = shelf.page("/p/alpha/artifacts/PRD/data")
    assert '<span class="nt">&quot;a&quot;</span>: [\n    <span class="mf">1</span>,' in page
    shelf.write('{"a":[1,2', "data", media_type="application/json")
    assert "<pre>\n{&quot;a&quot;:[1,2</pre>" in shelf.page("/p/alpha/artifacts/PRD/data")


def test_what_is_no_text_or_too_long_can_be_downloaded(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"\x89PNG\xff", b"nul\0"):
        shelf.write(content, "bytes", media_type="image/png")
        assert "This content is no text. Download it" in shelf.words("/p/alpha/artifacts/PRD/bytes")
    shelf.write("", "bytes", media_type="text/plain")
    assert "This version is empty." in shelf.words("/p/alpha/artifacts/PRD/bytes")
    monkeypatch.setattr(artifacts, "MAX_SHOWN_BYTES", len(SECOND) - 1)
    assert "This content is too long for a page. Download it" in shelf.words(PAGE)
    assert "brown fox" in shelf.words(f"{PAGE}?version=1")


def test_an_erased_version_says_who_erased_it_and_why_and_what_still_proves_it(
    shelf: Shelf,
) -> None:
    erase_for_good(shelf.ledger, "alpha", "artifact/PRD/main", 1, "It named a person")
    digest = shelf.ledger.views.version("alpha", "PRD", "main", 1, 4).digest
    for path in (f"{PAGE}?version=1", f"{PAGE}?at=2"):
        words = shelf.words(path)
        assert "The content was erased" in words
        assert "user:ada erased it on" in words
        assert "at position 4. The reason that was given: “It named a person”." in words
        assert "The proof stayed" in words
        assert digest.removeprefix("sha256:") in words
        assert "brown" not in words
        assert "as recorded" not in words
    assert "content-erased" in shelf.words(f"{PAGE}/diff")
    assert "brown" not in shelf.words(f"{PAGE}/diff")
    assert "Version 1 erased" in shelf.words(PAGE)


def test_a_content_that_cannot_be_had_now_leaves_the_rest_of_the_page(shelf: Shelf) -> None:
    shelf.served.execute(
        "UPDATE blob SET crc32 = crc32 + 1 WHERE size_bytes = %s", len(SECOND.encode())
    )
    words = shelf.words(PAGE, 500)
    assert "content-damaged" in words
    assert "red fox" not in words
    assert "Version 1" in words


def test_the_original_and_the_source_of_a_text_are_named(shelf: Shelf) -> None:
    shelf.write("Text\n", "imported", source=Source(commit="ab" * 20, path="docs/plan.md"))
    words = shelf.words("/p/alpha/artifacts/PRD/imported")
    assert "docs/plan.md at commit abababababab" in words


def test_the_history_is_paged(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.write("third\n")
    monkeypatch.setattr(artifacts, "HISTORY", 2)
    page = shelf.page(PAGE)
    assert re.findall(r">Version (\d)</a>", page) == ["3", "2"]
    older = unescape(re.findall(r'href="([^"]*)">Older versions', page)[0])
    assert re.findall(r">Version (\d)</a>", shelf.page(older.partition("#")[0])) == ["1"]
    assert "third" in shelf.words(older.partition("#")[0])


def test_two_versions_are_compared_to_the_word(shelf: Shelf) -> None:
    page = shelf.page(f"{PAGE}/diff")
    assert '<del class="word">brown</del> fox.' in page
    assert '<ins class="word">red</ins> fox.' in page
    assert '<span class="out-of-sight">Added: </span><ins>And more.</ins>' in page
    assert re.findall(r"<option[^>]*selected>([^<]*)", page) == ["version 1", "version 2"]
    assert "+3 lines −1 line" in shelf.words(f"{PAGE}/diff")


def test_any_two_versions_can_be_compared_and_the_first_with_nothing(shelf: Shelf) -> None:
    backwards = shelf.page(f"{PAGE}/diff?from=2&to=1")
    assert '<ins class="word">brown</ins>' in backwards
    assert re.findall(r"<option[^>]*selected>([^<]*)", backwards) == ["version 2", "version 1"]
    assert "<ins># The plan</ins>" in shelf.page(f"{PAGE}/diff?from=0&to=1")
    assert "Nothing differs between them." in shelf.words(f"{PAGE}/diff?from=1&to=1")
    at = shelf.page(f"{PAGE}/diff?at=2")
    assert '<input type="hidden" name="at" value="2">' in at
    assert re.findall(r"<option[^>]*selected>([^<]*)", at) == ["nothing", "version 1"]


def test_what_did_not_change_is_folded_and_can_be_shown(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"line {number}\n" for number in range(30)]
    shelf.write("".join(lines), "long")
    shelf.write("".join([*lines[:20], "changed", "\n", *lines[21:]]), "long")
    long = "/p/alpha/artifacts/PRD/long/diff"
    assert "17 unchanged lines" in shelf.words(long)
    assert "6 unchanged lines" in shelf.words(long)
    assert "unchanged line" not in shelf.words(f"{long}?whole=1")
    assert "line 29" in shelf.words(f"{long}?whole=1")
    monkeypatch.setattr(diffs, "MAX_ROWS", 10)
    assert "21 further rows would be too many for a page" in shelf.words(f"{long}?whole=1")


def test_what_is_no_text_is_not_compared(shelf: Shelf) -> None:
    shelf.write(b"\xff\xfe", media_type="image/png")
    assert "They cannot be compared. Version 3 is image/png, not text." in shelf.words(
        f"{PAGE}/diff"
    )


def test_a_draft_is_read_as_far_as_it_is_written(shelf: Shelf) -> None:
    draft = shelf.draft("# New\n\nHalf of a charac\u00e9".encode()[:-1], title="Next")
    path = f"{PAGE}/drafts/{draft.id}"
    page = shelf.page(path)
    assert re.search(r'<article id="draft"[^>]* aria-busy="true" aria-live="off"', page)
    assert '<p id="draft-state" role="status">Being written by ada</p>' in page
    assert "Half of a charac<" in page
    assert f'<noscript><p class="banner">This page moves by a script. Without it: <a href="{path}">' in page  # fmt: skip
    assert f'data-draft="/v1/projects/alpha/artifacts/PRD/main/drafts/{draft.id}"' in page
    assert page.count('<div class="block">') == 2
    assert f'href="{path}"' in shelf.page(PAGE)
    assert f'href="{path}"' not in shelf.page(f"{PAGE}?at=3")


def test_an_artifact_that_is_only_being_written_leads_to_its_draft(shelf: Shelf) -> None:
    draft = shelf.draft("First words", "new", title="To come")
    page = shelf.page("/p/alpha/artifacts/PRD/new", 404)
    assert f'href="/p/alpha/artifacts/PRD/new/drafts/{draft.id}"' in page
    assert "ada is writing the first version" in shelf.words("/p/alpha/artifacts/PRD/new", 404)


def test_a_draft_that_was_committed_is_its_version(shelf: Shelf) -> None:
    draft = shelf.draft("third\n")
    commit_draft(shelf.ledger, "alpha", "PRD", "main", draft.id, actor="ada")
    answer = shelf.reader.get(f"{PAGE}/drafts/{draft.id}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{PAGE}?version=3"
    assert "watch it" not in shelf.words(PAGE)


def test_a_draft_that_was_discarded_says_so(shelf: Shelf) -> None:
    draft = shelf.draft("never mind\n")
    discard_draft(shelf.ledger, "alpha", "PRD", "main", draft.id)
    words = shelf.words(f"{PAGE}/drafts/{draft.id}", 410)
    assert "Discarded: nothing of it was recorded" in words
    assert "never mind" not in words
    assert "live_draft.js" not in shelf.page(f"{PAGE}/drafts/{draft.id}", 410)


def test_what_a_live_page_needs_is_served(shelf: Shelf) -> None:
    page = shelf.page(f"{PAGE}/drafts/{shelf.draft('words').id}")
    [script] = re.findall(r'src="(/static/live_draft\.js[^"]*)"', page)
    source = shelf.page(script)
    for name in re.findall(r'from "\./(\w+\.js)"', source):
        assert shelf.reader.get(f"/static/{name}").status_code == 200, name
    for each in ("block", "truncate", "commit", "abort"):
        assert f'addEventListener("{each}"' in source


def test_links_between_documents_of_a_repository_lead_to_their_pages(shelf: Shelf) -> None:
    text = "# Guide\n\n[Search](search.md#what) and [home](../README.md), [nothing](../LICENSE).\n"
    shelf.write("# Search\n", key="docs.search")
    source = Source(commit="0" * 40, path="docs/guide.md")
    later = shelf.write(text, key="docs.guide", source=source)
    shelf.write("# Home\n", key="README")
    page = shelf.page("/p/alpha/artifacts/PRD/docs.guide")
    assert 'href="/p/alpha/artifacts/PRD/docs.search#h-what"' in page
    assert 'href="/p/alpha/artifacts/PRD/README"' in page
    assert "LICENSE" not in page
    past = shelf.page(f"/p/alpha/artifacts/PRD/docs.guide?at={later}")
    assert f'href="/p/alpha/artifacts/PRD/docs.search?at={later}#h-what"' in past
    assert 'artifacts/PRD/README"' not in past
