"""The inspector of one event: its bytes, what it is about, its way to the root; and what it refuses."""

import html
import re

import httpx2
import pytest

from app.bootstrap import open_ledger
from app.settings import Settings
from domain.merkle import inclusion_proof, leaf_hash, tree_root
from projections.inclusion_path import inclusion_path
from tests.serving import Served, serve_ledger
from tests.web_reader import WebReader


@pytest.fixture
def reader(served: Served) -> WebReader:
    """Somebody signed in who may read everything."""
    return WebReader(served, served.limited("events:read"))


def write(http: httpx2.Client, project: str, key: str, text: str, title: str | None = None) -> None:
    body = {"content": text} if title is None else {"content": text, "title": title}
    made = http.post(f"/v1/projects/{project}/artifacts/PRD/{key}/versions", json=body)
    assert made.status_code == 201, made.text


def element(page: str, name: str) -> str:
    """The text of an element that has an id."""
    found = re.search(rf'id="{name}"[^>]*>(.*?)</', page, re.DOTALL)
    assert found is not None, name
    return html.unescape(found[1])


def test_an_event_is_shown_with_its_very_bytes_and_its_place(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "# Hello\n", title='Ünder "<b>" & \u2028')
    write(http, project, "main", "# Hello again\n")
    line = http.get(f"/v1/projects/{project}/events/2").content
    page = reader.get(f"/p/{project}/events/2").text
    assert element(page, "line").encode() == line
    assert element(page, "leaf") == leaf_hash(line).hex()
    assert "PRD/main version 1: wrote" in html.unescape(page)
    assert "token:admin" in page
    assert f'href="/p/{project}/artifacts/PRD/main"' in page
    assert f'href="/p/{project}/artifacts/PRD/main?at=2"' in page
    assert f'href="/p/{project}/events/1" rel="prev"' in page
    assert f'href="/p/{project}/events/3" rel="next"' in page
    assert f"deedbook proof {project} 2" in page


def test_the_path_to_the_signed_root_can_be_read_without_a_script(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    for number in range(4):
        write(http, project, f"d{number}", "x\n")
    page = reader.get(f"/p/{project}/events/3").text
    root = http.get(f"/v1/projects/{project}").json()["root"].removeprefix("sha256:")
    assert f'Root of 5 events by the checkpoint: <code class="hash">{root}' in page
    said = re.findall(r"on the (left|right), of (events? [0-9 to]+)", page)
    assert said == [("right", "event 4"), ("left", "events 1 to 2"), ("right", "event 5")]
    assert f"<code>{project}.ledger.example+" in page


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21])
def test_every_path_ends_at_the_root_and_covers_every_other_event_once(size: int) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    for index in range(size):
        proof = inclusion_proof(index, leaves)
        steps = inclusion_path(leaves[index], index, size, proof)
        assert [step.sibling for step in steps] == proof
        assert (steps[-1].node if steps else leaves[0]) == tree_root(leaves)
        below = [at for step in steps for at in range(step.first, step.last + 1)]
        assert sorted([*below, index + 1]) == list(range(1, size + 1))
        for step in steps:
            assert step.sibling == tree_root(leaves[step.first - 1 : step.last])
            assert step.on_left == (step.last <= index)


def test_the_position_that_the_reader_chose_is_kept(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "x\n")
    write(http, project, "main", "y\n")
    page = reader.get(f"/p/{project}/events/1?at=2").text
    assert f'href="/p/{project}/events/2?at=2" rel="next"' in page
    last = reader.get(f"/p/{project}/events/2?at=2").text
    assert 'rel="next">Event' not in last
    later = reader.get(f"/p/{project}/events/3?at=2")
    assert later.status_code == 404
    assert "still to come" in later.text


def test_an_erasure_leads_to_what_was_erased(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "a name\n")
    base, named = f"/v1/projects/{project}/erasures", {"kind": "PRD", "key": "main"}
    shown = http.post(f"{base}/preview", json=named).json()
    asked = {**named, "reason": "leaked", "confirm": shown["confirm"]}
    assert http.post(base, json=asked).status_code == 201
    page = reader.get(f"/p/{project}/events/3").text
    assert f'<dt>About</dt><dd><a href="/p/{project}/artifacts/PRD/main">' in page


def test_a_title_that_is_markup_is_text(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "main", "x\n", title="</code><script>alert(1)</script>")
    page = reader.get(f"/p/{project}/events/2").text
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("position", "status"), [("0", 400), ("x", 400), ("01", 400), ("9" * 19, 400), ("99", 404)]
)
def test_a_position_that_is_none_is_a_page_that_says_so(
    project: str, reader: WebReader, position: str, status: int
) -> None:
    answer = reader.get(f"/p/{project}/events/{position}")
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )


def test_where_nothing_was_signed_the_page_says_why_and_shows_the_event(database_url: str) -> None:
    settings = Settings(
        database_url=database_url, deedbook_host="ledger.example", deedbook_embedder="none"
    )
    with (
        open_ledger(settings, database_url) as ledger,
        serve_ledger(ledger, database_url) as unsigned,
    ):
        ledger.create_project("alpha", title="Alpha", actor="ada")
        page = WebReader(unsigned, unsigned.token).get("/p/alpha/events/1").text
    assert "checkpoint-unsigned" in page
    assert 'id="proof"' not in page
    assert '"type":"ProjectCreated"' in element(page, "line")


def test_who_may_not_read_the_project_does_not_read_its_events(
    project: str, served: Served
) -> None:
    path = f"/p/{project}/events/1"
    assert WebReader(served).get(path).status_code == 303
    other = WebReader(served, served.limited("events:read", projects=("other",)))
    assert other.get(path).status_code == 403
