"""The page on which anybody verifies a ZIP: it needs no session, and sends the file to `/v1/verify`."""

from starlette.responses import Response

from app.http.verify import MAX_BYTES, MAX_SIDECAR_BYTES
from app.web.page import EVERYBODY, Pages, Visit
from app.web.site import shown

pages = Pages()


@pages.show("/verify", scope=EVERYBODY)
def show_verify(visit: Visit[object]) -> Response:
    """Take a file, where there is a script to send it; else say how to do without."""
    return shown(visit, "verify.html", max_bytes=MAX_BYTES, max_sidecar_bytes=MAX_SIDECAR_BYTES)
