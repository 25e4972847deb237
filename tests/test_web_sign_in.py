"""Signing in with a browser: tokens, links, sessions, guests, and forms that others send."""

import re
from collections.abc import Iterator

import pytest

from app.bootstrap import open_ledger
from app.http.visitor import COOKIE
from app.settings import Settings
from app.web.sign_in import safe_path
from tests.serving import Served, serve, serve_ledger
from tests.web_reader import SAME_ORIGIN, WebReader


@pytest.fixture
def served(database_url: str) -> Iterator[Served]:
    with serve(database_url) as running:
        running.ledger.create_project("alpha", title="Alpha", actor="ada")
        running.ledger.create_project("beta", title="Beta", actor="ada")
        yield running


def test_whoever_has_not_signed_in_is_asked_to_and_comes_back(served: Served) -> None:
    answer = WebReader(served).get("/p/alpha?at=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fp%2Falpha%3Fat%3D1"


def test_a_token_signs_in_and_shows_its_projects_alone(served: Served) -> None:
    reader = WebReader(served, served.limited("events:read", projects=("alpha",)))
    page = reader.get("/")
    assert page.status_code == 200
    assert "Alpha" in page.text
    assert "Beta" not in page.text
    assert reader.get("/p/beta").status_code == 403
    assert reader.get("/v1/projects/alpha").status_code == 200
    assert reader.get("/v1/projects/beta").status_code == 403


def test_a_wrong_token_signs_nobody_in(served: Served) -> None:
    answer = WebReader(served).post("/sign-in", token="dbk_wrong")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not known here" in answer.text


def test_the_cookie_is_for_this_host_alone_and_no_script_sees_it(served: Served) -> None:
    answer = WebReader(served).post("/sign-in", token=served.token)
    attributes = answer.headers["set-cookie"].lower()
    for each in ("httponly", "secure", "samesite=lax", "path=/"):
        assert each in attributes
    assert "domain" not in attributes


def test_a_link_signs_in_once_and_looking_at_it_uses_nothing_up(served: Served) -> None:
    with served.client() as client:
        made = client.post("/v1/sign-in-links")
    assert made.status_code == 201
    path = made.json()["path"]
    secret = path.partition("link=")[2]
    nobody = WebReader(served)
    for _ in range(2):
        assert "once" in nobody.get(path).text
    assert nobody.post("/sign-in", link=secret).status_code == 303
    again = nobody.post("/sign-in", link=secret)
    assert again.status_code == 401
    assert "used up" in again.text
    assert nobody.get(path).status_code == 401


def test_a_link_of_a_revoked_token_is_worth_nothing(served: Served) -> None:
    secret, token = served.ledger.tokens.create("short", scopes=["events:read"])
    with served.client(secret) as client:
        path = client.post("/v1/sign-in-links").json()["path"]
    served.ledger.tokens.revoke(token.id)
    assert WebReader(served).post("/sign-in", link=path.partition("=")[2]).status_code == 401


def test_a_session_ends_with_its_token(served: Served) -> None:
    secret, token = served.ledger.tokens.create("short", scopes=["events:read"])
    reader = WebReader(served, secret)
    assert reader.get("/").status_code == 200
    served.ledger.tokens.revoke(token.id)
    assert reader.get("/").status_code == 303
    assert reader.get("/v1/projects").status_code == 401


def test_a_session_ends_after_its_days(served: Served) -> None:
    reader = WebReader(served, served.token)
    served.execute("UPDATE web_session SET expires_at = now() - interval '1 second'")
    assert reader.get("/").status_code == 303


def test_signing_out_ends_the_session_and_not_only_the_cookie(served: Served) -> None:
    reader, other = WebReader(served, served.token), WebReader(served, served.token)
    answer = reader.post("/sign-out")
    assert answer.status_code == 303
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]
    assert reader.get("/").status_code == 303
    assert other.get("/").status_code == 200


def test_another_session_of_the_token_can_be_ended_and_nobody_elses(served: Served) -> None:
    lost, reader = WebReader(served, served.token), WebReader(served, served.token)
    stranger = WebReader(served, served.limited("events:read"))
    page = reader.get("/sessions").text
    rows = page.split("<li>")[1:]
    assert len(rows) == 2
    [other] = [row for row in rows if "this browser" not in row]
    ids = "/sessions/([0-9a-f-]+)/end"
    [own] = re.findall(ids, stranger.get("/sessions").text)
    assert reader.post(f"/sessions/{own}/end").status_code == 404
    [gone] = re.findall(ids, other)
    assert reader.post(f"/sessions/{gone}/end").status_code == 303
    assert reader.get("/").status_code == 200
    assert lost.get("/").status_code == 303
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_no_other_site_sends_a_form(served: Served, headers: dict[str, str]) -> None:
    reader = WebReader(served, served.token)
    assert reader.post("/sign-out", headers).status_code == 403
    assert reader.post("/sign-in", headers, token=served.token).status_code == 403
    assert reader.get("/").status_code == 200


def test_an_old_browser_is_known_by_its_origin(served: Served) -> None:
    reader = WebReader(served, served.token)
    assert reader.post("/sign-out", {"Origin": served.url}).status_code == 303


def test_a_form_of_another_session_is_refused(served: Served) -> None:
    reader = WebReader(served, served.token)
    answer = reader.post("/sign-out", form_token="0" * 64)
    assert answer.status_code == 403
    assert "csrf-failed" in answer.text
    assert reader.get("/").status_code == 200


def test_a_cookie_never_writes_through_the_api(served: Served) -> None:
    reader = WebReader(served, served.token)
    answer = reader.post("/v1/projects", SAME_ORIGIN)
    assert answer.status_code == 401
    assert reader.get("/v1/projects", Authorization="Bearer nonsense").status_code == 401


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/p/alpha?at=3", "/p/alpha?at=3"),
        (None, "/"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/p\r\nSet-Cookie: a=b", "/"),
    ],
)
def test_signing_in_leads_to_this_ledger_alone(given: str | None, expected: str) -> None:
    assert safe_path(given) == expected


def test_a_browser_that_kept_no_cookie_is_told_why(served: Served) -> None:
    answer = WebReader(served).get("/sign-in/done?next=%2Fp%2Falpha")
    assert answer.status_code == 401
    assert "https://" in answer.text
    assert WebReader(served, served.token).get("/sign-in/done?next=%2Fp%2Falpha").headers[
        "location"
    ] == ("/p/alpha")


def test_guests_read_what_is_open_to_them_and_are_asked_to_sign_in_for_more(
    database_url: str,
) -> None:
    settings = Settings(
        database_url=database_url,
        deedbook_host="ledger.example",
        deedbook_embedder="none",
        deedbook_guest_projects=" alpha ,",
    )
    with open_ledger(settings, database_url) as ledger, serve_ledger(ledger, database_url) as open_:
        ledger.create_project("alpha", title="Alpha", actor="ada")
        ledger.create_project("beta", title="Beta", actor="ada")
        guest = WebReader(open_)
        page = guest.get("/")
        assert "Alpha" in page.text
        assert "Beta" not in page.text
        assert guest.get("/p/alpha").status_code == 200
        assert guest.get("/p/beta").status_code == 303
        assert guest.get("/sessions").status_code == 303
        assert guest.get("/v1/projects/alpha").status_code == 200
        assert guest.get("/v1/projects/beta").status_code == 403
        assert guest.get("/v1/tokens").status_code == 403
        assert guest.post("/v1/projects").status_code == 401


def test_pages_forbid_whatever_they_do_not_need(served: Served) -> None:
    headers = WebReader(served, served.token).get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_what_a_page_cannot_show_is_a_page_too(served: Served) -> None:
    reader = WebReader(served, served.token)
    for path, status in [("/p/gamma", 404), ("/p/alpha?at=9", 404), ("/p/alpha?at=x", 400),
                         ("/p/alpha?at=1&at=2", 400), ("/p/alpha?nothing=1", 400)]:  # fmt: skip
        answer = reader.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            status,
            "text/html; charset=utf-8",
        ), path
    assert reader.post("/p/alpha").status_code == 405


def test_titles_are_text_and_never_markup(served: Served) -> None:
    served.ledger.change_project("alpha", title="<script>alert(1)</script>", actor="ada")
    for path in ("/", "/p/alpha"):
        page = WebReader(served, served.token).get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_files_are_kept_for_ever_under_the_name_of_their_content(served: Served) -> None:
    nobody = WebReader(served)
    [path] = re.findall(r'href="(/static/deedbook\.css\?v=[0-9a-f]+)"', nobody.get("/sign-in").text)
    answer = nobody.get(path)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert nobody.get("/static/deedbook.css").headers["cache-control"] == "no-cache"
    tag = answer.headers["etag"]
    assert nobody.get(path, **{"If-None-Match": tag}).status_code == 304
    assert nobody.get("/static/..%2Fsite.py").status_code == 404
    assert nobody.get("/static/nothing.css").status_code == 404
