"""The search page: what is found and how it is shown, and what is said when less is found than was asked."""

import re
from html import unescape
from typing import get_args

import httpx2
import pytest

from app.web.search_page import MODES, WARNINGS
from domain.search import Mode, Warned
from projections.search.marked import Piece, pieces
from tests.serving import Served
from tests.web_reader import WebReader


@pytest.fixture
def reader(served: Served) -> WebReader:
    return WebReader(served, served.token)


def write(http: httpx2.Client, project: str, key: str, content: str, **more: object) -> None:
    made = http.post(
        f"/v1/projects/{project}/artifacts/PRD/{key}/versions", json={"content": content, **more}
    )
    assert made.status_code == 201, made.text


def index(served: Served) -> None:
    while served.ledger.index_jobs.catch_up():
        pass


def titles(page: str) -> list[str]:
    return [unescape(one) for one in re.findall(r"<h2><a [^>]*>([^<]*)</a></h2>", page)]


def test_what_was_found_is_shown_with_its_passage_and_leads_to_it(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "a b", "# Client\n\n## Re-trying it\n\nA failed upload is tried again.\n")
    write(http, project, "colours", "# Design\n\nThe page is blue.\n")
    index(served)
    answer = reader.get(f"/p/{project}/search?q=failed+upload&mode=lexical")
    assert answer.status_code == 200
    page = unescape(answer.text)
    assert titles(page) == ["Client"]
    path = f"/p/{project}/artifacts/PRD/a%20b?version=1"
    assert f'<h2><a href="{path}">Client</a></h2>' in page
    assert f'<a class="way" href="{path}#:~:text=Re%2Dtrying%20it">Re-trying it</a>' in page
    assert "A <mark>failed</mark> <mark>upload</mark> is tried again." in page
    assert '<span class="chip">PRD</span>' in page
    assert f'version 1 · position <a href="/p/{project}/events/2">2</a>' in page
    assert "1 result by words alone." in page
    assert "Less than was asked for" not in page
    assert "The index has come" not in page
    assert 'value="failed upload"' in page


def test_a_run_is_found_and_leads_to_its_page(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    event = {"stream": "run/r1", "type": "RunCreated", "data": {"title": "Feed the walrus"}}
    http.post(f"/v1/projects/{project}/events", json={"events": [event]})
    index(served)
    page = reader.get(f"/p/{project}/search?q=walrus").text
    assert f'<h2><a href="/p/{project}/runs/r1">Feed the walrus</a></h2>' in page


def test_less_than_was_asked_for_is_said_with_the_reason(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    page = unescape(reader.get(f"/p/{project}/search?q=zebra").text)
    assert "by words alone." in page
    assert "Less than was asked for." in page
    assert "This ledger has no model for meanings" in page


def test_every_warning_and_every_mode_has_its_words() -> None:
    assert set(WARNINGS) == set(get_args(Warned))
    assert set(MODES) == set(get_args(Mode))


def test_an_index_that_lags_says_how_far_it_has_come(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    write(http, project, "other", "Another zebra.\n")
    page = reader.get(f"/p/{project}/search?q=zebra&mode=lexical").text
    assert "The index has come to position 2 of 3." in page
    assert "What was recorded last may be missing" in page
    assert "Less than was asked for" not in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("q=%21%3F&mode=lexical", "query-invalid"),
        ("q=the+and+of&mode=lexical", "query-invalid"),
        (f"q={'x' * 2_001}", "query-invalid"),
        ("q=%1b", "query-invalid"),
        ("q=zebra&mode=semantic", "semantic-unavailable"),
        ("q=zebra&limit=51", "query-invalid"),
    ],
)
def test_a_bad_query_is_a_problem_on_the_page_and_no_empty_list(
    project: str, reader: WebReader, query: str, said: str
) -> None:
    for path in (f"/p/{project}/search", "/search"):
        answer = reader.get(f"{path}?{query}")
        assert answer.status_code == 422
        [problem] = re.findall(
            r'<p class="problem" id="problem" role="alert">(.*?)</p>', answer.text
        )
        assert said in problem
        assert 'aria-describedby="problem"' in answer.text
        assert "Nothing fits" not in answer.text
        assert '<input type="search"' in answer.text


def test_what_is_no_parameter_is_refused(project: str, reader: WebReader) -> None:
    for query in ("mode=magic", "q=a%00b", "colour=red", "limit=many"):
        assert reader.get(f"/p/{project}/search?{query}").status_code == 400, query


def test_before_anything_is_asked_there_are_examples(project: str, reader: WebReader) -> None:
    page = reader.get(f"/p/{project}/search?q=").text
    assert f'href="/p/{project}/search?q=FR-014">FR-014</a>' in page
    assert 'role="alert"' not in page
    assert "Nothing fits" not in page


def test_nothing_found_is_said_with_what_would_help(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    page = unescape(reader.get(f"/p/{project}/search?q=zebra&kind=adr&mode=lexical").text)
    assert "Nothing fits" in page
    assert f'href="/p/{project}/search?q=zebra&mode=lexical">search in all kinds</a>' in page
    assert 'name="kind" value="ADR"' in page
    found = reader.get(f"/p/{project}/search?q=zebra&kind=prd&mode=lexical").text
    assert titles(found) == ["main"]


def test_the_past_is_not_searched_and_the_present_is_a_link_away(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    answer = reader.get(f"/p/{project}/search?q=zebra&at=1")
    assert answer.status_code == 422
    page = unescape(answer.text)
    assert "search-past-position" in page
    assert titles(page) == []
    assert f'href="/p/{project}/search?q=zebra&mode=hybrid">Search the present</a>' in page
    assert titles(reader.get(f"/p/{project}/search?q=zebra&at=2").text) == ["main"]
    assert "Search the present" in reader.get(f"/p/{project}/search?at=1").text


def test_more_results_are_a_link_away(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    for number in range(3):
        write(http, project, f"n{number}", f"The zebra {number}.\n")
    index(served)
    page = unescape(reader.get(f"/p/{project}/search?q=zebra&mode=lexical&limit=2").text)
    assert "The best 2 results" in page
    [path] = re.findall(r'href="([^"]*)">Up to 50 results', page)
    everything = reader.get(path).text
    assert len(titles(everything)) == 3
    assert "Up to 50 results" not in everything


def test_all_projects_that_the_reader_may_see_are_searched_and_no_other(
    served: Served, http: httpx2.Client, project: str
) -> None:
    http.post("/v1/projects", json={"slug": f"{project}-b", "title": "Another"})
    http.post("/v1/projects", json={"slug": f"{project}-c", "title": "A third"})
    for each in (project, f"{project}-b", f"{project}-c"):
        write(http, each, "main", "quokka\n", title=f"Of {each}")
    index(served)
    two = WebReader(served, served.limited("events:read", projects=(project, f"{project}-b")))
    page = two.get("/search?q=quokka&mode=lexical").text
    assert sorted(titles(page)) == [f"Of {project}", f"Of {project}-b"]
    assert f'<a class="chip" href="/p/{project}-b">{project}-b</a>' in page
    assert f"{project}-c" not in page
    none = WebReader(served, served.limited("events:read", projects=("nowhere",)))
    assert "no project yet" in none.get("/search?q=quokka").text


def test_what_was_written_is_text_and_never_markup(
    served: Served, http: httpx2.Client, project: str, reader: WebReader
) -> None:
    hostile = "<script>alert(1)</script><b>zebra</b>"
    write(
        http, project, "main", f"# {hostile}\n\n## {hostile}\n\nA zebra {hostile}\n", title=hostile
    )
    index(served)
    page = reader.get(f"/p/{project}/search?q=zebra+%3Cscript%3E&mode=lexical").text
    assert "<script>" not in page
    assert "<b>" not in page
    assert "<mark>zebra</mark>" in page


def test_the_search_is_for_readers(served: Served, project: str) -> None:
    nobody = WebReader(served)
    for path in (f"/p/{project}/search?q=a", "/search?q=a"):
        assert nobody.get(path).headers["location"].startswith("/sign-in?next=")
    assert 'href="/search"' not in nobody.get("/sign-in").text
    stranger = WebReader(served, served.limited("events:read", projects=("another",)))
    assert stranger.get(f"/p/{project}/search?q=a").status_code == 403
    assert 'href="/search"' in stranger.get("/").text
    assert WebReader(served, served.token).get("/p/nowhere/search?q=a").status_code == 404


def test_a_snippet_in_pieces_is_the_snippet() -> None:
    text = "one two three"
    for marks in (
        (),
        ((0, 3),),
        ((4, 7), (8, 13)),
        ((0, 13),),
        ((4, 9), (5, 6), (7, 99)),
        ((9, 9),),
    ):
        found = pieces(text, marks)
        assert "".join(one.text for one in found) == text
        assert all(one.text for one in found)
    assert pieces(text, ((8, 99), (4, 7))) == (
        Piece("one ", fits=False),
        Piece("two", fits=True),
        Piece(" ", fits=False),
        Piece("three", fits=True),
    )
    assert pieces("", ((0, 1),)) == ()
