"""Exports of a project: what one is, its hashes, taking it away, and sealing it.

Nothing is made for the page to be shown: what is not known yet of an export, a button works out.
"""

import msgspec
from starlette.responses import Response

from app.http.call import decode_query
from app.http.exports import ExportQuery, scope_of
from app.seals import SealMade
from app.web.page import Pages, Visit
from app.web.place import Place, stand
from app.web.site import link, see, segment, shown
from domain.errors import DeedbookError, Malformed
from domain.names import run_stream
from domain.seal import Head, Seal
from projections.bundle import Scope, read_scope

pages = Pages()

RUNS = 200
"""Offered to choose from."""
ARTIFACTS = 1_000
"""Counted at most."""
SEALS = 50


class ExportsQuery(ExportQuery, frozen=True, forbid_unknown_fields=True):
    """Which export; and what was just done with it."""

    at: int | None = None
    done: str | None = None


class ExportForm(ExportQuery, frozen=True, forbid_unknown_fields=True):
    """Which export, and for a seal the commit that it is for."""

    at: int | None = None
    commit: str | None = None
    repository: str | None = None


class Preview(msgspec.Struct, frozen=True):
    """What will be in an export, as far as the views tell without making it.

    Attributes:
        artifacts: Of the whole project, up to `ARTIFACTS`; None for that of a run.
        size_bytes: Of their latest versions.
    """

    events: int
    artifacts: int | None = None
    size_bytes: int = 0


class SealRow(msgspec.Struct, frozen=True):
    """A seal in the list.

    Attributes:
        page: Of the export that it seals.
        sidecar: Where the Sigstore bundle is.
    """

    index: int
    seal: Seal
    page: str
    sidecar: str


@pages.show("/p/{project}/exports", query=ExportsQuery)
def show_exports(visit: Visit[ExportsQuery]) -> Response:
    """Show the export of a position and scope."""
    query, ledger = visit.query, visit.ledger
    place = stand(visit, query.at)
    scope = read_scope(scope_of(query))
    if scope.run is not None:
        ledger.views.run(visit.project, scope.run, place.position)
    runs = ledger.views.runs(visit.project, place.position, limit=RUNS)
    root, problem = None, None
    try:
        root = ledger.checkpoints.root_at(visit.project, place.position)
    except DeedbookError as error:
        problem = error
    own = ledger.seals.of_export(visit.project, place.position, scope.name)
    made = ledger.seals.listed(visit.project, SEALS)
    return shown(
        visit,
        "exports.html",
        place=place,
        here="exports",
        time_path=f"{place.path}/exports",
        scope=scope,
        runs=runs,
        listed=scope.run is None or any(one.run_id == scope.run for one in runs),
        preview=_preview(visit, place, scope),
        record=ledger.exports.known(visit.project, place.position, scope.name),
        file_name=f"{scope.folder(place.project.origin, place.position)}.zip",
        zip_path=_api(place.slug, place.position, scope, ".zip"),
        manifest_path=_api(place.slug, place.position, scope, "/manifest"),
        root=root,
        problem=problem,
        own=[_row(place, one) for one in own],
        seals=[_row(place, one) for one in made],
        done=query.done,
    )


@pages.take("/p/{project}/exports/hashes", scope="exports:create")
def work_out_hashes(visit: Visit[object]) -> Response:
    """Make the export and read it through, which gives its size and hashes."""
    form, position, scope = _asked(visit)
    visit.ledger.exports.whole(visit.project, position, scope.name)
    return see(_page(visit.project, form.at, scope))


@pages.take("/p/{project}/exports/seal", scope="exports:create")
def seal(visit: Visit[object]) -> Response:
    """Seal the export, for a commit if one is named."""
    form, position, scope = _asked(visit)
    if (form.commit is None) != (form.repository is None):
        raise Malformed("invalid-parameter", "A commit needs its repository, and the reverse.")
    head = None
    if form.commit is not None and form.repository is not None:
        head = Head(form.commit, form.repository)
    visit.ledger.seals.seal(visit.project, position, scope.name, head)
    return see(_page(visit.project, form.at, scope, done="sealed"))


def _asked(visit: Visit[object]) -> tuple[ExportForm, int, Scope]:
    """The export that a form names; the position is in it, since the log may have grown meanwhile."""
    given = {name: value for name, value in visit.form.items() if value}
    form = decode_query(given, ExportForm)
    if form.at is None:
        raise Malformed("invalid-parameter", "The form names no position.")
    return form, form.at, read_scope(scope_of(form))


def _preview(visit: Visit[object], place: Place, scope: Scope) -> Preview:
    if scope.run is not None:
        stream = run_stream(scope.run)
        return Preview(visit.ledger.events.version(visit.project, stream, place.position))
    found = visit.ledger.views.artifacts(visit.project, place.position, limit=ARTIFACTS)
    there = [one for one in found if one.erased_position is None]
    return Preview(place.position, len(there), sum(one.size_bytes for one in there))


def _row(place: Place, made: SealMade) -> SealRow:
    seal, scope = made.seal, read_scope(made.seal.scope)
    head = None if seal.head is None else seal.head.commit
    sidecar = _api(place.slug, seal.position, scope, "/seal", head=head)
    return SealRow(made.index, seal, _page(place.slug, seal.position, scope), sidecar)


def _page(slug: str, position: int | None, scope: Scope, **more: str | None) -> str:
    return link(f"/p/{segment(slug)}/exports", {"at": position, **_parameters(scope), **more})


def _api(slug: str, position: int, scope: Scope, end: str, **more: str | None) -> str:
    path = f"/v1/projects/{segment(slug)}/exports/{position}{end}"
    return link(path, {**_parameters(scope), **more})


def _parameters(scope: Scope) -> dict[str, str | None]:
    return {"run": scope.run, "originals": "true" if scope.originals else None}
