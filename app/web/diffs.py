"""Two versions of an artifact next to each other: the lines that changed, and the words in them."""

import msgspec
from starlette.responses import Response

from adapters.postgres_views import ArtifactVersion
from app.http.artifacts import MAX_DIFF_BYTES
from app.ledger import Ledger
from app.web.artifact_path import ArtifactPath, artifact_path
from app.web.page import Pages, Visit
from app.web.place import stand
from app.web.site import link, see, shown
from domain.diff import CONTEXT_LINES, TextDiff, compare
from domain.digest import parse_digest
from domain.errors import DeedbookError, Gone, Malformed, NotFound
from projections.word_diff import Fold, Row, rows

pages = Pages()

MAX_ROWS = 5_000
"""On the page; further ones are in the unified diff."""
CHOICES = 200
"""Versions that can be chosen, the newest ones."""


class DiffQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Two versions, the last two when left away; 0 is before the first. `whole` is 1: unchanged lines too."""

    from_: int | None = None
    to: int | None = None
    whole: int = 0
    at: int | None = None


class Compared(msgspec.Struct, frozen=True):
    """A difference on a page.

    Attributes:
        left_out: Rows that are too many.
    """

    difference: TextDiff
    rows: list[Row | Fold]
    left_out: int


@pages.show("/p/{project}/artifacts/{kind}/{key}/diff", query=DiffQuery)
def show_diff(visit: Visit[DiffQuery]) -> Response:
    """Compare two versions."""
    query, views = visit.query, visit.ledger.views
    path = artifact_path(visit)
    place = stand(visit, query.at)
    try:
        latest = views.artifact(path.project, path.kind, path.key, place.position)
    except NotFound:
        return see(link(path.page, {"at": place.at}))  # which says from when on there is one
    new = latest.version if query.to is None else query.to
    old = max(new - 1, 0) if query.from_ is None else query.from_
    sides = [_side(visit.ledger, path, number, place.position) for number in (old, new)]
    compared: Compared | None = None
    problem: DeedbookError | None = None
    try:
        before, after = (_text(visit.ledger, path.project, side) for side in sides)
    except (Gone, NotFound, Malformed) as error:
        problem = error
    else:
        compared = _compared(before, after, whole=bool(query.whole))
    choices = {*range(max(latest.version - CHOICES, 0), latest.version + 1), old, new}
    return shown(
        visit,
        "diff.html",
        place=place,
        here="artifacts",
        time_path=path.diff,
        path=path,
        latest=latest,
        old=old,
        new=new,
        sides=sides,
        choices=sorted(choices, reverse=True),
        whole=query.whole,
        compared=compared,
        problem=problem,
    )


def _side(ledger: Ledger, path: ArtifactPath, number: int, position: int) -> ArtifactVersion | None:
    """A version; None for what was before the first."""
    if number == 0:
        return None
    return ledger.views.version(path.project, path.kind, path.key, number, position)


def _text(ledger: Ledger, project: str, version: ArtifactVersion | None) -> str:
    """A version as text.

    Raises:
        Gone: `content-erased`.
        NotFound: `content-missing`.
        Malformed: `not-text`.
    """
    if version is None:
        return ""
    if version.size_bytes > MAX_DIFF_BYTES:
        raise Malformed("not-text", f"Version {version.version} is too large to compare.")
    try:
        return ledger.blobs.read(project, parse_digest(version.digest)).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(
            "not-text", f"Version {version.version} is {version.media_type}, not text."
        ) from None


def _compared(before: str, after: str, *, whole: bool) -> Compared:
    lines = before.count("\n") + (not before.endswith("\n"))
    difference = compare(before, after, context=lines if whole else CONTEXT_LINES)
    found = list(rows(difference, lines))
    return Compared(difference, found[:MAX_ROWS], max(len(found) - MAX_ROWS, 0))
