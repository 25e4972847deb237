"""How pages are made: templates, the words and figures in them, and the headers that keep them safe."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import jinja2
from starlette.responses import RedirectResponse, Response

from app.durations import readable_duration
from app.web.page import Visit
from app.web.static_files import address_of

HEADERS = {
    "Content-Security-Policy": "; ".join(  # noqa: FLY002 -- one a line
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types deedbook",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
UNITS = ("bytes", "KiB", "MiB", "GiB")


def html_page(template: str, status: int = 200, **values: object) -> Response:
    """A page that shows nothing of whoever reads it."""
    text = _templates.get_template(template).render(values)
    return Response(text, status, HEADERS, "text/html; charset=utf-8")


def shown(visit: Visit[object], template: str, *, status: int = 200, **values: object) -> Response:
    """A page as an answer to a visit, with who reads it in its head."""
    return html_page(template, status, visit=visit, **values)


def see(place: str) -> Response:
    """Off to another page, after a form was taken."""
    return RedirectResponse(place, 303, {"Cache-Control": "no-store"})


def link(path: str, parameters: Mapping[str, object] | None = None) -> str:
    """A path with parameters; those that are None or empty are left away."""
    given = {name: value for name, value in (parameters or {}).items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def segment(text: object) -> str:
    """A name as one segment of a path."""
    return quote(str(text), safe="")


def size(size_bytes: int) -> str:
    """A number of bytes for people, in binary units (IEC 80000-13)."""
    amount, unit = float(size_bytes), 0
    while amount >= 1_024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1_024, unit + 1
    return f"{size_bytes} {UNITS[0]}" if unit == 0 else f"{amount:.1f} {UNITS[unit]}"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 event, 2 events."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def day_and_time(text: str) -> str:
    """An RFC 3339 time for people, still in UTC: 2026-11-03 17:04:05."""
    return text[:19].replace("T", " ")


def short(digest: str) -> str:
    """The first characters of a digest; the whole one is a page or a title away."""
    return digest.removeprefix("sha256:")[:12]


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        size=size,
        count=count,
        when=day_and_time,
        short=short,
        segment=segment,
        duration=readable_duration,
    )
    made.globals.update(link=link, static=address_of, visit=None)
    return made


_templates = _environment()
