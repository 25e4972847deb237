"""A reader of pages who is signed in, as a plain HTTP client."""

import re

import httpx2

from app.http.visitor import COOKIE
from tests.serving import Served

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class WebReader:
    """Reads pages and sends forms with the session of a token; without one, as nobody."""

    def __init__(self, served: Served, token: str | None = None) -> None:
        self._served = served
        self._cookie: dict[str, str] = {}
        self._form_token = ""
        if token is not None:
            answer = self.post("/sign-in", token=token)
            assert answer.status_code == 303, answer.text
            secret = re.match(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])
            assert secret is not None
            self._cookie = {"Cookie": f"{COOKIE}={secret[1]}"}
            found = re.search(
                'name="form_token" value="([0-9a-f]{64})"', self.get("/sessions").text
            )
            assert found is not None
            self._form_token = found[1]

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Read a page; redirections are not followed."""
        with self._served.client("") as client:
            return client.get(path, headers={**self._cookie, **headers})

    def post(
        self, path: str, headers: dict[str, str] = SAME_ORIGIN, **fields: str
    ) -> httpx2.Response:
        """Send a form, with the token of the session's forms."""
        with self._served.client("") as client:
            return client.post(
                path,
                data={"form_token": self._form_token, **fields},
                headers={**self._cookie, **headers},
            )
