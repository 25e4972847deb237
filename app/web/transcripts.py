"""A transcript: what a command of a run wrote, in its colours, line by line."""

from typing import Annotated

import msgspec
from starlette.responses import Response

from app.http.events import position_in
from app.ledger import Ledger
from app.web.page import Pages, Visit
from app.web.place import stand
from app.web.runs import run_in
from app.web.site import shown
from domain.digest import parse_digest
from domain.errors import Damaged, Gone, NotFound
from domain.events import Content, TranscriptRecorded, parse
from domain.names import run_stream
from projections.ansi import line_count, terminal_lines

pages = Pages()

LINES = 1_000
"""On one page."""
MAX_SHOWN_BYTES = 4 * 1024 * 1024 + 64 * 1024
"""`record transcript` keeps 4 MiB, and a note; of more that somebody else has sent, the beginning."""


class TranscriptQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position to show; the line that the page begins with."""

    at: int | None = None
    line: Annotated[int, msgspec.Meta(ge=1, le=MAX_SHOWN_BYTES)] = 1


@pages.show("/p/{project}/runs/{run}/transcripts/{position}", query=TranscriptQuery)
def show_transcript(visit: Visit[TranscriptQuery]) -> Response:
    """Show the transcript that the event at a position recorded."""
    place = stand(visit, visit.query.at)
    run = run_in(visit)
    position = position_in(visit.path["position"])
    event = parse(visit.ledger.events.get(visit.project, position).line)
    data = event.data
    if (
        position > place.position
        or event.stream != run_stream(run)
        or not isinstance(data, TranscriptRecorded)
    ):
        raise NotFound(
            "event-not-found", f"Run {run} recorded no transcript at position {position}."
        )
    text, problem = _text(visit.ledger, visit.project, data.content)
    total = line_count(text)
    first = visit.query.line
    return shown(
        visit,
        "transcript.html",
        place=place,
        here="runs",
        time_path=f"{place.path}/runs/{run}",
        run=run,
        event=event,
        data=data,
        problem=problem,
        lines=list(enumerate(terminal_lines(text, first=first, most=LINES), start=first)),
        total=total,
        first=first,
        page=LINES,
        last_page=max(1, total - LINES + 1),
        cut=data.content.size_bytes > MAX_SHOWN_BYTES,
        most_bytes=MAX_SHOWN_BYTES,
    )


def _text(ledger: Ledger, project: str, content: Content) -> tuple[str, str]:
    """What was written, or why it is not there."""
    sha256 = parse_digest(content.digest)
    end = min(content.size_bytes, MAX_SHOWN_BYTES)
    try:
        raw = b"".join(ledger.blobs.pieces(project, sha256, 0, end))
    except (NotFound, Gone, Damaged) as error:
        return "", error.detail
    return raw.decode("utf-8", "replace"), ""
