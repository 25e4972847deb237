"""Every link on every page leads somewhere, and every picture, sheet and script is there."""

import re
from html import unescape

import httpx2
import pytest

from app.http.visitor import COOKIE
from tests.browser.screen import Place
from tests.browser.served_pages import paths
from tests.browser.test_every_page import LOOKS, SHOWN

ERASED = "content-erased"
"""What was erased is named all the same."""
NOT_YET = ("was not written yet", "No version of it is recorded yet")
"""So says the page of an artifact at a position before its first version."""
MOST_LINKS = 2_000


def leads_somewhere(answer: httpx2.Response) -> bool:
    if answer.status_code < 400:
        return True
    answer.read()
    if answer.status_code == 410:
        return ERASED in answer.text
    return answer.status_code == 404 and any(one in answer.text for one in NOT_YET)


@pytest.mark.skipif(not SHOWN.keys() <= paths(), reason="not all pages are part of this version")
def test_every_link_leads_somewhere(sample_place: Place) -> None:
    found: dict[str, str] = {}
    wrong = []
    with httpx2.Client(base_url=sample_place.url, trust_env=False, timeout=30.0) as http:
        cookie = {"Cookie": f"{COOKIE}={sample_place.session}"}
        for path in LOOKS.values():
            page = http.get(path, headers=cookie)
            assert page.status_code in {200, 303}, path
            html = re.sub("<template.*?</template>", "", page.text, flags=re.DOTALL)
            for one in re.findall(r'(?:href|src)="([^"]+)"', html):
                link = unescape(one).partition("#")[0]
                if link.startswith("/"):
                    found.setdefault(link, path)
        assert 100 < len(found) < MOST_LINKS
        for link, page_path in found.items():
            with http.stream("GET", link, headers=cookie) as answer:
                if not leads_somewhere(answer):
                    wrong.append(f"{page_path} -> {link}: {answer.status_code}")
    assert wrong == []
