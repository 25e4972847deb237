"""Every link on every page leads somewhere, and every picture, sheet and script is there."""

import re
from html import unescape

import httpx2
import pytest

from app.http.visitor import COOKIE
from tests.browser.screen import Place
from tests.browser.served_pages import paths
from tests.browser.test_every_page import LOOKS, SHOWN

GONE = {
    "content-erased",  # a document that was erased is named all the same
}
MOST_LINKS = 2_000


@pytest.mark.skipif(not SHOWN.keys() <= paths(), reason="not all pages are part of this version")
def test_every_link_leads_somewhere(sample_place: Place) -> None:
    found: dict[str, str] = {}
    wrong = []
    with httpx2.Client(base_url=sample_place.url, trust_env=False, timeout=30.0) as http:
        cookie = {"Cookie": f"{COOKIE}={sample_place.session}"}
        for path in LOOKS.values():
            page = http.get(path, headers=cookie)
            assert page.status_code in {200, 303}, path
            for one in re.findall(r'(?:href|src|action)="([^"]+)"', page.text):
                link = unescape(one).partition("#")[0]
                if link.startswith("/"):
                    found.setdefault(link, path)
        assert 100 < len(found) < MOST_LINKS
        for link, page_path in found.items():
            with http.stream("GET", link, headers=cookie) as answer:
                if (
                    answer.status_code == 410
                    and answer.read()
                    and any(code in answer.text for code in GONE)
                ):
                    continue
                # A form's address that only takes one is not for reading.
                if answer.status_code >= 400 and answer.headers.get("allow") != "POST":
                    wrong.append(f"{page_path} -> {link}: {answer.status_code}")
    assert wrong == []
