"""The inspector of one event: its stored bytes, what it is about, and its way to the log's signed root."""

import msgspec
from starlette.responses import Response

from app.http.events import position_in
from app.ledger import Ledger
from app.web.page import Pages, Visit
from app.web.place import AtQuery, Place, stand
from app.web.site import segment, shown
from domain.checkpoint import parse_checkpoint
from domain.errors import DeedbookError, NotFound
from domain.events import ArtifactErased, Recorded, RecordErased, parse
from domain.names import ArtifactStream, RunStream, parse_stream
from domain.signed_note import format_key, parse_note
from projections.inclusion_path import PathStep, inclusion_path
from projections.trail import sentence

pages = Pages()


class Subject(msgspec.Struct, frozen=True):
    """What an event is about: its name and its page."""

    name: str
    path: str


class Inclusion(msgspec.Struct, frozen=True):
    """The way to the newest checkpoint that covers the event.

    Attributes:
        keys: The verifier keys that this ledger says have signed it.
    """

    size: int
    root: bytes
    steps: tuple[PathStep, ...]
    keys: tuple[str, ...]


@pages.show("/p/{project}/events/{position}", query=AtQuery)
def show_event(visit: Visit[AtQuery]) -> Response:
    """Show one event."""
    position = position_in(visit.path["position"])
    place = stand(visit, visit.query.at)
    if place.at is not None and position > place.position:
        raise NotFound(
            "position-in-the-future",
            f"At position {place.position} the event {position} was still to come.",
        )
    stored = visit.ledger.events.get(visit.project, position)
    event = parse(stored.line)
    inclusion, problem = None, None
    try:
        inclusion = _inclusion(visit.ledger, visit.project, position, stored.leaf)
    except (
        DeedbookError
    ) as error:  # no checkpoint yet, or an alarm: the event can be read all the same
        problem = error
    return shown(
        visit,
        "event.html",
        place=place,
        here="trail",
        event=event,
        sentence=sentence(event),
        subject=_subject(place, event),
        line=stored.line.decode(),
        pretty=msgspec.json.format(stored.line, indent=2).decode(),
        size_bytes=len(stored.line),
        leaf=stored.leaf,
        inclusion=inclusion,
        problem=problem,
    )


def _inclusion(ledger: Ledger, project: str, position: int, leaf: bytes) -> Inclusion:
    proof = ledger.checkpoints.inclusion(project, position)
    checkpoint = parse_checkpoint(parse_note(proof.checkpoint).text)
    try:
        known = ledger.seals.trust().note_keys(checkpoint.origin, checkpoint.size)
    except NotFound:  # a log that was signed elsewhere
        known = []
    return Inclusion(
        size=checkpoint.size,
        root=checkpoint.root,
        steps=inclusion_path(leaf, proof.index, checkpoint.size, proof.hashes),
        keys=tuple(format_key(one) for one in known),
    )


def _subject(place: Place, event: Recorded) -> Subject:
    """What the event is about; an erasure is about what was erased."""
    name = event.stream
    if isinstance(event.data, ArtifactErased):
        name = event.data.artifact
    elif isinstance(event.data, RecordErased):
        name = event.data.record
    match parse_stream(name):
        case ArtifactStream(kind, key):
            path = f"{place.path}/artifacts/{segment(kind)}/{segment(key)}"
            return Subject(f"{kind} / {key}", path)
        case RunStream(run_id):
            return Subject(f"run {run_id}", f"{place.path}/runs/{segment(run_id)}")
        case _:
            return Subject(place.project.title, place.path)
