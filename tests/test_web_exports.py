"""The pages of exports and of verification: what they show, what their forms do, and what they refuse."""

import hashlib
import html
import re

import httpx2
import pytest

from domain.seal import parse_statement
from domain.sigstore_bundle import parse_bundle
from tests.serving import Served
from tests.web_reader import SAME_ORIGIN, WebReader

COMMIT = "3c8f0a3d1f3c6d0b5a1e7f2d9c4b8a6e5d7f1c20"
REPOSITORY = "https://git.example/a"


@pytest.fixture
def filled(http: httpx2.Client, project: str) -> str:
    """A document of two versions and a run: the newest position is 4."""
    for text in ("# One\n", "# Two\n"):
        made = http.post(
            f"/v1/projects/{project}/artifacts/PRD/main/versions", json={"content": text}
        )
        assert made.status_code == 201, made.text
    run = {"type": "RunCreated", "data": {"title": "A <b>run</b>"}}
    made = http.post(f"/v1/projects/{project}/streams/run/r1", json=run)
    assert made.status_code == 201, made.text
    return project


@pytest.fixture
def taker(served: Served) -> WebReader:
    """Somebody who may read and take exports."""
    return WebReader(served, served.limited("events:read", "exports:create"))


def links(page: str) -> list[str]:
    """Where the links of a page lead."""
    return [html.unescape(one) for one in re.findall(r'href="([^"]+)"', page)]


def test_a_look_at_an_export_makes_none_and_a_button_works_out_its_hashes(
    http: httpx2.Client, filled: str, taker: WebReader, served: Served
) -> None:
    page = taker.get(f"/p/{filled}/exports").text
    root = http.get(f"/v1/projects/{filled}").json()["root"].removeprefix("sha256:")
    assert f"<code>{root}</code>" in page
    assert "4 events, 1 artifact with 6 bytes" in page
    assert f"{filled}-4.zip" in page
    assert 'id="zip-sha256"' not in page
    assert served.ledger.exports.known(filled, 4, "project") is None
    done = taker.post(f"/p/{filled}/exports/hashes", at="4")
    assert (done.status_code, done.headers["location"]) == (303, f"/p/{filled}/exports?at=4")
    page = taker.get(done.headers["location"]).text
    content = http.get(f"/v1/projects/{filled}/exports/4.zip").content
    assert f'<code id="zip-sha256">{hashlib.sha256(content).hexdigest()}</code>' in page
    assert f"({len(content):,} bytes)" in page
    assert "Work out" not in page


def test_the_zip_is_one_link_away_with_the_cookie(filled: str, taker: WebReader) -> None:
    page = taker.get(f"/p/{filled}/exports?at=2&originals=true").text
    [path] = [one for one in links(page) if ".zip" in one]
    assert path == f"/v1/projects/{filled}/exports/2.zip?originals=true"
    taken = taker.get(path)
    assert taken.status_code == 200
    assert f'filename="{filled}-2-originals.zip"' in taken.headers["content-disposition"]
    assert f"deedbook verify {filled}-2-originals.zip --trust keys/trust.json" in page
    assert f"deedbook export {filled} --at 2 --originals --seal" in page


def test_one_run_can_be_chosen(filled: str, taker: WebReader) -> None:
    page = taker.get(f"/p/{filled}/exports?run=r1").text
    assert "1 event of run r1, with the leaf hashes of all 4 events" in page
    assert '<option value="r1" selected>Run r1: A &lt;b&gt;run&lt;/b&gt;</option>' in page
    assert f"/v1/projects/{filled}/exports/4.zip?run=r1" in links(page)
    early = taker.get(f"/p/{filled}/exports?run=r1&at=2")
    assert early.status_code == 404
    assert "run-not-found" in early.text
    assert taker.get(f"/p/{filled}/exports?run=No+Run").status_code == 400


def test_a_form_seals_and_the_seal_is_listed_with_its_bundle(filled: str, taker: WebReader) -> None:
    assert "No export of this project was sealed yet" in taker.get(f"/p/{filled}/exports").text
    done = taker.post(f"/p/{filled}/exports/seal", at="3")
    assert done.status_code == 303
    page = taker.get(done.headers["location"]).text
    assert 'role="status">Sealed, at index' in page
    headed = taker.post(
        f"/p/{filled}/exports/seal", at="4", run="r1", commit=COMMIT, repository=REPOSITORY
    )
    page = taker.get(headed.headers["location"]).text
    assert page.count("this export") == 1
    said = []
    for path in dict.fromkeys(one for one in links(page) if "/seal" in one):
        answer = taker.get(path)
        assert answer.status_code == 200
        said.append(parse_statement(parse_bundle(answer.content).statement))
    assert [(one.position, one.scope) for one in said] == [(4, "run:r1"), (3, "project")]
    assert said[0].head is not None
    assert said[0].head.commit == COMMIT
    assert f"{filled}-r1-4.zip.sigstore.json" in page


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, "invalid-parameter"),
        ({"at": "99"}, 404, "position-in-the-future"),
        ({"at": "x"}, 400, "invalid-parameter"),
        ({"at": "4", "commit": COMMIT}, 400, "invalid-parameter"),
        ({"at": "4", "commit": "main", "repository": REPOSITORY}, 422, "validation-failed"),
        ({"at": "4", "run": "none"}, 404, "run-not-found"),
        ({"at": "4", "more": "1"}, 400, "invalid-parameter"),
    ],
)
def test_what_cannot_be_sealed_is_a_page_that_says_so_and_seals_nothing(
    filled: str, taker: WebReader, fields: dict[str, str], status: int, code: str
) -> None:
    answer = taker.post(f"/p/{filled}/exports/seal", SAME_ORIGIN, **fields)
    assert answer.status_code == status
    assert code in answer.text
    assert "No export of this project was sealed yet" in taker.get(f"/p/{filled}/exports").text


def test_who_may_only_read_is_shown_no_button_and_refused_the_form(
    filled: str, served: Served, taker: WebReader
) -> None:
    taker.post(f"/p/{filled}/exports/seal", at="4")
    reader = WebReader(served, served.limited("events:read"))
    page = reader.get(f"/p/{filled}/exports").text
    assert "exports:create" in page
    assert '<form method="post" action="/p/' not in page
    assert not [one for one in links(page) if one.startswith("/v1/")]
    for form in ("seal", "hashes"):
        assert reader.post(f"/p/{filled}/exports/{form}", at="4").status_code == 403
    foreign = WebReader(served, served.limited("exports:create", "events:read", projects=("x",)))
    assert foreign.get(f"/p/{filled}/exports").status_code == 403
    assert foreign.post(f"/p/{filled}/exports/seal", at="4").status_code == 403
    assert WebReader(served).get(f"/p/{filled}/exports").status_code == 303


def test_a_form_of_another_site_seals_nothing(filled: str, taker: WebReader) -> None:
    path = f"/p/{filled}/exports/seal"
    assert taker.post(path, {"Sec-Fetch-Site": "cross-site"}, at="4").status_code == 403
    assert taker.post(path, at="4", form_token="0" * 64).status_code == 403
    assert "No export of this project was sealed yet" in taker.get(f"/p/{filled}/exports").text


def test_anybody_sees_how_to_verify_with_a_script_and_without(served: Served) -> None:
    answer = WebReader(served).get("/verify")
    assert answer.status_code == 200
    for command in ("deedbook verify FILE.zip --trust trust.json", "deedbook verifier -o"):
        assert command in answer.text
    assert '<form id="verify"' in answer.text
    assert re.search(r'<form id="verify"[^>]* hidden>', answer.text)
    [script] = [one for one in re.findall(r'src="([^"]+)"', answer.text) if "verify.js" in one]
    code = WebReader(served).get(script).text
    assert "/v1/verify" in code
    assert "innerHTML" not in code
